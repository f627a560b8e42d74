use domain::vulnerability::{
    deadline::Automatable,
    record::{Said, Source, VulnerabilityRecord},
};
use jiff::Timestamp;

use super::facts::lines;

fn at() -> Timestamp {
    "2026-11-01T00:00:00Z".parse().unwrap()
}

#[test]
fn each_fact_has_its_source_and_who_disagrees_is_named() {
    let mut record = VulnerabilityRecord::new("CVE-2024-0001".parse().unwrap());
    let vector = |value: &str, source| Said {
        value: value.to_owned(),
        source,
        at: at(),
        because: None,
    };
    record.vector.say(vector("CVSS:3.1/by-nvd", Source::Nvd));
    record.vector.say(vector("CVSS:3.1/by-cna", Source::Cna));
    record.automatable.say(Said {
        value: Automatable::Yes,
        source: Source::Derived,
        at: at(),
        because: Some("no login is needed".to_owned()),
    });
    record
        .description
        .say(vector("\u{1b}[2Jgone\u{202e}", Source::Cna));
    record.read_at.insert(Source::Nvd, at());
    let text = lines(&record).join("\n");
    assert!(
        text.contains("vector: CVSS:3.1/by-cna (publisher, 2026-11-01T00:00:00Z)"),
        "{text}"
    );
    assert!(text.contains("  but CVSS:3.1/by-nvd (NVD, "), "{text}");
    assert!(
        text.contains(
            "automatable: yes (derived by rule, 2026-11-01T00:00:00Z: no login is needed)"
        ),
        "{text}"
    );
    assert!(
        text.contains("catalogue of known exploited vulnerabilities: no"),
        "{text}"
    );
    assert!(
        !text.contains('\u{1b}') && !text.contains('\u{202e}'),
        "{text:?}"
    );
    assert!(text.ends_with("read: NVD 2026-11-01T00:00:00Z"), "{text}");
}
