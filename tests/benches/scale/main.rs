//! How AutoOps grows: one deployment over fleets of several sizes, each on a ground of its own, under
//! several worker processes of which one is killed halfway through the largest fleet.
//!
//! `make bench` runs it. `AUTOOPS_BENCH_DEVICES`, `_WORKERS`, `_SPEED` and `_JSON` say how.

#![expect(clippy::unwrap_used, reason = "a bench may fail where it stands")]

mod crew;
mod fleet;
mod histories;
mod process;
mod proof;
mod rollout;

use std::process::ExitCode;

use autoops_tests::{
    report,
    scale::{Inputs, broken, table},
};
use dev_server::links::beside_us;

fn main() -> ExitCode {
    // `cargo test --all-targets` runs benches without it: they take too long for that.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("not run: `make bench` does");
        return ExitCode::SUCCESS;
    }
    let json = beside_us("scale.json").unwrap();
    let inputs = match Inputs::read(|name| std::env::var(name).ok(), json) {
        Ok(inputs) => inputs,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runs = Vec::new();
    for (index, count) in (1..).zip(&inputs.devices) {
        println!("{count} devices under {} workers", inputs.workers);
        let with_kill = index == inputs.devices.len();
        runs.push(runtime.block_on(rollout::run(&inputs, *count, with_kill)));
        // Written after each: the next one takes longer.
        let all = serde_json::json!({ "inputs": inputs, "build": build(), "runs": runs });
        std::fs::write(&inputs.json, format!("{all:#}\n")).unwrap();
    }
    let told = format!(
        "{}\n`{}`, {} build.\n",
        table(&runs),
        inputs.command(),
        build()
    );
    report::written("scale", &told);
    println!("figures: {}", inputs.json.display());
    let broken = broken(&runs);
    for line in &broken {
        eprintln!("FAILED: {line}");
    }
    if broken.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn build() -> &'static str {
    if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    }
}
