//! Advice on what belongs together: the rule finds what it is not sure of, a model says what it makes of that.
//! Nothing is merged or split here.

use std::collections::BTreeSet;

use agents::correlation::{self, Asked};
use clients::store::IncidentsOf;
use contracts::{activities::incidents::AdviseInput, ids};
use domain::{
    advice::{self, Candidate, IncidentAdvice, Known, Said},
    audit::{Actor, AuditRecord},
    cause::CauseReport,
    triage::{IncidentKey, IncidentRecord, IncidentStatus},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{IncidentActivities, PAGE};
use crate::{
    alerts::incident,
    failure::{Outcome, bug_because},
};

/// Incidents of the client that are compared with one, the newest.
const OTHERS: usize = 1_000;

impl IncidentActivities {
    pub(super) async fn advise_on(&self, input: &AdviseInput) -> Outcome<CauseReport> {
        let record = incident(&self.store, &input.incident).await?;
        let Some(report) = CauseReport::of(record.cause.as_ref()) else {
            // Advice is kept with the cause: that has to be looked for first.
            return self
                .look_for_cause(&contracts::activities::incidents::ExplainInput {
                    incident: input.incident.clone(),
                })
                .await;
        };
        if record.status != IncidentStatus::Open {
            return Ok(report);
        }
        let now = self.clock.now();
        let (candidates, alerts) = self.near_misses(&record, now).await?;
        let asked = IncidentAdvice::hash_of(&candidates)
            .map_err(|error| bug_because("proposals cannot be written as JSON", error))?;
        let report = match &report.advice {
            // A repeat finds what the try before has written, and its entry.
            Some(known) if known.asked == asked => report,
            None if candidates.is_empty() => report,
            _ => {
                let before = report.advice.as_ref().map_or(0, |known| known.round);
                let advice = IncidentAdvice {
                    round: before + 1,
                    at: now,
                    asked,
                    candidates,
                    alerts,
                    opinions: Vec::new(),
                    model: None,
                    degraded: None,
                    tokens: 0,
                    dropped: Vec::new(),
                };
                let advice = self.asked_about(input, advice).await?;
                let report = CauseReport {
                    advice: Some(advice),
                    ..report
                };
                self.write_cause(&record.key, &report).await?;
                report
            }
        };
        self.audit_advice(&record.key, &report).await?;
        Ok(report)
    }

    async fn near_misses(
        &self,
        record: &IncidentRecord,
        now: Timestamp,
    ) -> Outcome<(Vec<Candidate>, Vec<Said>)> {
        let (network, mut alerts) = self.recognised(record, now).await?;
        // Who is hidden in it, or was split from it, is no part of it.
        let machines = &record.news.incident.devices;
        alerts.retain(|alert| machines.iter().any(|one| one == alert.machine()));
        let others = self.others(record).await?;
        Ok(advice::near_misses(&Known {
            record,
            alerts: &alerts,
            others: &others,
            topology: &network.topology,
        }))
    }

    /// Lists incidents of the client that may be one with this one.
    async fn others(&self, record: &IncidentRecord) -> Outcome<Vec<IncidentRecord>> {
        let from = record.opened_at.checked_sub(advice::NEAR);
        let from = from.unwrap_or(Timestamp::MIN);
        let of = IncidentsOf::Client(record.key.client().clone());
        let (mut others, mut cursor, mut read) = (Vec::new(), None::<String>, 0);
        loop {
            let store = self.store.alerts.as_ref();
            let page = store.list_incidents(&of, cursor.as_deref(), PAGE).await?;
            read += page.items.len();
            let too_old = page.items.iter().any(|other| other.opened_at < from);
            let near = |other: &IncidentRecord| other.opened_at >= from && other.key != record.key;
            others.extend(page.items.into_iter().filter(near));
            cursor = page.next;
            if cursor.is_none() || too_old || read >= OTHERS {
                return Ok(others);
            }
        }
    }

    async fn asked_about(
        &self,
        input: &AdviseInput,
        mut advice: IncidentAdvice,
    ) -> Outcome<IncidentAdvice> {
        if advice.candidates.is_empty() {
            return Ok(advice);
        }
        let asked = Asked {
            incident: &input.incident,
            candidates: &advice.candidates,
            alerts: &advice.alerts,
        };
        let (answer, tokens, dropped) = match input.unasked {
            Some(why) => (Err(why), 0, Vec::new()),
            None => {
                let parse = |json: &Value| correlation::parse_reply(json, asked);
                let asked = self.asker.ask(correlation::request(asked), parse).await?;
                (asked.answer, asked.tokens, asked.dropped)
            }
        };
        let mut all: BTreeSet<String> = dropped.into_iter().collect();
        match answer {
            Ok((said, model)) => {
                all.extend(said.dropped);
                (advice.opinions, advice.model) = (said.opinions, Some(model));
            }
            Err(why) => advice.degraded = Some(why),
        }
        (advice.tokens, advice.dropped) = (tokens, all.into_iter().collect());
        Ok(advice)
    }

    async fn audit_advice(&self, key: &IncidentKey, report: &CauseReport) -> Outcome<()> {
        let asked = report.advice.as_ref();
        let Some(advice) = asked.filter(|one| !one.candidates.is_empty()) else {
            return Ok(());
        };
        let candidates = advice.candidates.iter().map(|one| {
            json!({ "id": one.id, "what": one.proposal, "score": one.link.score(), "link": one.link })
        });
        let opinions = advice.opinions.iter().map(|one| {
            json!({ "candidate": one.candidate, "verdict": one.verdict, "evidence": one.evidence })
        });
        let cited = advice.opinions.iter().flat_map(|one| &one.evidence);
        let cited: BTreeSet<&String> = cited.collect();
        let record = AuditRecord {
            chain: ids::incident(key),
            key: format!("incident_advised/{}", advice.round),
            at: advice.at,
            client: key.client().clone(),
            actor: Actor::Agent {
                name: correlation::SCHEMA_NAME.to_owned(),
                model: advice.model.clone(),
            },
            what: "incident_advised".to_owned(),
            evidence: cited.into_iter().cloned().collect(),
            detail: json!({
                "round": advice.round, "degraded": advice.degraded,
                "dropped": advice.dropped, "candidates": candidates.collect::<Vec<_>>(),
                "opinions": opinions.collect::<Vec<_>>(),
            }),
            plan_hash: None,
            policy_version: None,
            tokens: Some(advice.tokens),
        };
        self.store.actions.append_audit(record).await?;
        Ok(())
    }
}
