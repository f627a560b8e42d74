//! Facts about vulnerabilities.

use domain::vulnerability::{
    cvrf::Update,
    record::{Said, Source, VulnerabilityRecord},
};

use super::*;

fn said(id: &str, source: Source, vector: &str, secs: i64) -> VulnerabilityRecord {
    let mut record = VulnerabilityRecord::new(id.parse().unwrap());
    record.read_at.insert(source, at(secs));
    record.vector.say(Said {
        value: vector.to_owned(),
        source,
        at: at(secs),
        because: None,
    });
    record
}

pub(super) async fn what_sources_say_is_merged_in_any_order(store: Store) {
    let facts = &store.vulnerabilities;
    let id = "CVE-2024-0001";
    let nvd = said(id, Source::Nvd, "by nvd", 5);
    let words = vec![nvd.clone(), said("CVE-2024-0002", Source::Nvd, "x", 5)];
    assert_eq!(facts.merge_vulnerabilities(words).await.unwrap(), 2);
    assert_eq!(facts.merge_vulnerabilities(vec![nvd]).await.unwrap(), 0);
    let again = said(id, Source::Nvd, "by nvd", 6);
    assert_eq!(facts.merge_vulnerabilities(vec![again]).await.unwrap(), 0);
    let followed = facts.list_followed(None, 10).await.unwrap();
    assert_eq!(followed.items, []);
    let msrc = said(id, Source::Msrc, "by msrc", 1);
    assert_eq!(facts.merge_vulnerabilities(vec![msrc]).await.unwrap(), 1);
    let ids = [id, "CVE-2024-0002", "CVE-2024-0003"].map(|id| id.parse().unwrap());
    let found = facts.get_vulnerabilities(&ids).await.unwrap();
    assert_eq!(found.len(), 2);
    let held = found[0].vector.holds().unwrap();
    assert_eq!(
        (held.value.as_str(), held.source),
        ("by msrc", Source::Msrc)
    );
    assert_eq!(found[0].read_at[&Source::Nvd], at(6));
    let start = std::time::Instant::now();
    let followed = loop {
        let followed = facts.list_followed(None, 10).await.unwrap().items;
        if !followed.is_empty() || start.elapsed() > PATIENCE {
            break followed;
        }
    };
    assert_eq!(followed, found[..1]);
}

pub(super) async fn updates_gather_what_they_close(store: Store) {
    let facts = &store.vulnerabilities;
    let update = |kb: &str, cve: &str| Update {
        kb: kb.parse().unwrap(),
        cves: BTreeSet::from([cve.parse().unwrap()]),
        supersedes: BTreeSet::new(),
        restart: Some(true),
        published: None,
    };
    let both = vec![
        update("5034441", "CVE-2024-0001"),
        update("5034441", "CVE-2024-0002"),
    ];
    assert_eq!(facts.merge_updates(both.clone()).await.unwrap(), 2);
    assert_eq!(facts.merge_updates(both).await.unwrap(), 0);
    let asked = ["5034441", "5034442"].map(|kb| kb.parse().unwrap());
    let found = facts.get_updates(&asked).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].cves.len(), 2);
}

pub(super) async fn of_two_readers_one_moves_on(store: Store) {
    let facts = &store.vulnerabilities;
    let state = |version, to: &str| ReaderState {
        version,
        body: json!({ "through": to }),
    };
    assert_eq!(facts.reader_state("nvd").await.unwrap(), None);
    facts.move_reader("nvd", state(1, "a")).await.unwrap();
    facts
        .move_reader("nvd", state(1, "a"))
        .await
        .expect("a retry");
    let lost = facts.move_reader("nvd", state(1, "b")).await.unwrap_err();
    assert!(matches!(lost, StoreError::Conflict { .. }), "{lost}");
    facts.move_reader("nvd", state(2, "b")).await.unwrap();
    let gap = facts.move_reader("nvd", state(4, "c")).await.unwrap_err();
    assert!(matches!(gap, StoreError::Conflict { .. }), "{gap}");
    let found = facts.reader_state("nvd").await.unwrap();
    assert_eq!(found, Some(state(2, "b")));
    assert_eq!(facts.reader_state("kev").await.unwrap(), None);
}
