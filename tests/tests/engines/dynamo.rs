//! The store on DynamoDB Local.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use clients::store::{
    DynamoConfig, Store, StoreError, Table,
    conformance::{self, record, row, sealed, status},
};
use dev_server::aws_local::{self, DynamoLocal, create};
use domain::{
    audit::AuditRecord,
    deployment::Stage,
    failure::{Classify, FailureKind},
    outcome::DeviceOutcome,
};
use jiff::Timestamp;
use serde_json::json;

use crate::broken;

/// Checks at the same time.
const AT_ONCE: usize = 6;

static TABLES: AtomicU32 = AtomicU32::new(0);

/// Runs a story on a DynamoDB of its own, or says loudly that it cannot.
pub(crate) fn on_dynamo<F: Future<Output = ()>>(story: impl FnOnce(DynamoLocal) -> F) {
    if aws_local::is_skipped() {
        return;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let log = tempfile::NamedTempFile::new().unwrap();
        let local = DynamoLocal::start(0, None, log.path()).await.unwrap();
        story(local).await;
    });
}

/// Tables that nobody else uses.
pub(crate) async fn fresh(local: &DynamoLocal) -> DynamoConfig {
    let number = TABLES.fetch_add(1, Ordering::Relaxed);
    let config = local.config(&format!("t{number}"));
    create(&config).await.unwrap();
    config
}

#[test]
fn the_store_on_dynamodb_does_what_every_store_must() {
    on_dynamo(async |local| {
        let broken = broken(conformance::checks(), AT_ONCE, async |check| {
            let config = fresh(&local).await;
            let one = Store::dynamodb(&config).await.unwrap();
            let other = Store::dynamodb(&config).await.unwrap();
            check(one, other).await;
        });
        let broken = broken.await;
        assert!(broken.is_empty(), "{broken:?}");
        local.stop().await;
    });
}

/// Every item of a table; only tests may look at all of it.
pub(crate) async fn items(
    config: &DynamoConfig,
    table: Table,
) -> Vec<HashMap<String, AttributeValue>> {
    let client = Client::new(&config.settings(Duration::from_secs(10)).await);
    let name = format!("{}-{}", config.prefix, table.as_str());
    let pages = client
        .scan()
        .table_name(name)
        .into_paginator()
        .items()
        .send();
    pages.try_collect().await.unwrap()
}

pub(crate) fn text<'a>(item: &'a HashMap<String, AttributeValue>, name: &str) -> &'a str {
    item[name].as_s().unwrap()
}

/// Text that cannot be packed well.
fn noise(bytes: usize) -> String {
    let mut text = String::new();
    while text.len() < bytes {
        text += &uuid::Uuid::new_v4().simple().to_string();
    }
    text
}

#[test]
fn a_finished_deployment_is_forgotten_with_all_that_belongs_to_it() {
    on_dynamo(async |local| {
        let config = fresh(&local).await;
        let executions = Store::dynamodb(&config).await.unwrap().executions;
        executions
            .put_plan(sealed("p", 1, &[120], 0))
            .await
            .unwrap();
        for device in 0..5 {
            let row = row(device, 1, DeviceOutcome::Verified);
            executions.put_device_row(row).await.unwrap();
        }
        let open = status("p", "7", Stage::Deploying, 0, 10);
        executions.put_status(open, None).await.unwrap();
        let of_time = |item: &HashMap<_, AttributeValue>| {
            item.get("expires_at").map(|at| at.as_n().unwrap().clone())
        };
        let all = items(&config, Table::Executions).await;
        assert!(all.len() > 15 && all.iter().all(|item| of_time(item).is_none()));
        let over = status("p", "7", Stage::Done, 0, 20);
        let at: Timestamp = "2027-06-01T00:00:00Z".parse().unwrap();
        executions.put_status(over, Some(at)).await.unwrap();
        for item in items(&config, Table::Executions).await {
            assert_eq!(of_time(&item), Some(at.as_second().to_string()), "{item:?}");
        }
        local.stop().await;
    });
}

#[test]
fn what_is_large_is_kept_whole_and_what_is_too_large_is_refused() {
    on_dynamo(async |local| {
        let config = fresh(&local).await;
        let store = Store::dynamodb(&config).await.unwrap();
        // Packed it is more than an item may have.
        let large = AuditRecord {
            detail: json!(noise(1_500_000)),
            ..record("w", "large")
        };
        let written = store.actions.append_audit(large.clone()).await.unwrap();
        assert_eq!(written.record, large);
        assert_eq!(
            store.actions.read_chain("w", 0, 10).await.unwrap(),
            [written]
        );
        let parts = items(&config, Table::Actions).await;
        let parts = parts
            .iter()
            .filter(|item| text(item, "pk").starts_with("part/"));
        assert!(parts.count() > 1);
        let sealed_whole = sealed("p", 1, &[10, 20_000], 0);
        store
            .executions
            .put_plan(sealed_whole.clone())
            .await
            .unwrap();
        let read = store
            .executions
            .get_plan(&sealed_whole.plan, 1)
            .await
            .unwrap();
        assert_eq!(read, Some(sealed_whole));
        let refused = [
            store
                .executions
                .put_plan(sealed("q", 1, &[99_999], 0))
                .await
                .unwrap_err(),
            store
                .actions
                .append_audit(AuditRecord {
                    detail: json!(noise(9_000_000)),
                    ..record("w", "too large")
                })
                .await
                .unwrap_err(),
        ];
        for error in refused {
            assert_eq!(error.kind(), FailureKind::InvalidInput, "{error}");
            assert!(
                error.to_string().contains("allowed are")
                    || error.to_string().contains("are allowed"),
                "{error}"
            );
        }
        local.stop().await;
    });
}

#[test]
fn what_dynamodb_refuses_says_what_to_do() {
    on_dynamo(async |local| {
        let none = Store::dynamodb(&local.config("nobody")).await.unwrap_err();
        assert_eq!(none.kind(), FailureKind::Unauthorized);
        let told = none.to_string();
        for words in ["nobody-Policies", "eu-central-1", "tables.yaml"] {
            assert!(told.contains(words), "{told}");
        }
        let config = fresh(&local).await;
        let store = Store::dynamodb(&config).await.unwrap();
        local.stop().await;
        let away = store
            .actions
            .append_audit(record("w", "k"))
            .await
            .unwrap_err();
        assert!(matches!(away, StoreError::Unavailable { .. }), "{away}");
        assert!(away.kind().is_retryable());
    });
}
