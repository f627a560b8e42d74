//! The program as people start it: one at a time on a folder, leaves nothing behind, goes on.

#![expect(clippy::unwrap_used, reason = "a test of a whole program")]

use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use autoops_dev_server::data_dir::DevInfo;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoops-dev"));
    command.args(["--no-worker", "--headless", "--port-base", "0"]);
    command
        .arg("--data-dir")
        .arg(folder.join("data"))
        .arg("--bin-dir")
        .arg(folder.join("bin"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
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
fn start(folder: &Path) -> (Child, DevInfo) {
    // Of a run that was killed; it would be taken for the new one.
    let _not_there = std::fs::remove_file(folder.join("data/dev.json"));
    let mut child = program(folder).spawn().unwrap();
    let info = eventually("dev.json", || {
        assert_eq!(child.try_wait().unwrap(), None, "it has ended");
        serde_json::from_slice(&std::fs::read(folder.join("data/dev.json")).ok()?).ok()
    });
    (child, info)
}

fn stop(child: Child, signal: Signal) -> Output {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
    child.wait_with_output().unwrap()
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
    let (child, info) = start(folder.path());
    let all = |info: &DevInfo| {
        [
            &info.temporal_address,
            &info.callback_url,
            &info.superops_url,
            &info.nvd_url,
            &info.bedrock_url,
        ]
        .map(|address| answers(address))
    };
    assert_eq!(all(&info), [true; 5]);
    let script = std::fs::read_to_string(folder.path().join("bin/temporal")).unwrap();
    assert!(script.contains(&info.temporal_address), "{script}");

    let second = program(folder.path()).output().unwrap();
    let words = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        !second.status.success() && words.contains(&format!("process {}", child.id())),
        "{words}"
    );

    let ended = stop(child, Signal::SIGTERM);
    let words = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(
        ended.status.success() && words.contains("patch start") && words.ends_with("stopped\n"),
        "{words}"
    );
    assert_eq!(all(&info), [false; 5]);
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
    let (child, info) = start(folder.path());
    stop(child, Signal::SIGKILL);
    eventually("the server ends", || {
        (!answers(&info.temporal_address)).then_some(())
    });
    let (child, _) = start(folder.path());
    assert!(stop(child, Signal::SIGINT).status.success());
}
