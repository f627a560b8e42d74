//! How AutoOps grows: one deployment over fleets of several sizes, each on a ground of its own, under
//! several worker processes of which one is killed halfway through the largest fleet; or one campaign.
//!
//! `make bench` and `make bench-campaign` run it. `AUTOOPS_BENCH_DEVICES`, `_WORKERS`, `_SPEED` and `_JSON` say how.

#![expect(clippy::unwrap_used, reason = "a bench may fail where it stands")]

mod ballast;
mod campaign;
mod crew;
mod fleet;
mod histories;
mod process;
mod proof;
mod rollout;

use std::process::ExitCode;

use autoops_tests::{
    report,
    scale::{self, Inputs, Of, broken, table},
};
use dev_server::links::beside_us;
use serde::Serialize;

fn main() -> ExitCode {
    // `cargo test --all-targets` runs benches without it: they take too long for that.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("not run: `make bench` does");
        return ExitCode::SUCCESS;
    }
    let folder = beside_us("").unwrap();
    let inputs = match Inputs::read(|name| std::env::var(name).ok(), &folder) {
        Ok(inputs) => inputs,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::FAILURE;
        }
    };
    let broken = match inputs.of {
        Of::Deployment => {
            let _busy = ballast::Ballast::on_every_core();
            let runs = measure(&inputs, async |count, with_kill| {
                rollout::run(&inputs, count, with_kill).await
            });
            tell(&inputs, &table(&runs));
            broken(&runs)
        }
        Of::Campaign => {
            let runs = measure(&inputs, async |count, _| {
                campaign::run(&inputs, count).await
            });
            tell(&inputs, &scale::campaign::table(&runs));
            scale::campaign::broken(&runs)
        }
    };
    for line in &broken {
        eprintln!("FAILED: {line}");
    }
    if broken.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs each size, and writes what is known after each: the next one takes longer.
fn measure<R: Serialize>(inputs: &Inputs, run: impl AsyncFn(u32, bool) -> R) -> Vec<R> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runs = Vec::new();
    for (index, count) in (1..).zip(&inputs.devices) {
        println!("{count} devices under {} workers", inputs.workers);
        let is_largest = index == inputs.devices.len();
        runs.push(runtime.block_on(run(*count, is_largest)));
        let all = serde_json::json!({ "inputs": inputs, "build": build(), "runs": runs });
        std::fs::write(&inputs.json, format!("{all:#}\n")).unwrap();
    }
    runs
}

fn tell(inputs: &Inputs, table: &str) {
    let told = format!("{table}\n`{}`, {} build.\n", inputs.command(), build());
    report::written(inputs.of.name(), &told);
    println!("figures: {}", inputs.json.display());
}

fn build() -> &'static str {
    if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    }
}
