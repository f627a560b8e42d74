//! The question of the root cause agent, asked as the worker asks it.

use agents::cause::{parse_reply, request};
use clients::bedrock::{OutputMode, StructuredRequest};
use domain::{
    alert::{AlertId, AlertSeverity, AlertSource},
    cause::{Because, CauseReport, Fact, Piece, SuspectMachine},
};
use jiff::Timestamp;

use super::{
    tests::{HAIKU, client, running, set},
    *,
};

fn report() -> CauseReport {
    let at: Timestamp = "2026-11-28T10:00:00Z".parse().unwrap();
    let fact = Fact::Alert {
        alert: AlertId::new(AlertSource::Superops, "1").unwrap(),
        machine: "81".to_owned(),
        title: "Service Spooler stopped".to_owned(),
        severity: AlertSeverity::High,
        at,
    };
    CauseReport {
        version: 1,
        at,
        confidence_permille: 700,
        abstain: false,
        suspects: vec![SuspectMachine {
            machine: "81".to_owned(),
            share_permille: 1000,
            because: vec![Because {
                evidence: "alert_1".to_owned(),
                text: "first".to_owned(),
            }],
        }],
        evidence: vec![Piece {
            id: "alert_1".to_owned(),
            fact,
        }],
        memory_asked: true,
        compared: None,
        measurable: false,
        told: None,
        advice: None,
    }
}

#[tokio::test]
async fn a_cause_is_told_in_a_form_that_the_agent_takes_and_a_hostile_one_it_does_not() {
    for (faults, usable) in [(json!({}), true), (json!({ "hostile": 1 }), false)] {
        let sim = running(0).await;
        if !usable {
            assert_eq!(set(&sim, faults).await, 200);
        }
        let question = request(&report());
        let question = StructuredRequest {
            system: question.system.to_string(),
            user: question.user.to_string(),
            schema_name: question.schema_name.to_owned(),
            schema: question.schema,
            previous: None,
        };
        let model = client(&sim, HAIKU, OutputMode::JsonSchema, true).await;
        let reply = model.converse(question).await.unwrap();
        let said = parse_reply(&reply.json, &report());
        assert_eq!(said.is_ok(), usable, "{said:?}");
        if let Ok(said) = said {
            let (narrative, dropped) = said.by(reply.model);
            assert_eq!(narrative.machine.as_deref(), Some("81"));
            assert_eq!(
                (narrative.evidence, dropped),
                (vec!["alert_1".to_owned()], vec![])
            );
        }
    }
}
