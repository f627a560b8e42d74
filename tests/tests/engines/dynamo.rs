//! The store on DynamoDB Local.

use std::{
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicU32, Ordering},
};

use clients::store::{DynamoConfig, Store, conformance};
use dev_server::aws_local::{DynamoLocal, create};
use futures::{FutureExt, StreamExt, stream};

/// Checks at the same time.
const AT_ONCE: usize = 6;

static TABLES: AtomicU32 = AtomicU32::new(0);

/// Runs a story on a DynamoDB of its own, or says loudly that it cannot.
fn on_dynamo<F: Future<Output = ()>>(story: impl FnOnce(DynamoLocal) -> F) {
    let has_java = std::process::Command::new("java")
        .arg("-version")
        .output()
        .is_ok();
    if !has_java && std::env::var_os("CI").is_none() {
        eprintln!("SKIPPED: no java on PATH, nothing is tested on DynamoDB");
        return;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let log = tempfile::NamedTempFile::new().unwrap();
        let local = DynamoLocal::start(0, None, log.path()).await.unwrap();
        story(local).await;
    });
}

/// Tables that nobody else uses.
async fn fresh(local: &DynamoLocal) -> DynamoConfig {
    let number = TABLES.fetch_add(1, Ordering::Relaxed);
    let config = local.config(&format!("t{number}"));
    create(&config).await.unwrap();
    config
}

#[test]
fn the_store_on_dynamodb_does_what_every_store_must() {
    on_dynamo(async |local| {
        let checks = stream::iter(conformance::checks()).map(|(name, check)| {
            let local = &local;
            async move {
                let config = fresh(local).await;
                let one = Store::dynamodb(&config).await.unwrap();
                let other = Store::dynamodb(&config).await.unwrap();
                let held = AssertUnwindSafe(check(one, other)).catch_unwind().await;
                held.err().map(|_| name)
            }
        });
        let broken: Vec<_> = checks
            .buffer_unordered(AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await;
        assert!(broken.is_empty(), "{broken:?}");
        local.stop().await;
    });
}
