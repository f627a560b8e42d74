//! The question of the correlation agent, asked as the worker asks it.

use agents::correlation::{Asked, parse_reply, request};
use clients::bedrock::{OutputMode, StructuredRequest};
use domain::{
    advice::{Candidate, Proposal, Said, Verdict},
    incident::Link,
    triage::IncidentKey,
};

use super::{
    tests::{HAIKU, client, running, set},
    *,
};

#[tokio::test]
async fn advice_comes_in_a_form_that_the_agent_takes_and_a_hostile_one_does_not() {
    let incident: IncidentKey = "7001-5".parse().unwrap();
    let candidates = [Candidate {
        id: "merge_1".to_owned(),
        proposal: Proposal::Merge {
            into: "7001-3".parse().unwrap(),
        },
        link: Link {
            time: 800,
            topology: 900,
            text: 0,
            change: 0,
        },
        apart_secs: 1_440,
    }];
    let alerts = [Said {
        id: "alert_1".to_owned(),
        incident: incident.clone(),
        machine: Some("81".to_owned()),
        title: "Service Spooler stopped".to_owned(),
    }];
    let asked = Asked {
        incident: &incident,
        candidates: &candidates,
        alerts: &alerts,
    };
    for (faults, usable) in [(json!({}), true), (json!({ "hostile": 1 }), false)] {
        let sim = running(0).await;
        if !usable {
            assert_eq!(set(&sim, faults).await, 200);
        }
        let question = request(asked);
        let question = StructuredRequest {
            system: question.system.to_string(),
            user: question.user.to_string(),
            schema_name: question.schema_name.to_owned(),
            schema: question.schema,
            previous: None,
        };
        let model = client(&sim, HAIKU, OutputMode::JsonSchema, true).await;
        let reply = model.converse(question).await.unwrap();
        let said = parse_reply(&reply.json, asked);
        assert_eq!(said.is_ok(), usable, "{said:?}");
        if let Ok(said) = said {
            assert_eq!(said.opinions[0].verdict, Verdict::Advise);
            assert!(said.opinions[0].reason.contains("7001-3"), "{said:?}");
            assert_eq!(
                said.opinions[0].evidence,
                ["alert_1", "network_1", "time_1"]
            );
            assert!(said.dropped.is_empty());
        }
    }
}
