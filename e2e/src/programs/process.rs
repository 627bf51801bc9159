//! Child processes that cannot be forgotten.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::wait;

/// How long a program may take to end after `SIGTERM`.
const GRACE: Duration = Duration::from_secs(5);

/// Runs the program in `"$@"` and ends with its status.
///
/// File descriptor 3 is the lifeline: only the process that started the program has its other end,
/// so it closes when that process ends, *however* it ends, and the whole group is killed. `SIGTERM`
/// reaches the program as a member of the group; the shell stays until the program is gone, so that
/// waiting for the shell is waiting for the program.
const SUPERVISOR: &str = r#"
exec 3<&0 </dev/null
trap : TERM
"$@" 3<&- &
program=$!
{ cat <&3; kill -s KILL 0; } >/dev/null 2>&1 &
exec 3<&-
while :; do
  wait "$program"
  status=$?
  kill -s 0 "$program" 2>/dev/null || exit "$status"
done
"#;

/// A running program with its own process group and log file.
///
/// Dropping it stops the group: `SIGTERM`, then after a few seconds `SIGKILL` for the processes
/// that are left. When this process is killed itself, the group goes too.
#[derive(Debug)]
pub struct Process {
    name: String,
    supervisor: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; its output goes to the file `log`, which is overwritten.
    ///
    /// Of `command`, the program, arguments, environment and working directory count. Proxy
    /// settings are taken out of the environment: everything that is started here talks on
    /// loopback.
    ///
    /// # Errors
    ///
    /// When the log cannot be written or no process can be started. A missing program looks like
    /// one that ended immediately.
    pub fn spawn(name: &str, command: &Command, log: &Path) -> Result<Self> {
        if let Some(folder) = log.parent() {
            fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        }
        let output = File::create(log).with_context(|| format!("create {}", log.display()))?;
        let mut supervisor = Command::new("sh");
        supervisor
            .arg("-c")
            .arg(SUPERVISOR)
            .arg(name)
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0);
        for variable in ["http_proxy", "https_proxy", "all_proxy"] {
            supervisor.env_remove(variable);
            supervisor.env_remove(variable.to_uppercase());
        }
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => supervisor.env(key, value),
                None => supervisor.env_remove(key),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            supervisor.current_dir(folder);
        }
        let supervisor = supervisor
            .spawn()
            .with_context(|| format!("start {name} ({})", display(command.get_program())))?;
        Ok(Self {
            name: name.to_owned(),
            supervisor,
            log: log.to_owned(),
        })
    }

    /// Waits until the program works.
    ///
    /// # Errors
    ///
    /// When it ends before, or is not ready within `limit`; with the end of its log.
    pub fn ready(&mut self, limit: Duration, mut probe: impl FnMut() -> bool) -> Result<()> {
        let what = format!("{} to be ready", self.name);
        let outcome = wait::until(&what, limit, || {
            if probe() {
                return Ok(Some(()));
            }
            if let Some(status) = self.supervisor.try_wait()? {
                bail!("{} ended before it was ready: {status}", self.name);
            }
            Ok(None)
        });
        outcome.with_context(|| self.log_tail())
    }

    /// Waits for the program to end.
    ///
    /// # Errors
    ///
    /// When it runs longer than `limit`. It is then stopped.
    pub fn finish(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("{} to end", self.name);
        let outcome = wait::until(&what, limit, || Ok(self.supervisor.try_wait()?));
        if outcome.is_err() {
            self.stop();
        }
        outcome.with_context(|| self.log_tail())
    }

    /// Returns the status with which the program ended, or `None` while it runs.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.supervisor.try_wait()?)
    }

    /// Returns the process group of the program and of all programs that it starts.
    pub fn group(&self) -> u32 {
        self.supervisor.id()
    }

    /// Returns the program's output so far. Bytes that are not UTF-8 are replaced.
    pub fn output(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Stops the program and all it started, and waits for that.
    pub fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if !matches!(self.supervisor.try_wait(), Ok(None)) {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        // Also where the program ended in time: it may have left children behind.
        self.signal(Signal::SIGKILL);
        // A killed process can be waited for; nothing is left to do if the system disagrees.
        let _ = self.supervisor.wait();
    }

    /// Sends a signal to the process group. It is not an error if everything in the group has
    /// ended.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Ok(group) = i32::try_from(self.supervisor.id()) {
            let _ = killpg(Pid::from_raw(group), signal);
        }
    }

    fn log_tail(&self) -> String {
        let output = self.output();
        let lines: Vec<&str> = output.lines().collect();
        let tail = lines.iter().rev().take(25).rev();
        let mut text = format!("{} (log: {})", self.name, self.log.display());
        for line in tail {
            text.push_str("\n    ");
            text.push_str(line);
        }
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

fn display(text: &OsStr) -> String {
    text.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn alive(pid: i32) -> bool {
        // A killed process whose parent is gone may stay as a zombie until init collects it.
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
            !stat
                .rsplit(')')
                .next()
                .unwrap_or_default()
                .starts_with(" Z")
        })
    }

    #[test]
    fn status_and_output_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let command = sh("echo out; echo err >&2; exit 7");
        let mut process = Process::spawn("seven", &command, &dir.path().join("log")).unwrap();
        assert_eq!(process.finish(PATIENCE).unwrap().code(), Some(7));
        assert_eq!(process.output(), "out\nerr\n");
    }

    #[test]
    fn readiness_fails_with_the_log_when_the_program_ends() {
        let dir = tempfile::tempdir().unwrap();
        let command = sh("echo no such option; exit 2");
        let mut process = Process::spawn("picky", &command, &dir.path().join("log")).unwrap();
        let error = process.ready(PATIENCE, || false).unwrap_err();
        let message = format!("{error:#}");
        assert!(message.contains("no such option"), "{message}");
        assert!(message.contains("ended before it was ready"), "{message}");
    }

    #[test]
    fn grandchildren_go_with_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let command = sh("trap '' TERM; sleep 1000 & echo $!; wait; wait");
        let mut process = Process::spawn("stubborn", &command, &dir.path().join("log")).unwrap();
        let grandchild = wait::until("the grandchild", PATIENCE, || {
            Ok(process.output().trim().parse::<i32>().ok())
        })
        .unwrap();
        assert!(alive(grandchild));
        process.stop();
        wait::until("the grandchild's end", PATIENCE, || {
            Ok((!alive(grandchild)).then_some(()))
        })
        .unwrap();
    }

    #[test]
    fn everything_goes_when_the_lifeline_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let command = sh("sleep 1000 & echo $!; wait");
        let mut process = Process::spawn("orphan", &command, &dir.path().join("log")).unwrap();
        let grandchild = wait::until("the grandchild", PATIENCE, || {
            Ok(process.output().trim().parse::<i32>().ok())
        })
        .unwrap();
        // The system does the same when this process is killed.
        drop(process.supervisor.stdin.take());
        process.finish(PATIENCE).unwrap();
        wait::until("the grandchild's end", PATIENCE, || {
            Ok((!alive(grandchild)).then_some(()))
        })
        .unwrap();
    }
}
