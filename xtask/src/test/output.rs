//! What sections print.

use std::io::{self, BufRead as _, BufReader, IsTerminal as _};
use std::process::{Command, ExitStatus};

use anyhow::{Context as _, Result};

/// The lines of one section: shown as they come, or held back until the section has ended, where
/// others run at the same time.
#[derive(Debug)]
pub(crate) struct Output {
    held_back: Option<String>,
}

impl Output {
    /// Shows lines as they come.
    pub(crate) fn live() -> Self {
        Self { held_back: None }
    }

    /// Holds lines back.
    pub(crate) fn held_back() -> Self {
        Self {
            held_back: Some(String::new()),
        }
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, line: &str) {
        match &mut self.held_back {
            None => println!("{line}"),
            Some(text) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }

    /// Runs a command and adds its output, each line of which is passed to `seen`.
    ///
    /// # Errors
    ///
    /// When it cannot be run.
    pub(crate) fn run(
        &mut self,
        command: &mut Command,
        mut seen: impl FnMut(&str),
    ) -> Result<ExitStatus> {
        let shown = format!("{command:?}");
        if io::stdout().is_terminal() {
            command.env("CARGO_TERM_COLOR", "always");
        }
        let (reader, writer) = io::pipe()?;
        command.stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn().with_context(|| format!("run {shown}"))?;
        // The pipe ends when every copy of the writer is gone; these would stay for good.
        command.stdout(io::stdout()).stderr(io::stderr());
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches('\n');
            seen(text);
            self.line(text);
            line.clear();
        }
        Ok(child.wait()?)
    }

    /// Returns an output for what runs beside this one, whose lines [`Self::append`] adds.
    pub(crate) fn beside(&self) -> Self {
        Self::held_back()
    }

    /// Adds the lines of another output.
    pub(crate) fn append(&mut self, other: Self) {
        for line in other.held_back.unwrap_or_default().lines() {
            self.line(line);
        }
    }

    /// Shows the lines that were held back.
    pub(crate) fn release(self) {
        if let Some(text) = self.held_back {
            print!("{text}");
        }
    }
}
