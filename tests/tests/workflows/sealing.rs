//! The audit trail is sealed by a workflow, whatever becomes of its activity.

use std::sync::Arc;

use autoops_tests::{Lost, World, deployment::ended, run, site, wire};
use clients::seal::check;
use contracts::{activities::SEALING, failures::INVALID_INPUT, seal::DailySealResult};
use domain::audit::{Actor, AuditRecord};
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use serde_json::{Value, json};
use temporalio_common::data_converters::RawValue;

fn today() -> Date {
    TimeZone::UTC.to_datetime(Timestamp::now()).date()
}

/// A world in which something was written down yesterday.
pub(crate) async fn world(name: &str) -> Arc<World> {
    let world = World::new(site().await, name, 1);
    let yesterday = Timestamp::now() - 24.hours();
    for key in ["a", "b"] {
        let record = AuditRecord {
            chain: "w".into(),
            key: key.into(),
            at: yesterday,
            client: "7".parse().unwrap(),
            actor: Actor::Workflow,
            what: "step".into(),
            evidence: vec![],
            detail: Value::Null,
            plan_hash: None,
            policy_version: None,
            tokens: None,
        };
        world.store().actions.append_audit(record).await.unwrap();
    }
    world
}

/// Seals as a schedule or a person does it.
pub(crate) async fn seal(
    name: &str,
    input: Option<Value>,
) -> Result<DailySealResult, (String, String)> {
    let id = format!("daily-seal/{name}");
    let input = input.map_or_else(|| RawValue::new(vec![]), |input| wire::json(&input));
    ended(site().await.client(), "DailySeal", &id, input).await
}

#[test]
fn without_any_input_everything_until_yesterday_is_sealed() {
    run(async {
        let world = world("seal-plain").await;
        let sealed = seal("seal-plain", None).await.unwrap();
        let yesterday = today().yesterday().unwrap();
        assert_eq!((sealed.sequence, sealed.entries), (1, 2));
        assert!(sealed.is_new && [yesterday, today()].contains(&sealed.through));
        let found = check(world.store().actions.as_ref(), world.objects()).await;
        let found = found.unwrap();
        assert_eq!((found.entries, found.broken), (2, vec![]));
    });
}

#[test]
fn a_seal_survives_an_activity_that_fails_is_silent_or_is_not_heard() {
    run(async {
        for (name, lost) in [
            ("seal-unavailable", Lost::Retryable),
            ("seal-silent", Lost::Silent),
            ("seal-unheard", Lost::Answer),
        ] {
            let world = world(name).await;
            world.change(|m| m.fail(SEALING, Some(1), lost.clone()));
            let through = json!({ "through": today(), "try_secs": 2 });
            let sealed = seal(name, Some(through)).await.unwrap();
            assert!(world.read(|m| m.calls_of(SEALING)) >= 2, "{name}");
            // What was not heard is found done.
            assert_eq!(sealed.is_new, lost != Lost::Answer, "{name}");
            let found = check(world.store().actions.as_ref(), world.objects()).await;
            let found = found.unwrap();
            assert_eq!((found.seals, found.entries), (1, 2), "{name}");
        }
    });
}

#[test]
fn a_seal_that_is_refused_says_why() {
    run(async {
        let world = world("seal-refused").await;
        world.change(|m| m.fail(SEALING, None, Lost::Refused("harness.unauthorized")));
        let (kind, words) = seal("seal-refused", None).await.unwrap_err();
        assert_eq!(kind, "harness.unauthorized");
        assert!(words.contains("refused on demand"), "{words}");
    });
}

#[test]
fn a_day_that_has_not_begun_and_a_typo_are_named() {
    run(async {
        let tomorrow = today() + 2.days();
        for (name, input, field) in [
            ("seal-early", json!({ "through": tomorrow }), "through"),
            ("seal-typo", json!({ "trough": tomorrow }), "trough"),
            ("seal-word", json!({ "through": "soon" }), "through"),
        ] {
            let (kind, words) = seal(name, Some(input)).await.unwrap_err();
            assert_eq!(kind, INVALID_INPUT, "{words}");
            assert!(words.contains(field), "{words}");
        }
    });
}
