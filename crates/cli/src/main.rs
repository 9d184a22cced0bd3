//! The `turnpike` command: what people run beside the gateway.
//!
//! Each subcommand is a module with its arguments and one function. What was asked for goes to
//! standard output; everything that is said about it to standard error.

mod blame;
mod check;
mod completions;
mod compliance;
mod deny;
mod diff;
mod disk;
mod edit;
mod effective;
mod explain;
mod fmt;
mod git;
mod history;
mod ids;
mod import;
mod inventory;
mod kept;
mod limits;
mod lines;
mod links;
mod markdown;
mod new;
mod new_key;
mod objects;
mod operator;
mod outline;
mod play;
mod revision;
mod sarif;
mod say;
mod schema;
mod show;
mod table;
mod test;
mod token;
mod tree;
mod verify;
mod web;
mod words;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Checks, tests, explains and compares policies, and makes what they need.
///
/// Turnpike is an edge gateway for AI and API traffic. What it does is written in a tree of policy
/// files; this command is for the people who write them.
#[derive(Debug, Parser)]
#[command(name = "turnpike", version, arg_required_else_help = true)]
#[command(after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  all is well
  1  there are findings: errors in the policies, failed tests, changes that were not to be
  2  the command could not be carried out: wrong arguments, or a file that cannot be read or written";

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Arguments),
    Test(test::Arguments),
    Explain(explain::Arguments),
    Token(token::Arguments),
    Show(show::Arguments),
    Diff(diff::Arguments),
    Verify(verify::Arguments),
    Import(import::Arguments),
    Fmt(fmt::Arguments),
    Schema(schema::Arguments),
    Completions(completions::Arguments),
    /// Look at the limits of a gateway that runs, and give back what was used
    #[command(subcommand)]
    Limits(limits::Limits),
    /// Deny something on a gateway that runs, at once and for a time, and lift it again
    #[command(subcommand)]
    Deny(deny::Deny),
    /// Make something new in the policies
    #[command(subcommand)]
    New(New),
}

#[derive(Debug, Subcommand)]
enum New {
    Api(new::api::Arguments),
    Model(new::model::Arguments),
    Consumer(new::consumer::Arguments),
    Key(new_key::Arguments),
}

/// Why a command did not do what was asked.
#[derive(Debug)]
enum Failure {
    /// The policies have errors, and they were shown.
    Findings,
    /// The command could not be carried out; what to say.
    Refused(String),
}

impl Failure {
    fn refused(message: impl Into<String>) -> Self {
        Self::Refused(message.into())
    }
}

/// A command whose help says what its exit codes mean, which are those of all where it says nothing of its own.
fn taught(mut command: clap::Command) -> clap::Command {
    let below: Vec<String> = command
        .get_subcommands()
        .map(|one| one.get_name().to_owned())
        .collect();
    if below.is_empty() {
        let said = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        if !said.contains("Exit codes:") {
            command = command.after_help(format!("{said}\n\n{EXIT_CODES}").trim_start().to_owned());
        }
    }
    for name in below {
        command = command.mut_subcommand(name, taught);
    }
    command
}

fn main() -> ExitCode {
    let parsed = taught(Cli::command()).try_get_matches();
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        // Help and version come this way too, with exit code 0.
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            return if error.print().is_ok() {
                ExitCode::from(code)
            } else {
                ExitCode::from(2)
            };
        }
    };
    let done = match &cli.command {
        Command::Check(arguments) => check::run(arguments),
        Command::Test(arguments) => test::run(arguments),
        Command::Explain(arguments) => explain::run(arguments),
        Command::Token(arguments) => token::run(arguments),
        Command::Diff(arguments) => diff::run(arguments),
        Command::Show(arguments) => show::run(arguments),
        Command::Import(arguments) => import::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Fmt(arguments) => fmt::run(arguments),
        Command::Schema(arguments) => schema::run(arguments),
        Command::Limits(what) => limits::run(what),
        Command::Deny(what) => deny::run(what),
        Command::New(New::Api(arguments)) => new::api::run(arguments),
        Command::New(New::Model(arguments)) => new::model::run(arguments),
        Command::New(New::Consumer(arguments)) => new::consumer::run(arguments),
        Command::Completions(arguments) => completions::run(arguments),
        Command::New(New::Key(arguments)) => new_key::run(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Findings) => ExitCode::from(1),
        Err(Failure::Refused(message)) => {
            say::error(&message);
            ExitCode::from(2)
        }
    }
}
