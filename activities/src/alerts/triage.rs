//! A turn of triage: what is new of a client's alerts goes into its state, and what comes of it is written.

use clients::{
    store::{IncidentChange, IncidentsOf, StoreError, Turn, TurnEnd},
    triage::{Facts, read_state, write_state},
};
use contracts::activities::alerts::{TriageInput, TriageResult, Undelivered};
use domain::{
    audit::{Actor, AuditRecord},
    people::Identity,
    triage::{self, Closing, IncidentKey, Order, OrderAnswer, OrderKind, Triage},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use temporalio_sdk::activities::ActivityContext;

use super::Alerting;
use crate::failure::{Failed, Outcome, passing_error};

/// Orders that one turn carries out.
const ORDERS: usize = 20;
/// Incidents whose workflows are told after one turn; the next turn names the others.
const TOLD: usize = 100;

/// News of one step of a turn, and incidents or alerts of one step of what it writes.
const STEP: usize = 200;

/// Names who does a turn: a try of an activity does one.
#[must_use]
pub fn claim(ctx: &ActivityContext) -> String {
    let info = ctx.info();
    format!(
        "{}-{}-{}",
        info.workflow_run_id.as_deref().unwrap_or_default(),
        info.activity_id,
        info.attempt
    )
}

impl Alerting {
    /// Does a turn; whoever begins one later with another claim takes it away. `alive` is called after each
    /// step.
    ///
    /// # Errors
    /// When the store does not answer, or somebody else has begun a turn; a try with a new claim may do it.
    pub async fn turn(
        &self,
        input: &TriageInput,
        claim: &str,
        alive: &(dyn Fn() + Send + Sync),
    ) -> Outcome<TriageResult> {
        let alerts = self.store.alerts.as_ref();
        let now = self.clock.now();
        let begun = alerts.begin_turn(&input.client, claim).await;
        let turn = begun.map_err(lost)?;
        alive();
        let mut triage = read_state(turn.state.as_deref())?;
        let lag = SignedDuration::from_secs(i64::try_from(input.lag_secs).unwrap_or(i64::MAX));
        let until = now.checked_sub(lag).unwrap_or(now);
        let most = input.news as usize;
        let mut news = alerts
            .read_news(&input.client, Timestamp::MAX, most + 1)
            .await?;
        let waiting = news.len();
        news.retain(|event| event.at <= until);
        news.truncate(most);
        // What is too young waits for others that are older and come later.
        let young = (waiting > news.len()).then(|| now.checked_add(lag).unwrap_or(now));
        let orders = alerts.read_orders(&input.client, ORDERS).await?;
        alive();
        let network = self.networks.of(&self.store, &input.client, now).await?;
        network.recognise(&mut news);
        let facts = Facts::gather(
            &self.store,
            &self.networks,
            &input.client,
            &triage,
            &news,
            now,
        )
        .await?;
        alive();
        triage.set_topology(&facts.network().topology);
        let facts = facts.at(now);
        for step in news.chunks(STEP) {
            for event in step {
                triage.take(event, &facts);
            }
            alive();
            // Who listens has to come to it: nothing else is waited for meanwhile.
            tokio::task::yield_now().await;
        }
        triage.settle(&facts);
        let mut answers = Vec::new();
        for order in &orders {
            let meant = network.order(order.clone());
            answers.push((order.id.clone(), carry_out(&mut triage, &meant)));
        }
        let outcome = triage.turn();
        let active = triage.active() as u64;
        for step in in_steps(&outcome) {
            let written = alerts.write_outcome(&turn, step, now).await;
            written.map_err(lost)?;
            alive();
        }
        for (order, (_, answer)) in orders.iter().zip(&answers) {
            self.note_order(&turn, order, answer, now).await?;
        }
        let full = news.len() >= most || orders.len() >= ORDERS;
        let next_due = triage.next_due().into_iter().chain(young).min();
        let taken = news.len() as u64;
        let end = TurnEnd {
            state: write_state(&triage)?,
            taken: news,
            answers,
            more: full || next_due.is_some(),
        };
        alerts.end_turn(&turn, end).await.map_err(lost)?;
        alive();
        let untold = IncidentsOf::UndeliveredOf(input.client.clone());
        let untold = alerts.list_incidents(&untold, None, TOLD).await?;
        let undelivered = untold.items.iter().map(|record| Undelivered {
            incident: record.key.clone(),
            version: record.version,
        });
        Ok(TriageResult {
            news: taken,
            orders: orders.len() as u64,
            undelivered: undelivered.collect(),
            more: full || untold.next.is_some(),
            next_due: next_due.map(|due| due.max(now)),
            active,
        })
    }

    /// A person's word about an incident is audited, and closes what it says is over.
    async fn note_order(
        &self,
        turn: &Turn,
        order: &Order,
        answer: &OrderAnswer,
        now: Timestamp,
    ) -> Outcome<()> {
        if let (OrderKind::Close { incident }, OrderAnswer::Done { .. }) = (&order.kind, answer) {
            let alerts = self.store.alerts.as_ref();
            if let Some(record) = alerts.get_incident(incident).await? {
                let change = IncidentChange::Closed {
                    version: record.version,
                    closing: Closing::ByPerson {
                        by: order.by.clone(),
                        reason: order.reason.clone(),
                    },
                    at: now,
                };
                alerts.change_incident(incident, change).await?;
            }
        }
        let record = AuditRecord {
            chain: format!("incidents/{}", turn.client),
            key: format!("order-{}", order.id),
            at: now,
            client: turn.client.clone(),
            actor: Actor::Person {
                name: order.by.to_string(),
                identity: Identity::Claimed,
            },
            what: format!("incident_{}", order.kind.as_str()),
            evidence: order
                .kind
                .incidents()
                .into_iter()
                .map(ToString::to_string)
                .collect(),
            detail: json!({ "reason": order.reason, "answer": answer }),
            plan_hash: None,
            policy_version: None,
            tokens: None,
        };
        self.store.actions.append_audit(record).await?;
        Ok(())
    }
}

/// A turn that was taken away is done again by another try, which begins where the other one has ended.
fn lost(error: StoreError) -> Failed {
    match error {
        StoreError::Conflict { .. } => passing_error("store", error),
        error => error.into(),
    }
}

/// Incidents before alerts: none names one that is not there.
fn in_steps(outcome: &triage::Outcome) -> impl Iterator<Item = triage::Outcome> {
    let incidents = outcome.incidents.chunks(STEP).map(|some| triage::Outcome {
        incidents: some.to_vec(),
        placements: vec![],
    });
    let placements = outcome.placements.chunks(STEP).map(|some| triage::Outcome {
        placements: some.to_vec(),
        incidents: vec![],
    });
    incidents.chain(placements)
}

fn carry_out(triage: &mut Triage, order: &Order) -> OrderAnswer {
    match &order.kind {
        OrderKind::Merge { from, into } => {
            if triage.merge(from.number(), into.number()) {
                OrderAnswer::Done {
                    incident: Some(into.clone()),
                }
            } else {
                OrderAnswer::Refused {
                    why: format!("incident {from} or {into} is over, or both are one"),
                }
            }
        }
        OrderKind::Split { incident, machines } => {
            let machines: Vec<&str> = machines.iter().map(String::as_str).collect();
            match triage.split(incident.number(), &machines) {
                Ok(new) => OrderAnswer::Done {
                    incident: Some(IncidentKey::new(incident.client().clone(), new)),
                },
                Err(why) => OrderAnswer::Refused {
                    why: format!("incident {incident} {why}"),
                },
            }
        }
        OrderKind::Close { incident } => {
            if triage.close(incident.number()) {
                OrderAnswer::Done {
                    incident: Some(incident.clone()),
                }
            } else {
                OrderAnswer::Refused {
                    why: format!("incident {incident} is over, or was taken in by another one"),
                }
            }
        }
    }
}
