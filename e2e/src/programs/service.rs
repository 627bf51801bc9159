//! A part of a stack: a program that can be stopped and started again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use reqwest::{Method, StatusCode};
use url::Url;

use crate::clients::Client;
use crate::programs::Process;

/// For a program to start on a machine that is busy with other tests.
const START_LIMIT: Duration = Duration::from_secs(90);

/// A program, how to start it and how to check that it works.
#[derive(Debug)]
pub struct Service {
    name: &'static str,
    command: Command,
    log: PathBuf,
    signs_of_life: Vec<(Url, StatusCode)>,
    start_limit: Duration,
    process: Mutex<Option<Process>>,
}

impl Service {
    /// Creates a program that is not running yet. Its log goes into the folder `logs`.
    pub(crate) fn new(name: &'static str, command: Command, logs: &Path) -> Self {
        Self {
            name,
            command,
            log: logs.join(format!("{name}.log")),
            signs_of_life: Vec::new(),
            start_limit: START_LIMIT,
            process: Mutex::default(),
        }
    }

    /// Sets that the program works when this address answers with this status.
    pub(crate) fn answering(mut self, url: Url, status: StatusCode) -> Self {
        self.signs_of_life.push((url, status));
        self
    }

    /// Sets how long it may take to start.
    pub(crate) fn starting_within(mut self, limit: Duration) -> Self {
        self.start_limit = limit;
        self
    }

    /// Returns its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Starts the program without waiting for it.
    ///
    /// # Errors
    ///
    /// When no process can be started.
    pub(crate) fn launch(&self) -> Result<()> {
        let process = Process::spawn(self.name, &self.command, &self.log)?;
        *self.process() = Some(process);
        Ok(())
    }

    /// Waits until the launched program works.
    ///
    /// # Errors
    ///
    /// When it ends before, or takes too long; with the end of its log.
    pub(crate) fn await_life(&self) -> Result<()> {
        let client = Client::new()?;
        let mut process = self.process();
        let process = process
            .as_mut()
            .with_context(|| format!("{} was not launched", self.name))?;
        for (url, status) in &self.signs_of_life {
            process.ready(self.start_limit, || {
                let answer = client.bare(Method::GET, url).send();
                answer.is_ok_and(|answer| answer.status() == *status)
            })?;
        }
        Ok(())
    }

    /// Starts the program, also after it was stopped, and waits until it works.
    ///
    /// # Errors
    ///
    /// As [`Process::ready`].
    pub fn start(&self) -> Result<()> {
        self.launch()?;
        self.await_life()
    }

    /// Stops the program and waits for that.
    pub fn stop(&self) {
        // Dropping it stops it.
        *self.process() = None;
    }

    /// Kills the program as the system does when memory runs out.
    pub fn kill(&self) {
        let mut process = self.process();
        if let Some(process) = &*process {
            process.signal(Signal::SIGKILL);
        }
        *process = None;
    }

    /// Suspends the program: its connections stay open.
    pub fn pause(&self) {
        if let Some(process) = &*self.process() {
            process.signal(Signal::SIGSTOP);
        }
    }

    /// Has a paused program go on.
    pub fn resume(&self) {
        if let Some(process) = &*self.process() {
            process.signal(Signal::SIGCONT);
        }
    }

    /// Returns whether the program has ended unasked.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn has_ended(&self) -> Result<bool> {
        match &mut *self.process() {
            Some(process) => Ok(process.ended()?.is_some()),
            None => Ok(false),
        }
    }

    /// Returns the process group of the program while it runs.
    pub fn group(&self) -> Option<u32> {
        self.process().as_ref().map(Process::group)
    }

    /// Returns the program's output since its last start.
    pub fn output(&self) -> String {
        self.process()
            .as_ref()
            .map(Process::output)
            .unwrap_or_default()
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
