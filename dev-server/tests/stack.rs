//! The program as people start it: one at a time on a folder, leaves nothing behind, goes on.

#![expect(clippy::unwrap_used, reason = "a test of a whole program")]

use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use autoops_dev_server::{data_dir::DevInfo, process::variables};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A running `autoops-dev`, killed when a test fails half-way; what it started ends with it.
struct Program(Option<Child>);

impl Program {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_autoops-dev"));
        for name in variables(&["AUTOOPS_", "TEMPORAL_"]) {
            if name != "AUTOOPS_TEMPORAL_CLI" && name != "AUTOOPS_CACHE" {
                command.env_remove(name);
            }
        }
        command
            .args(["--no-worker", "--headless", "--port-base", "0"])
            .arg("--data-dir")
            .arg(folder.join("data"))
            .arg("--bin-dir")
            .arg(folder.join("bin"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(command.spawn().unwrap()))
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    fn id(&mut self) -> u32 {
        self.child().id()
    }

    /// Waits for its end and returns what it said.
    fn ended(mut self) -> Output {
        eventually("it ends", || self.child().try_wait().unwrap());
        self.0.take().unwrap().wait_with_output().unwrap()
    }

    fn stop(mut self, signal: Signal) -> Output {
        kill(Pid::from_raw(self.id().try_into().unwrap()), signal).unwrap();
        self.ended()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ended_already = child.kill();
            let _ = child.wait();
        }
    }
}

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "{what}: not after a minute"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Starts it and waits until everything runs.
fn start(folder: &Path) -> (Program, DevInfo) {
    // Of a run that was killed; it would be taken for the new one.
    let _not_there = std::fs::remove_file(folder.join("data/dev.json"));
    let mut program = Program::start(folder);
    let info = eventually("dev.json", || {
        assert_eq!(program.child().try_wait().unwrap(), None, "it has ended");
        serde_json::from_slice(&std::fs::read(folder.join("data/dev.json")).ok()?).ok()
    });
    (program, info)
}

fn answers(address: &str) -> bool {
    let address = address
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap();
    std::net::TcpStream::connect(address).is_ok()
}

#[test]
fn one_at_a_time_nothing_left_and_on_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut program, info) = start(folder.path());
    let all = |info: &DevInfo| {
        [
            &info.temporal_address,
            &info.callback_url,
            &info.superops_url,
            &info.nvd_url,
            &info.kev_url,
            &info.epss_url,
            &info.msrc_url,
            &info.cve_services_url,
            &info.bedrock_url,
        ]
        .map(|address| answers(address))
    };
    assert_eq!(all(&info), [true; 9]);
    let script = std::fs::read_to_string(folder.path().join("bin/temporal")).unwrap();
    assert!(script.contains(&info.temporal_address), "{script}");

    let second = Program::start(folder.path()).ended();
    let words = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        !second.status.success() && words.contains(&format!("process {}", program.id())),
        "{words}"
    );

    let ended = program.stop(Signal::SIGTERM);
    let words = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(
        ended.status.success() && words.contains("patch start") && words.ends_with("stopped\n"),
        "{words}"
    );
    assert_eq!(all(&info), [false; 9]);
    assert!(!folder.path().join("data/dev.json").exists());
    for kept in [
        "temporal.db",
        "superops.json",
        "store.sqlite",
        "callback.key",
    ] {
        assert!(folder.path().join("data").join(kept).exists(), "{kept}");
    }

    // Again, and this time it is killed without a word: its server must not outlive it.
    let (program, info) = start(folder.path());
    program.stop(Signal::SIGKILL);
    eventually("the server ends", || {
        (!answers(&info.temporal_address)).then_some(())
    });
    let (program, _) = start(folder.path());
    assert!(program.stop(Signal::SIGINT).status.success());
}
