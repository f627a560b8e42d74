//! Work of the least priority on every core: what a program takes of a virtual core depends on whether the
//! others are busy, and a small fleet would leave them idle.

use std::process::{Child, Command, Stdio};

/// Turns on all cores, until it is dropped.
pub(crate) struct Ballast(Vec<Child>);

impl Ballast {
    pub(crate) fn on_every_core() -> Self {
        let cores = std::thread::available_parallelism().unwrap().get();
        Self((0..cores).map(|_| turn()).collect())
    }
}

/// Ends by itself when we are gone.
fn turn() -> Child {
    let ours = std::process::id();
    Command::new("nice")
        .args(["-n", "19", "sh", "-c"])
        .arg(format!("while kill -0 {ours}; do :; done"))
        .stderr(Stdio::null())
        .spawn()
        .expect("nice: this bench needs it")
}

impl Drop for Ballast {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
