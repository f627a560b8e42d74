//! What a model makes of the evidence. Whatever it does, there is an answer: the reasons of the rule, marked
//! degraded, when its own cannot be used.

use std::collections::BTreeSet;

use agents::cause;
use contracts::{
    activities::incidents::{Looked, NarrateInput},
    ids,
};
use domain::{
    audit::{Actor, AuditRecord},
    cause::{CauseReport, Fact, Told},
    triage::{IncidentKey, IncidentRecord},
};
use serde_json::{Value, json};

use super::IncidentActivities;
use crate::{alerts::incident, failure::Outcome};

impl IncidentActivities {
    pub(super) async fn tell(&self, input: &NarrateInput) -> Outcome<CauseReport> {
        let record = incident(&self.store, &input.incident).await?;
        let Some(report) = CauseReport::of(record.cause.as_ref()) else {
            // Nobody has looked for it: then there is nothing to tell.
            return self
                .look_for_cause(&contracts::activities::incidents::ExplainInput {
                    incident: input.incident.clone(),
                })
                .await;
        };
        if report.version != input.version {
            // A newer one is there, and is told about on its own.
            return Ok(report);
        }
        let report = match report.told {
            Some(_) => report,
            None => self.asked(input, &record, report).await?,
        };
        self.audit_told(&input.incident, &report).await?;
        Ok(report)
    }

    async fn asked(
        &self,
        input: &NarrateInput,
        record: &IncidentRecord,
        mut report: CauseReport,
    ) -> Outcome<CauseReport> {
        for looked in &input.looked {
            add(&mut report, looked);
        }
        let mut report = self.rank_again(record, report).await?;
        for looked in &input.looked {
            if let Some(found) = &looked.metrics {
                report.add_measured(&looked.device, found.at, found.measured.clone());
            }
        }
        let (answer, tokens, dropped) = match input.unasked {
            Some(why) => (Err(why), 0, Vec::new()),
            None => {
                let parse = |json: &Value| cause::parse_reply(json, &report);
                let asked = self.asker.ask(cause::request(&report), parse).await?;
                (asked.answer, asked.tokens, asked.dropped)
            }
        };
        let (narrative, degraded, mut said) = match answer {
            Ok((said, model)) => {
                let (narrative, dropped) = said.by(model);
                (Some(narrative), None, dropped)
            }
            Err(why) => (None, Some(why), Vec::new()),
        };
        said.extend(dropped);
        let dropped: BTreeSet<String> = said.into_iter().collect();
        report.told = Some(Told {
            at: self.clock.now(),
            narrative,
            degraded,
            tokens,
            dropped: dropped.into_iter().collect(),
        });
        self.write_cause(&input.incident, &report).await?;
        Ok(report)
    }

    async fn audit_told(&self, key: &IncidentKey, report: &CauseReport) -> Outcome<()> {
        let Some(told) = &report.told else {
            return Ok(());
        };
        let narrative = told.narrative.as_ref();
        let record = AuditRecord {
            chain: ids::incident(key),
            key: format!("incident_narrated/{}", report.version),
            at: told.at,
            client: key.client().clone(),
            actor: Actor::Agent {
                name: cause::SCHEMA_NAME.to_owned(),
                model: narrative.and_then(|said| said.model.clone()),
            },
            what: "incident_narrated".to_owned(),
            evidence: narrative
                .map(|said| said.evidence.clone())
                .unwrap_or_default(),
            detail: json!({
                "version": report.version, "degraded": told.degraded, "dropped": told.dropped,
                "abstain": narrative.map(|said| said.abstain),
                "machine": narrative.and_then(|said| said.machine.clone()),
            }),
            plan_hash: None,
            policy_version: None,
            tokens: Some(told.tokens),
        };
        self.store.actions.append_audit(record).await?;
        Ok(())
    }
}

/// Adds what a device said of itself; what is measured on it is a reason of the rank that holds.
fn add(report: &mut CauseReport, looked: &Looked) {
    if let Some(found) = &looked.figures {
        let fact = Fact::Figures {
            device: looked.device.clone(),
            at: found.at,
            figures: found.figures,
        };
        report.add("figures", fact);
    }
    if let Some(found) = &looked.scripts {
        let fact = Fact::Scripts {
            device: looked.device.clone(),
            at: found.at,
            runs: found.runs.clone(),
        };
        report.add("scripts", fact);
    }
}
