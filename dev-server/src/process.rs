//! Child processes that cannot outlive us: not after a panic, not after `kill -9`.
//!
//! A child runs under a few lines of shell that hold the other end of a pipe. When we go away, in
//! whatever way, the pipe closes and the shell ends the child. The child has its own process group,
//! so that Ctrl-C in the terminal reaches only us and we stop things in the right order.

use std::{
    ffi::{OsStr, OsString},
    fs::{File, OpenOptions},
    os::unix::process::CommandExt,
    path::Path,
    process::{ChildStdin, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context;
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use tokio::sync::watch;

/// In place of a configuration file of the user.
pub const NO_FILE: &str = "/dev/null";

/// Passes our signals on, and ends the child when standard input closes.
const GUARD: &str = r#"
exec 3<&0 </dev/null
"$@" 3<&- &
child=$!
( cat <&3 >/dev/null; kill -TERM $child; sleep 10; kill -KILL $child ) 2>/dev/null &
watcher=$!
exec 3<&-
trap 'kill -TERM $child 2>/dev/null' TERM INT HUP
while :; do
    wait $child
    code=$?
    kill -0 $child 2>/dev/null || break
done
kill $watcher 2>/dev/null
exit $code
"#;

/// A program to be started.
#[derive(Debug)]
pub struct Program {
    name: String,
    command: Command,
}

impl Program {
    /// Names a program; `name` is what people read in messages.
    pub fn new(name: &str, program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new("sh");
        command.arg("-c").arg(GUARD).arg("guard").arg(program);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        Self {
            name: name.to_owned(),
            command,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets variables of its environment.
    #[must_use]
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.command.envs(variables);
        self
    }

    /// Takes the variables that begin so out of its environment: they are settings of the user for
    /// something else. What is to be set has to be set after this.
    #[must_use]
    pub fn without_env(mut self, prefixes: &[&str]) -> Self {
        for name in variables(prefixes) {
            self.command.env_remove(name);
        }
        self
    }

    /// Sends both of its outputs to a file.
    ///
    /// # Errors
    /// When the file cannot be used twice.
    pub fn log_to(mut self, file: File) -> anyhow::Result<Self> {
        self.command
            .stdout(file.try_clone().context("using the log file")?)
            .stderr(file);
        Ok(self)
    }

    /// Starts it.
    ///
    /// # Errors
    /// When there is no shell or the system has no room.
    pub fn start(mut self) -> anyhow::Result<Guarded> {
        let mut child = self
            .command
            .spawn()
            .with_context(|| format!("starting {}", self.name))?;
        let lifeline = child.stdin.take();
        let group = Pid::from_raw(i32::try_from(child.id()).context("process id")?);
        let (tell, ended) = watch::channel(None);
        // A thread of its own: it works in any runtime, also in one that ends before the child.
        std::thread::Builder::new()
            .name(format!("wait-{}", self.name))
            .spawn(move || {
                let status = child.wait().ok();
                // Whatever the child left behind in its group.
                let _nothing_left = killpg(group, Signal::SIGKILL);
                tell.send_replace(Some(status));
            })?;
        Ok(Guarded {
            name: self.name,
            group,
            lifeline,
            ended,
        })
    }
}

/// Returns the names of variables of our own environment that begin so.
pub fn variables(prefixes: &[&str]) -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name).filter(|name| {
        let text = name.to_string_lossy();
        prefixes.iter().any(|prefix| text.starts_with(prefix))
    })
}

/// Opens a log to add to.
///
/// # Errors
/// When it cannot be written.
pub fn open_log(path: &Path) -> anyhow::Result<File> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.with_context(|| format!("opening {}", path.display()))
}

/// A running child; it is killed when this is dropped.
#[derive(Debug)]
pub struct Guarded {
    name: String,
    group: Pid,
    lifeline: Option<ChildStdin>,
    ended: watch::Receiver<Option<Option<ExitStatus>>>,
}

impl Guarded {
    /// Returns true until it has ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.ended.borrow().is_none()
    }

    /// Returns the id of its process group, in which it runs beside its guard.
    #[must_use]
    pub fn group(&self) -> i32 {
        self.group.as_raw()
    }

    /// Waits until it has ended; `None` when the system does not say how.
    pub async fn ended(&self) -> Option<ExitStatus> {
        let mut ended = self.ended.clone();
        let status = ended.wait_for(Option::is_some).await;
        status.ok().and_then(|status| status.flatten())
    }

    /// Asks it to end, and kills it when it has not after `grace`.
    pub async fn stop(mut self, grace: Duration) {
        if self.is_running() {
            let _asked = kill(self.group, Signal::SIGTERM);
            if tokio::time::timeout(grace, self.ended()).await.is_err() {
                tracing::warn!("{} did not end within {grace:?}, killing it", self.name);
                self.kill();
                self.ended().await;
            }
        }
        self.lifeline = None;
    }

    /// Kills it on the spot, as a crash would.
    pub fn kill(&self) {
        if self.is_running() {
            let _killed = killpg(self.group, Signal::SIGKILL);
        }
    }

    /// Stops it in the middle of what it does, until it is thawed or killed.
    pub fn freeze(&self) {
        if self.is_running() {
            let _frozen = killpg(self.group, Signal::SIGSTOP);
        }
    }

    /// Lets it go on where it was frozen.
    pub fn thaw(&self) {
        if self.is_running() {
            let _thawed = killpg(self.group, Signal::SIGCONT);
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, time::Instant};

    use super::*;

    fn shell(script: &str) -> Program {
        Program::new("test child", "sh").args(["-c", script])
    }

    fn is_alive(pid: i32) -> bool {
        // A zombie still has an id; it is no longer alive.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.trim().chars().next());
        match state {
            Some(state) => state != 'Z',
            None => !cfg!(target_os = "linux") && kill(Pid::from_raw(pid), None).is_ok(),
        }
    }

    /// Starts a child that writes its process id into a file, and reads it.
    fn started(folder: &std::path::Path, script: &str) -> (Guarded, i32) {
        let path = folder.join("pid");
        let child = shell(&format!(
            "echo $$ > {0}.new; mv {0}.new {0}; {script}",
            path.display()
        ))
        .start()
        .unwrap();
        let begin = Instant::now();
        loop {
            if let Ok(text) = std::fs::read_to_string(&path) {
                return (child, text.trim().parse().unwrap());
            }
            assert!(
                begin.elapsed() < Duration::from_secs(10),
                "the child did not start"
            );
            std::thread::yield_now();
        }
    }

    fn dies(pid: i32) {
        let begin = Instant::now();
        while is_alive(pid) {
            assert!(
                begin.elapsed() < Duration::from_secs(8),
                "the child still runs"
            );
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn the_exit_status_is_that_of_the_program() {
        let child = shell("exit 7").start().unwrap();
        assert_eq!(child.ended().await.unwrap().code(), Some(7));
        assert!(!child.is_running());
    }

    #[tokio::test]
    async fn output_goes_to_the_log_and_variables_arrive() {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        let child = shell("echo $WORD; echo oops >&2")
            .envs([("WORD", "hello")])
            .log_to(log.reopen().unwrap())
            .unwrap();
        child.start().unwrap().ended().await;
        let mut text = String::new();
        log.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello\noops\n");
    }

    #[tokio::test]
    async fn it_is_asked_before_it_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let (polite, pid) = started(
            folder.path(),
            "trap 'exit 0' TERM; while :; do sleep 0.05; done",
        );
        polite.stop(Duration::from_secs(5)).await;
        dies(pid);
        std::fs::remove_file(folder.path().join("pid")).unwrap();
        let (stubborn, pid) = started(folder.path(), "trap '' TERM; while :; do sleep 0.05; done");
        stubborn.stop(Duration::from_millis(200)).await;
        dies(pid);
    }

    #[tokio::test]
    async fn a_frozen_one_stands_still_and_can_be_killed() {
        let folder = tempfile::tempdir().unwrap();
        // It starts nothing: a shell whose child is stopped before it runs waits, and is not stopped itself.
        let (child, pid) = started(folder.path(), "exec sleep 600");
        let state = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(')')
                .map(|(_, rest)| rest.trim().to_owned())
        };
        if state().is_some() {
            let is_stopped = || state().is_some_and(|state| state.starts_with('T'));
            for (act, stopped) in [
                (Guarded::freeze as fn(&Guarded), true),
                (Guarded::thaw, false),
            ] {
                act(&child);
                let begin = Instant::now();
                while is_stopped() != stopped {
                    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", state());
                    std::thread::yield_now();
                }
            }
        }
        child.freeze();
        child.kill();
        child.ended().await;
        dies(pid);
    }

    #[test]
    fn it_dies_when_dropped_and_when_the_lifeline_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let (child, pid) = started(folder.path(), "exec sleep 600");
        drop(child);
        dies(pid);
        std::fs::remove_file(folder.path().join("pid")).unwrap();
        let (mut child, pid) = started(folder.path(), "exec sleep 600");
        child.lifeline = None;
        dies(pid);
    }
}
