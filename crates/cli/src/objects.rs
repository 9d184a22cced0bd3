//! The objects of a repository of Git, as it stores them.

use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use crate::git::command;

/// A `git cat-file --batch`, which is asked for one object after the other.
pub(crate) struct Objects {
    process: Child,
    asked: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
}

impl Objects {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let mut process = command(folder)
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (asked, said) = (process.stdin.take(), process.stdout.take());
        let said = said.ok_or_else(|| io::Error::other("it has no output"))?;
        Ok(Self {
            process,
            asked,
            said: BufReader::new(said),
        })
    }

    /// Writes the bytes of an object.
    pub(crate) fn copy(&mut self, object: &str, to: &mut impl Write) -> io::Result<()> {
        let (_, size) = self.ask(object)?;
        self.body(size, to)
    }

    /// The bytes of a folder, and what it is called; an error if it is larger than that, too.
    pub(crate) fn folder(&mut self, name: &str, most: u64) -> io::Result<(String, Vec<u8>)> {
        let (object, size) = self.ask(name)?;
        if size > most {
            // Nothing more can be asked of it: its bytes would have to be read first.
            drop(self.asked.take());
            let _ = self.process.kill();
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut bytes = Vec::new();
        self.body(size, &mut bytes)?;
        Ok((object, bytes))
    }

    /// What an object is called and how large it is.
    fn ask(&mut self, object: &str) -> io::Result<(String, u64)> {
        let mut asked = self.asked.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        asked.write_all(format!("{object}\n").as_bytes())?;
        // `<object> <type> <size>`, or `<object> missing`.
        let mut head = String::new();
        self.said.read_line(&mut head)?;
        let mut words = head.trim_end().rsplit(' ');
        let size = words.next().and_then(|size| size.parse().ok());
        size.zip(words.nth(1))
            .map(|(size, object)| (object.to_owned(), size))
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("Git has no object {object}")))
    }

    fn body(&mut self, size: u64, to: &mut impl Write) -> io::Result<()> {
        let copied = io::copy(&mut self.said.by_ref().take(size), to)?;
        let mut end = [0];
        self.said.read_exact(&mut end)?;
        if copied == size {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        // At the end of what it is asked it ends.
        drop(self.asked.take());
        let _ = self.process.wait();
    }
}
