//! Everything on one machine, in a folder of its own, on free ports.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

/// How long a whole deployment of the demo may take here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// How long one command may take.
const COMMAND: Duration = Duration::from_secs(60);
/// How long everything may take to come up.
const START: Duration = Duration::from_secs(120);

/// A running `autoops-dev`.
pub(crate) struct Dev {
    folder: TempDir,
    child: Child,
    info: Value,
}

impl Dev {
    pub(crate) fn start(name: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix(&format!("autoops-story-{name}-"))
            .tempdir()
            .unwrap();
        Self::start_in(folder)
    }

    fn start_in(folder: TempDir) -> Self {
        let log = fs::File::create(folder.path().join("dev.log")).unwrap();
        let mut child = Command::new(program("autoops-dev"))
            .current_dir(folder.path())
            .args(["--headless", "--port-base", "0", "--speed", "120"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("autoops-dev is built: cargo build --workspace --bins");
        let path = folder.path().join(".autoops/dev.json");
        let deadline = Instant::now() + START;
        let info = loop {
            if let Ok(text) = fs::read_to_string(&path)
                && let Ok(info) = serde_json::from_str(&text)
            {
                break info;
            }
            let log = || fs::read_to_string(folder.path().join("dev.log")).unwrap_or_default();
            if let Some(status) = child.try_wait().unwrap() {
                panic!("autoops-dev ended with {status}:\n{}", log());
            }
            assert!(
                Instant::now() < deadline,
                "autoops-dev did not come up:\n{}",
                log()
            );
            thread::park_timeout(Duration::from_millis(100));
        };
        Self {
            folder,
            child,
            info,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops everything as Ctrl-C does, and starts it again on the same folder.
    pub(crate) fn restart(mut self) -> Self {
        self.interrupt();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        Self::start_in(folder)
    }

    /// Stops everything and looks that nothing is left running.
    pub(crate) fn stop(mut self) {
        self.interrupt();
        let address = self.info["temporal_address"].as_str().unwrap();
        assert!(
            std::net::TcpStream::connect(address).is_err(),
            "the Temporal server still runs"
        );
    }

    fn interrupt(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        if kill(pid, Signal::SIGINT).is_ok() {
            let status = wait(&mut self.child, START);
            assert!(status.success(), "autoops-dev ended with {status}");
        }
    }

    pub(crate) fn autoops(&self, args: &[&str]) -> Ran {
        self.autoops_for(args, COMMAND)
    }

    pub(crate) fn autoops_for(&self, args: &[&str], longest: Duration) -> Ran {
        Ran::of(
            Command::new(program("autoops"))
                .current_dir(self.folder())
                .args(args),
            args,
            longest,
        )
    }

    pub(crate) fn autoops_at(&self, address: &str, args: &[&str]) -> Ran {
        let mut command = Command::new(program("autoops"));
        Ran::of(
            command
                .current_dir(self.folder())
                .env("TEMPORAL_ADDRESS", address)
                .args(args),
            args,
            COMMAND,
        )
    }

    pub(crate) fn temporal(&self, args: &[&str]) -> Ran {
        Ran::of(
            Command::new(self.folder().join("bin/temporal")).args(args),
            args,
            COMMAND,
        )
    }

    /// What the simulator itself says was done: device and KB of each row of this action.
    pub(crate) fn simulator_log(&self, action: &str) -> Vec<String> {
        let base = self.info["superops_url"]
            .as_str()
            .unwrap()
            .trim_end_matches("/msp")
            .to_owned();
        let url = format!("{base}/log?action={action}");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let rows: Vec<Value> =
            runtime.block_on(async { reqwest::get(url).await.unwrap().json().await.unwrap() });
        rows.iter()
            .map(|row| format!("{} {}", row["device"], row["kb"]))
            .collect()
    }

    /// Waits for a condition of the outside world.
    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "waited in vain: {what}");
            thread::park_timeout(Duration::from_millis(200));
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        // A failed test stops what it started, too.
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap_or_default());
        let _ = kill(pid, Signal::SIGINT);
        let _ = self.child.wait();
        if thread::panicking() {
            let log = |name: &str| fs::read_to_string(self.folder().join(name)).unwrap_or_default();
            eprintln!(
                "dev.log:\n{}\nworker.log:\n{}",
                log("dev.log"),
                log(".autoops/logs/worker.log")
            );
        }
    }
}

/// A command that has ended.
pub(crate) struct Ran {
    what: String,
    output: Output,
}

impl Ran {
    fn of(command: &mut Command, args: &[&str], longest: Duration) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program is built");
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let (done, ended) = std::sync::mpsc::channel::<()>();
        let guard = thread::spawn(move || {
            if ended.recv_timeout(longest).is_err() {
                let _ = kill(pid, Signal::SIGKILL);
            }
        });
        let _ = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        let _ = done.send(());
        guard.join().unwrap();
        Self {
            what: args.join(" "),
            output,
        }
    }

    fn text(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        text(&self.output.stdout) + &text(&self.output.stderr)
    }

    pub(crate) fn succeeds(self) -> String {
        assert!(
            self.output.status.success(),
            "`{}` ended with {}:\n{}",
            self.what,
            self.output.status,
            self.text()
        );
        self.text()
    }

    pub(crate) fn fails_with(self, code: i32) -> String {
        let text = self.text();
        assert_eq!(
            self.output.status.code(),
            Some(code),
            "`{}`:\n{text}",
            self.what
        );
        text
    }
}

/// Reads the last line as JSON.
pub(crate) fn json(text: &str) -> Value {
    let line = text
        .lines()
        .rfind(|l| l.starts_with('{'))
        .expect("a line of JSON");
    serde_json::from_str(line).unwrap()
}

pub(crate) fn example_plan() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../dev-server/examples/plan.yaml")
        .canonicalize()
        .unwrap()
}

/// Finds a program of the workspace beside the test's own.
fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.ancestors()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .expect("built programs")
}

fn wait(child: &mut Child, longest: Duration) -> std::process::ExitStatus {
    let deadline = Instant::now() + longest;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < deadline, "the program did not end in time");
        thread::park_timeout(Duration::from_millis(50));
    }
}
