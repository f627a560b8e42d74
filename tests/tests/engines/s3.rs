//! Objects on an S3 server.

use clients::{
    aws::StaticCredentials,
    objects::{ObjectKey, Objects, S3Config, conformance},
    seal::{check, seal},
    store::{Store, conformance::record},
};
use dev_server::aws_local::S3Local;
use domain::failure::{Classify, FailureKind};

use crate::broken;

/// Checks at the same time.
const AT_ONCE: usize = 4;

fn on_s3<F: Future<Output = ()>>(story: impl FnOnce(S3Local) -> F) {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let server = S3Local::start(0, folder.path()).await.unwrap();
        story(server).await;
    });
}

#[test]
fn objects_on_s3_do_what_every_storage_of_objects_must() {
    let held = broken(conformance::checks(), AT_ONCE, async |check| {
        let folder = tempfile::tempdir().unwrap();
        let server = S3Local::start(0, folder.path()).await.unwrap();
        check(Objects::on_s3(&server.config()).await.unwrap()).await;
        server.stop().await;
    });
    let broken = tokio::runtime::Runtime::new().unwrap().block_on(held);
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn a_wrong_key_says_what_to_do() {
    on_s3(async |server| {
        let config = S3Config {
            credentials: Some(StaticCredentials {
                access_key: "local".into(),
                secret_key: "another".into(),
            }),
            ..server.config()
        };
        let objects = Objects::on_s3(&config).await.unwrap();
        let key = ObjectKey::seal(1).unwrap();
        let error = objects.create(&key, "seal").await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Unauthorized, "{error:?}");
        assert!(error.to_string().contains("credentials"), "{error}");
        server.stop().await;
    });
}

#[test]
fn the_audit_trail_is_sealed_into_a_bucket_and_checked_there() {
    on_s3(async |server| {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::embedded(&folder.path().join("autoops.db")).unwrap();
        let objects = Objects::on_s3(&server.config()).await.unwrap();
        for key in ["a", "b", "c"] {
            store.actions.append_audit(record("w", key)).await.unwrap();
        }
        let actions = store.actions.as_ref();
        let when = (
            "2027-01-15".parse().unwrap(),
            "2027-01-16T00:00:00Z".parse().unwrap(),
        );
        let first = seal(actions, &objects, when, &|| ()).await.unwrap();
        let again = seal(actions, &objects, when, &|| ()).await.unwrap();
        assert_eq!((again.seal, again.is_new), (first.seal, false));
        let found = check(actions, &objects).await.unwrap();
        assert_eq!((found.entries, found.broken), (3, vec![]));
        server.stop().await;
    });
}
