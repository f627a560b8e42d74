//! Sources of vulnerability facts are read by a workflow, whatever becomes of one of them.

use autoops_tests::{
    Lost, World,
    deployment::ended,
    fakes::intel::{FOLLOWED, NVD_PAGES},
    run, site, wire,
};
use contracts::{
    activities::READING,
    failures::INVALID_INPUT,
    intel::{IntelSource, IntelSyncResult, SourceEnd, SourceReading},
};
use serde_json::{Value, json};

pub(crate) async fn read(name: &str, input: Value) -> Result<IntelSyncResult, (String, String)> {
    let id = format!("intel-sync/{name}");
    ended(site().await.client(), "IntelSync", &id, wire::json(&input)).await
}

fn of(result: &IntelSyncResult, source: IntelSource) -> &SourceReading {
    let found = result
        .sources
        .iter()
        .find(|reading| reading.source == source);
    found.unwrap()
}

#[test]
fn all_sources_are_read_to_their_end() {
    run(async {
        let world = World::new(site().await, "read-all", 1);
        let result = read("read-all", json!({})).await.unwrap();
        let order: Vec<_> = result
            .sources
            .iter()
            .map(|reading| reading.source)
            .collect();
        assert_eq!(order, IntelSource::ALL);
        for reading in &result.sources {
            assert_eq!(reading.end, SourceEnd::Done, "{reading:?}");
        }
        assert_eq!(of(&result, IntelSource::Nvd).counts.requests, NVD_PAGES);
        let followed = FOLLOWED.len() as u64;
        assert_eq!(of(&result, IntelSource::CveServices).counts.read, followed);
        assert_eq!(of(&result, IntelSource::Epss).counts.read, followed);
        for activity in READING {
            assert!(world.read(|m| m.calls_of(activity)) > 0, "{activity}");
        }
    });
}

#[test]
fn a_source_that_does_not_answer_does_not_hold_up_the_others() {
    run(async {
        for activity in READING {
            for (word, lost) in [
                ("away", Lost::Retryable),
                ("unheard", Lost::Answer),
                ("refused", Lost::Refused("harness.unauthorized")),
            ] {
                let refused = matches!(lost, Lost::Refused(_));
                let name = format!("read-{}-{word}", activity.replace(['.', '_'], "-"));
                let world = World::new(site().await, &name, 1);
                let times = (!refused).then_some(1);
                world.change(|m| m.fail(activity, times, lost.clone()));
                let result = read(&name, json!({ "give_up_secs": 60 })).await.unwrap();
                let failed = result.sources.iter();
                let failed = failed
                    .filter(|r| matches!(r.end, SourceEnd::Failed { .. }))
                    .count();
                // Two sources ask which ones are due.
                let expected = match (refused, activity) {
                    (false, _) => 0,
                    (true, "intel.next_due") => 2,
                    (true, _) => 1,
                };
                assert_eq!(failed, expected, "{name}: {result:?}");
                assert_eq!(result.sources.len(), IntelSource::ALL.len());
            }
        }
    });
}

#[test]
fn a_run_that_may_ask_little_says_that_there_is_more() {
    run(async {
        let _world = World::new(site().await, "read-little", 1);
        let input =
            json!({ "sources": ["nvd", "cve_services"], "most_pages": 1, "most_records": 1 });
        let result = read("read-little", input).await.unwrap();
        assert_eq!(result.sources.len(), 2);
        for reading in &result.sources {
            assert_eq!(reading.end, SourceEnd::Partial, "{reading:?}");
            assert_eq!(reading.counts.requests, 1);
        }
    });
}

#[test]
fn input_that_cannot_be_used_is_named() {
    run(async {
        for (name, input, field) in [
            ("read-fast", json!({ "nvd_secs": 60 }), "nvd_secs: `60`"),
            ("read-none", json!({ "most_pages": 0 }), "most_pages: `0`"),
            ("read-typo", json!({ "source": ["nvd"] }), "source"),
            ("read-what", json!({ "sources": ["osv"] }), "osv"),
        ] {
            let (kind, words) = read(name, input).await.unwrap_err();
            assert_eq!(kind, INVALID_INPUT, "{words}");
            assert!(words.contains(field), "{words}");
        }
    });
}
