//! What is sealed stays sealed, whatever somebody does to the store.

use std::path::PathBuf;

use domain::audit::{Actor, AuditRecord, GENESIS};
use serde_json::json;

use super::*;
use crate::store::{Actions, Store};

struct Scene {
    folder: tempfile::TempDir,
    store: Store,
    objects: Objects,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            store: Store::embedded(&folder.path().join("autoops.db")).unwrap(),
            objects: Objects::in_folder(&folder.path().join("objects")).unwrap(),
            folder,
        }
    }

    fn actions(&self) -> &dyn Actions {
        self.store.actions.as_ref()
    }

    async fn write(&self, chain: &str, client: &str, day: &str, keys: &[&str]) {
        for key in keys {
            let record = AuditRecord {
                chain: chain.into(),
                key: (*key).into(),
                at: format!("{day}T12:00:00Z").parse().unwrap(),
                client: client.parse().unwrap(),
                actor: Actor::Workflow,
                what: "step".into(),
                evidence: vec![],
                detail: json!({ "of": key }),
                plan_hash: None,
                policy_version: None,
                tokens: None,
            };
            self.actions().append_audit(record).await.unwrap();
        }
    }

    async fn seal(&self, through: &str) -> Result<Sealed, SealError> {
        let through = (date(through), "2026-12-01T00:00:00Z".parse().unwrap());
        seal(self.actions(), &self.objects, through, &|| ()).await
    }

    async fn check(&self) -> SealCheck {
        check(self.actions(), &self.objects).await.unwrap()
    }

    /// A store whose chain was computed anew, as somebody does who wants to hide an entry.
    async fn rewritten(&self, keep: &[&str]) -> Store {
        let other = Store::embedded(&self.folder.path().join("other.db")).unwrap();
        for entry in self.actions().read_chain("w", 0, 100).await.unwrap() {
            if keep.contains(&entry.record.key.as_str()) {
                other.actions.append_audit(entry.record).await.unwrap();
            }
        }
        other
    }

    fn object(&self, key: &ObjectKey) -> PathBuf {
        self.folder.path().join("objects").join(key.as_str())
    }
}

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

fn told(found: &SealCheck) -> Vec<String> {
    found.broken.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_seal_names_a_copy_for_each_client_and_day_and_a_repeat_finds_it() {
    let scene = Scene::new();
    scene.write("w", "7", "2026-11-25", &["a", "b"]).await;
    scene.write("v", "7", "2026-11-25", &["a"]).await;
    scene.write("u", "8", "2026-11-26", &["a"]).await;
    scene.write("w", "7", "2026-11-27", &["c"]).await;
    let first = scene.seal("2026-11-26").await.unwrap();
    let named: Vec<_> = first
        .seal
        .parts
        .iter()
        .map(|part| (part.client.as_str(), part.day.to_string(), part.entries))
        .collect();
    assert_eq!(
        named,
        [
            ("7", "2026-11-25".to_owned(), 3),
            ("8", "2026-11-26".to_owned(), 1)
        ]
    );
    assert!(first.is_new && first.seal.sequence == 1 && first.seal.previous == GENESIS);
    let again = scene.seal("2026-11-26").await.unwrap();
    assert_eq!((again.seal, again.is_new), (first.seal.clone(), false));
    let next = scene.seal("2026-11-27").await.unwrap().seal;
    assert_eq!((next.sequence, next.previous), (2, first.seal.hash));
    let empty = scene.seal("2026-11-28").await.unwrap();
    assert!(empty.is_new, "that nothing happened is sealed, too");
    let found = scene.check().await;
    assert_eq!((found.seals, found.parts, found.entries), (3, 3, 5));
    assert!(found.broken.is_empty(), "{found:?}");
}

#[tokio::test]
async fn what_comes_late_and_what_a_crash_left_behind_are_sealed_by_the_next() {
    let scene = Scene::new();
    scene.write("w", "7", "2026-11-25", &["a", "b"]).await;
    scene.seal("2026-11-25").await.unwrap();
    scene.write("w", "7", "2026-11-25", &["late"]).await;
    // As when the process ends after the copy was written and before the seal.
    let entries = scene.actions().read_chain("w", 2, 1).await.unwrap();
    let key = ObjectKey::audit_part(&"7".parse().unwrap(), date("2026-11-25"), 2).unwrap();
    let lines = domain::seal::to_lines(&entries).unwrap();
    scene.objects.create(&key, lines).await.unwrap();
    scene.write("w", "7", "2026-11-25", &["later"]).await;
    let sealed = scene.seal("2026-11-25").await.unwrap();
    let numbers: Vec<_> = sealed.seal.parts.iter().map(|part| part.number).collect();
    assert_eq!((sealed.is_new, numbers), (true, vec![2, 3]));
    assert_eq!(scene.check().await.entries, 4);
}

#[tokio::test]
async fn a_day_that_is_long_past_is_not_looked_at_again() {
    let scene = Scene::new();
    scene.write("w", "7", "2026-11-01", &["a"]).await;
    scene.seal("2026-11-01").await.unwrap();
    scene.seal("2026-11-20").await.unwrap();
    scene.write("w", "7", "2026-11-01", &["b"]).await;
    scene.write("w", "7", "2026-11-13", &["c"]).await;
    let parts = scene.seal("2026-11-20").await.unwrap().seal.parts;
    let days: Vec<_> = parts.iter().map(|part| part.day).collect();
    assert_eq!(days, [date("2026-11-13")]);
}

#[tokio::test]
async fn a_chain_that_was_computed_anew_is_found_by_both() {
    let scene = Scene::new();
    scene.write("w", "7", "2026-11-25", &["a", "b", "c"]).await;
    scene.seal("2026-11-25").await.unwrap();
    for (keep, found) in [
        (
            &["a", "c"][..],
            "sealed entry 2 of chain w: the store has another one",
        ),
        (
            &["a", "b"],
            "sealed entry 3 of chain w: it is gone from the store",
        ),
        (&[], "sealed entry 1 of chain w: it is gone from the store"),
    ] {
        let other = scene.rewritten(keep).await;
        let actions = other.actions.as_ref();
        assert!(
            told(&check(actions, &scene.objects).await.unwrap()) == [found],
            "{found}"
        );
        let through = (date("2026-11-26"), "2026-12-01T00:00:00Z".parse().unwrap());
        let again = seal(actions, &scene.objects, through, &|| ()).await;
        // A day without any entry is not known to the store any more.
        if !keep.is_empty() {
            let error = again.unwrap_err();
            assert_eq!(error.kind(), FailureKind::Malformed, "{error}");
            assert!(error.to_string().contains("chain w"), "{error}");
        }
        std::fs::remove_file(scene.folder.path().join("other.db")).unwrap();
    }
}

#[tokio::test]
async fn a_seal_or_copy_that_is_gone_or_changed_is_named() {
    let scene = Scene::new();
    let mut keys = Vec::new();
    for day in ["2026-11-24", "2026-11-25", "2026-11-26"] {
        scene.write("w", "7", day, &[day]).await;
        let seal = scene.seal(day).await.unwrap().seal;
        keys.push((
            ObjectKey::seal(seal.sequence).unwrap(),
            key_of(&seal.parts[0]).unwrap(),
        ));
    }
    let copy = scene.object(&keys[2].1);
    let lines = std::fs::read_to_string(&copy).unwrap();
    std::fs::write(&copy, lines.replace("step", "stop")).unwrap();
    let key = &keys[2].1;
    assert_eq!(
        told(&scene.check().await),
        [format!("object {key}: line 1 was changed or moved")]
    );
    std::fs::write(&copy, format!("{lines}\n")).unwrap();
    assert_eq!(
        told(&scene.check().await),
        [format!("object {key}: it is not what was sealed")]
    );
    std::fs::remove_file(&copy).unwrap();
    assert_eq!(
        told(&scene.check().await),
        [format!("object {key}: it is missing")]
    );
    std::fs::write(&copy, lines).unwrap();
    std::fs::remove_file(scene.object(&keys[1].0)).unwrap();
    assert_eq!(told(&scene.check().await), ["seal 2: it is missing"]);
    // Seals that are past their retention go from the first on.
    std::fs::remove_file(scene.object(&keys[0].0)).unwrap();
    let found = scene.check().await;
    assert_eq!((found.seals, told(&found)), (1, vec![]));
    std::fs::remove_file(&copy).unwrap();
    assert_eq!(told(&scene.check().await), Vec::<String>::new());
}

#[tokio::test]
async fn of_two_who_seal_at_once_each_entry_is_sealed_once() {
    let scene = Scene::new();
    let days = ["2026-11-24", "2026-11-25"];
    for day in days {
        scene.write("w", "7", day, &[day]).await;
    }
    let all = (0..6).map(|one| scene.seal(days[one % 2]));
    let all = futures::future::join_all(all).await;
    assert!(all.iter().any(Result::is_ok), "{all:?}");
    scene.seal("2026-11-25").await.unwrap();
    let found = scene.check().await;
    assert_eq!(
        (found.parts, found.entries, found.broken.len()),
        (2, 2, 0),
        "{found:?}"
    );
}
