//! The adapters of AWS services on real engines, held to what the embedded ones are held to; and what
//! processes leave that die in the middle of a write.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::panic::AssertUnwindSafe;

use futures::{FutureExt, StreamExt, stream};

#[path = "engines/alerts.rs"]
mod alerts;
#[path = "engines/cuts.rs"]
mod cuts;
#[path = "engines/dynamo.rs"]
mod dynamo;
#[path = "engines/killed.rs"]
mod killed;
#[path = "engines/looks.rs"]
mod looks;
#[path = "engines/made.rs"]
mod made;
#[path = "engines/opensearch.rs"]
mod opensearch;
#[path = "engines/ports.rs"]
mod ports;
#[path = "engines/s3.rs"]
mod s3;
#[path = "engines/writes.rs"]
mod writes;

/// Runs checks, some at the same time, each as `run` does it; names those that do not hold.
async fn broken<C>(
    checks: impl IntoIterator<Item = (&'static str, C)>,
    at_once: usize,
    run: impl AsyncFn(C),
) -> Vec<&'static str> {
    let all = stream::iter(checks).map(|(name, check)| {
        let held = AssertUnwindSafe(run(check)).catch_unwind();
        held.map(move |held| held.err().map(|_| name))
    });
    all.buffer_unordered(at_once)
        .filter_map(std::future::ready)
        .collect()
        .await
}
