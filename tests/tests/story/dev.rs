//! Everything on one machine, in a folder of its own, on free ports.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use dev_server::process::{NO_FILE, variables};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::readme::Block;

/// How long a whole deployment of the demo may take here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// How long one command may take.
const COMMAND: Duration = Duration::from_secs(60);
/// How long everything may take to come up.
const START: Duration = Duration::from_secs(120);

/// How long everything may take to go down after a failure.
const LAST_CALL: Duration = Duration::from_secs(30);
/// Its data folder.
const DATA: &str = "data of the story";
/// Settings for something else, which must not reach the worker.
const OF_THE_USER: [(&str, &str); 5] = [
    ("AUTOOPS_NVD__BASE_URL", "no address"),
    ("AUTOOPS_STICKY_SECS", "never"),
    ("TEMPORAL_ADDRESS", "127.0.0.1:9"),
    ("TEMPORAL_CONFIG_FILE", "/nowhere/temporal.toml"),
    ("AWS_PROFILE", "of-another-account"),
];

/// A running `autoops-dev`.
pub(crate) struct Dev {
    folder: TempDir,
    child: Child,
    info: Value,
    more: Vec<String>,
}

impl Dev {
    pub(crate) fn start(name: &str) -> Self {
        Self::start_with(name, &[])
    }

    /// Starts it with more arguments.
    pub(crate) fn start_with(name: &str, more: &[&str]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix(&format!("autoops-story-{name}-"))
            .tempdir()
            .unwrap();
        // The README names files from here.
        for named in ["dev-server", "deploy"] {
            symlink(repository().join(named), folder.path().join(named)).unwrap();
        }
        Self::start_in(folder, more.iter().map(|text| (*text).to_owned()).collect())
    }

    fn start_in(folder: TempDir, more: Vec<String>) -> Self {
        let log = fs::File::create(folder.path().join("dev.log")).unwrap();
        let child = clean(&program("autoops-dev"))
            .current_dir(folder.path())
            .envs(OF_THE_USER)
            // A folder that nobody finds by looking for the usual one.
            .args([
                "--headless",
                "--port-base",
                "0",
                "--speed",
                "120",
                "--data-dir",
                DATA,
            ])
            .args(&more)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("autoops-dev is built: cargo build --workspace --bins");
        // From here on a failure stops it.
        let mut dev = Self {
            folder,
            child,
            info: Value::Null,
            more,
        };
        let path = dev.folder().join(DATA).join("dev.json");
        let deadline = Instant::now() + START;
        loop {
            if let Ok(text) = fs::read_to_string(&path)
                && let Ok(info) = serde_json::from_str(&text)
            {
                dev.info = info;
                return dev;
            }
            if let Some(status) = dev.child.try_wait().unwrap() {
                panic!("autoops-dev ended with {status}:\n{}", dev.log("dev.log"));
            }
            assert!(Instant::now() < deadline, "autoops-dev did not come up");
            thread::park_timeout(Duration::from_millis(100));
        }
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.folder().join(name)).unwrap_or_default()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of objects, which the worker writes.
    pub(crate) fn objects(&self) -> PathBuf {
        self.info["objects_path"].as_str().unwrap().into()
    }

    /// Stops everything as Ctrl-C does, and starts it again on the same folder.
    pub(crate) fn restart(mut self) -> Self {
        self.interrupt();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        let more = std::mem::take(&mut self.more);
        Self::start_in(folder, more)
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

    /// The store of its worker.
    pub(crate) fn store(&self) -> clients::store::Store {
        let path = self.info["store_path"].as_str().unwrap();
        clients::store::Store::embedded(Path::new(path)).unwrap()
    }

    pub(crate) fn autoops(&self, args: &[&str]) -> Ran {
        self.autoops_for(args, COMMAND)
    }

    /// From a folder that has nothing to do with it.
    pub(crate) fn autoops_for(&self, args: &[&str], longest: Duration) -> Ran {
        let mut command = clean(&self.folder().join("bin/autoops"));
        Ran::of(command.current_dir("/").args(args), args, longest)
    }

    pub(crate) fn autoops_at(&self, address: &str, args: &[&str]) -> Ran {
        let mut command = clean(&self.folder().join("bin/autoops"));
        Ran::of(
            command.env("TEMPORAL_ADDRESS", address).args(args),
            args,
            COMMAND,
        )
    }

    pub(crate) fn temporal(&self, args: &[&str]) -> Ran {
        let mut command = clean(&self.folder().join("bin/temporal"));
        Ran::of(command.args(args), args, COMMAND)
    }

    /// Runs commands of the README, which has to be right about how they end.
    pub(crate) fn follow(&self, block: &Block) -> String {
        let mut command = clean(Path::new("sh"));
        command
            .current_dir(self.folder())
            .args(["-ec", &block.script]);
        let said = Ran::of(&mut command, &[&block.script], PATIENCE).fails_with(block.status);
        let error = block.error.as_deref().unwrap_or_default();
        assert!(said.contains(error), "{}\n{said}", block.script);
        said
    }

    /// What the simulator itself says was done: device and KB of each row of this action.
    pub(crate) fn simulator_log(&self, action: &str) -> Vec<String> {
        let rows = self.simulator(&format!("log?action={action}"), None);
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| format!("{} {}", row["device"], row["kb"]))
            .collect()
    }

    /// Makes trouble with the simulated devices, or repairs them.
    pub(crate) fn change_simulator(&self, path: &str, change: &Value) {
        self.simulator(path, Some(change));
    }

    fn simulator(&self, path: &str, change: Option<&Value>) -> Value {
        let base = self.info["superops_url"]
            .as_str()
            .unwrap()
            .trim_end_matches("msp");
        let url = format!("{base}{path}");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        // Nothing here is reached by way of a proxy.
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = match change {
            Some(change) => http
                .post(url)
                .header("content-type", "application/json")
                .body(change.to_string()),
            None => http.get(url),
        };
        runtime.block_on(async {
            let answer = request.send().await.unwrap();
            answer.error_for_status().unwrap().json().await.unwrap()
        })
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
        let deadline = Instant::now() + LAST_CALL;
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            thread::park_timeout(Duration::from_millis(50));
        }
        if thread::panicking() {
            eprintln!(
                "dev.log:\n{}\nworker.log:\n{}",
                self.log("dev.log"),
                self.log(&format!("{DATA}/logs/worker.log"))
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

    pub(crate) fn ends(&self) -> (Option<i32>, String) {
        (self.output.status.code(), self.text())
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

pub(crate) fn example_plan() -> PathBuf {
    repository().join("dev-server/examples/plan.yaml")
}

fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("..").canonicalize().unwrap()
}

/// A program that hears nothing of the settings of who runs the tests, but where Temporal is.
fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in variables(&["AUTOOPS_", "TEMPORAL_"]) {
        if name != "AUTOOPS_TEMPORAL_CLI" && name != "AUTOOPS_CACHE" {
            command.env_remove(name);
        }
    }
    command
        .env("TEMPORAL_CONFIG_FILE", NO_FILE)
        .env("NO_PROXY", "127.0.0.1,localhost");
    command
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
