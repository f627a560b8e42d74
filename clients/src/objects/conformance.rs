//! What every storage of objects must do. Each check takes one that nobody has written to.

#![expect(clippy::unwrap_used, reason = "a check may fail where it stands")]

use domain::failure::{Classify, FailureKind};
use futures::{FutureExt, future::BoxFuture};

use super::*;

/// A check and its name.
pub type Check = (&'static str, fn(Objects) -> BoxFuture<'static, ()>);

macro_rules! checks {
    ($($check:ident),+ $(,)?) => {
        /// Every check.
        #[must_use]
        pub fn checks() -> Vec<Check> {
            vec![$((stringify!($check), |objects| $check(objects).boxed())),+]
        }

        #[cfg(test)]
        mod in_a_folder {
            $(#[tokio::test]
            async fn $check() {
                let folder = tempfile::tempdir().unwrap();
                super::$check(super::Objects::in_folder(folder.path()).unwrap()).await;
            })+
        }
    };
}

checks! {
    what_is_written_once_is_never_written_over,
    a_report_may_be_made_again,
    what_is_not_there_is_named,
    a_list_has_what_is_below_a_key_in_order,
    an_object_that_is_too_large_is_refused,
    bytes_come_back_as_they_were,
}

fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

async fn what_is_written_once_is_never_written_over(objects: Objects) {
    for key in [
        ObjectKey::playbook("restart-service", 1).unwrap(),
        key("logs/clients/7/2026-11-27/audit/00000001.jsonl"),
    ] {
        assert_eq!(objects.create(&key, "one").await.unwrap(), Created::Now);
        let again = objects.create(&key, "one").await.unwrap();
        assert_eq!(again, Created::Before, "a retry");
        let error = objects.create(&key, "two").await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Conflict);
        assert!(error.to_string().contains(key.as_str()), "{error}");
        let error = objects.replace(&key, "two").await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::InvalidInput);
        assert_eq!(objects.read(&key).await.unwrap(), "one");
    }
}

async fn a_report_may_be_made_again(objects: Objects) {
    let key = key("reports/7/2026-11/summary.csv");
    for text in ["one", "two"] {
        objects.replace(&key, text).await.unwrap();
        assert_eq!(objects.read(&key).await.unwrap(), text);
    }
    let error = objects.create(&key, "three").await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Conflict);
}

async fn what_is_not_there_is_named(objects: Objects) {
    let key = key("playbooks/none/00000001");
    let error = objects.read(&key).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::NotFound);
    assert!(error.to_string().contains(key.as_str()), "{error}");
}

async fn a_list_has_what_is_below_a_key_in_order(objects: Objects) {
    let below = key("logs/seals");
    assert!(objects.list(&below).await.unwrap().is_empty());
    for number in [11, 2, 1] {
        let key = ObjectKey::seal(number).unwrap();
        objects.create(&key, "seal").await.unwrap();
    }
    for other in ["logs/seals-of-others/1", "logs/clients/7/x", "reports/7/x"] {
        objects.create(&key(other), "other").await.unwrap();
    }
    let found = objects.list(&below).await.unwrap();
    let numbers: Vec<_> = found.iter().filter_map(ObjectKey::number).collect();
    assert_eq!(numbers, [1, 2, 11]);
}

async fn an_object_that_is_too_large_is_refused(objects: Objects) {
    let key = key("reports/7/large");
    let body = vec![0; LARGEST + 1];
    let error = objects.replace(&key, body).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::InvalidInput);
    assert!(error.to_string().contains("268435457 bytes"), "{error}");
    assert!(
        objects
            .list(&self::key("reports/7"))
            .await
            .unwrap()
            .is_empty()
    );
}

async fn bytes_come_back_as_they_were(objects: Objects) {
    let key = key("reports/7/bytes");
    let bytes: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
    objects.replace(&key, bytes.clone()).await.unwrap();
    assert_eq!(objects.read(&key).await.unwrap(), bytes);
    objects.replace(&key, "").await.unwrap();
    assert!(objects.read(&key).await.unwrap().is_empty());
}
