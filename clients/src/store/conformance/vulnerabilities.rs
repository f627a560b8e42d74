//! Facts about vulnerabilities.

use domain::vulnerability::{
    cpe::{Attribute, Configuration, Criteria, Node, Product},
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

pub(super) async fn vulnerabilities_are_listed_by_the_applications_they_are_in(store: Store) {
    let facts = &store.vulnerabilities;
    let product = |number: u32| Product {
        vendor: "vendor".to_owned(),
        product: format!("p{number}"),
    };
    let record = |id: &str, products: std::ops::Range<u32>, secs: i64| {
        let criteria = products.map(|number| Criteria {
            name: product(number).installed(Attribute::Any, Attribute::Any),
            vulnerable: true,
            start_including: None,
            start_excluding: None,
            end_including: None,
            end_excluding: Some("2".to_owned()),
        });
        let node = Node {
            criteria: criteria.collect(),
            ..Node::default()
        };
        let mut record = VulnerabilityRecord::new(id.parse().unwrap());
        record.software.say(Said {
            value: vec![Configuration {
                nodes: vec![node],
                ..Configuration::default()
            }],
            source: Source::Nvd,
            at: at(secs),
            because: None,
        });
        record
    };
    let listed = async |product: Option<Product>| {
        let list = facts.list_of_product(product.as_ref(), None, 10).await;
        let ids = list.unwrap().items.into_iter();
        ids.map(|record| record.id.to_string()).collect::<Vec<_>>()
    };
    let (one, two, many) = ("CVE-2026-0001", "CVE-2026-0002", "CVE-2026-0003");
    let most = MOST_APPLICATIONS as u32;
    facts
        .merge_vulnerabilities(vec![
            record(two, 1..3, 1),
            record(one, 0..2, 1),
            record(many, 0..most + 1, 1),
        ])
        .await
        .unwrap();
    assert_eq!(listed(Some(product(0))).await, [one]);
    assert_eq!(listed(Some(product(1))).await, [one, two]);
    assert_eq!(listed(Some(product(9))).await, Vec::<String>::new());
    assert_eq!(listed(None).await, [many]);
    // It is found out later to be in others; the catalogue lists it, and it keeps its places.
    let mut later = record(one, 3..3 + most, 2);
    later.read_at.insert(Source::Kev, at(2));
    facts.merge_vulnerabilities(vec![later]).await.unwrap();
    assert_eq!(listed(Some(product(0))).await, Vec::<String>::new());
    assert_eq!(listed(Some(product(1))).await, [two]);
    assert_eq!(listed(Some(product(2 + most))).await, [one]);
    let followed = facts.list_followed(None, 10).await.unwrap().items;
    assert_eq!(followed.len(), 1);
}
