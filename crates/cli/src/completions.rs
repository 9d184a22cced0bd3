//! `turnpike completions`: what a shell needs to complete commands.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::{Cli, Failure, say};

/// Print what a shell needs to complete commands
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  turnpike completions bash > ~/.local/share/bash-completion/completions/turnpike
  turnpike completions zsh > ~/.zfunc/_turnpike       (with ~/.zfunc in $fpath)
  turnpike completions fish > ~/.config/fish/completions/turnpike.fish")]
pub(crate) struct Arguments {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "turnpike", &mut script);
    say::exactly(&String::from_utf8_lossy(&script))
}
