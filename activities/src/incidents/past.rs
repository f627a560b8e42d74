//! Incidents of the past: finding those that looked alike, and remembering one that is over. The memory
//! only helps: nothing waits for it, and nothing fails because of it.

use std::collections::BTreeSet;

use clients::{
    bedrock::embeddings::{Embeddings, Purpose},
    memory::{Incident, Look, MemoryResult, Near, Outcome as Kept, Question, Record},
};
use contracts::activities::incidents::{RememberInput, RememberResult};
use domain::{
    alert::{Alert, clean},
    cause::{ByRule, CauseReport, Compared, Past},
    fingerprint::Miner,
    triage::{Closing, IncidentRecord, IncidentStatus},
};
use tracing::warn;

use super::{IncidentActivities, likeness};
use crate::{alerts::incident, failure::Outcome};

/// Incidents of the past that are shown.
const SHOWN: usize = 3;
/// From this cosine on they look alike. Ours: about half of their kinds are the same.
const ALIKE: f64 = 0.5;
/// Kinds and templates that are looked at.
const KINDS: usize = 100;
/// Bytes of a text that are kept.
const TEXT_BYTES: usize = 300;

impl IncidentActivities {
    /// Finds incidents of the past that looked alike, none when the memory cannot be asked; and says
    /// how they were compared.
    pub(super) async fn alike(
        &self,
        record: &IncidentRecord,
        alerts: &[Alert],
    ) -> (Option<Vec<Past>>, Compared) {
        let look = look_of(record, alerts);
        let (near, compared) = match &self.embeddings {
            None => (None, Compared::default()),
            Some(model) => self.near_by_model(model, &look).await,
        };
        let (near, alike) = match (near, &self.embeddings) {
            (Some(near), Some(model)) => (Some(near), f64::from(model.alike_permille()) / 1_000.0),
            _ => (look.vector().ok().map(Near::Rule), ALIKE),
        };
        let Some(near) = near else {
            return (Some(Vec::new()), compared);
        };
        match self.recall(record, near, alike).await {
            Ok(past) => (Some(past), compared),
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    incident = %record.key,
                    "past incidents could not be looked at"
                );
                (None, compared)
            }
        }
    }

    /// Finds out where to look in the space of the model, or why the rule has to do.
    async fn near_by_model(&self, model: &Embeddings, look: &Look) -> (Option<Near>, Compared) {
        let placed = match likeness::is_ready(&self.memory, model).await {
            Ok(true) => likeness::place(model, &look.templates, Purpose::Ask).await,
            // When it cannot be asked at all, that is told by the question itself.
            Ok(false) | Err(_) => Err(ByRule::NotReady),
        };
        match placed {
            Ok(placed) => {
                let compared = Compared {
                    model: Some(model.name().to_string()),
                    by_rule: None,
                    tokens: placed.tokens,
                };
                (Some(Near::Model(placed.vector)), compared)
            }
            Err(why) => {
                let compared = Compared {
                    by_rule: Some(why),
                    ..Compared::default()
                };
                (None, compared)
            }
        }
    }

    async fn recall(
        &self,
        record: &IncidentRecord,
        near: Near,
        from: f64,
    ) -> MemoryResult<Vec<Past>> {
        let question = Question {
            client: record.key.client().clone(),
            near,
            text: None,
            // It may have been closed before, and find itself.
            limit: SHOWN + 1,
        };
        let hits = self.memory.get().await?.recall(&question).await?;
        let own = record.key.to_string();
        let others = hits.into_iter().filter(|hit| hit.incident.id != own);
        let alike = others.filter(|hit| hit.score >= from).take(SHOWN);
        Ok(alike
            .map(|hit| Past {
                likeness_permille: permille(hit.score),
                title: clean(&hit.incident.title, TEXT_BYTES).0,
                cause: hit.incident.cause.map(|text| clean(&text, TEXT_BYTES).0),
                what_worked: hit
                    .incident
                    .what_worked
                    .map(|text| clean(&text, TEXT_BYTES).0),
                closed_at: hit.incident.closed_at,
                incident: hit.incident.id,
            })
            .collect())
    }

    /// Remembers an incident that is over. Again: it replaces what was kept.
    pub(super) async fn keep(&self, input: &RememberInput) -> Outcome<RememberResult> {
        let record = incident(&self.store, &input.incident).await?;
        let IncidentStatus::Closed { at, closing } = &record.status else {
            return Ok(not_kept("it is not closed"));
        };
        let alerts = self.alerts_of(&record.key).await?;
        let look = look_of(&record, &alerts);
        let Ok(rule) = look.vector() else {
            return Ok(not_kept("nothing is known of its alerts"));
        };
        let cause = CauseReport::of(record.cause.as_ref()).and_then(|report| report.words());
        // Without it a worker makes the vector later.
        let placed = match &self.embeddings {
            Some(model) => likeness::place(model, &look.templates, Purpose::Keep)
                .await
                .ok(),
            None => None,
        };
        let tokens = placed.as_ref().map_or(0, |placed| placed.tokens);
        let incident = Incident {
            id: record.key.to_string(),
            client: record.key.client().clone(),
            title: look.templates.first().cloned().unwrap_or_default(),
            text: look.templates.join("\n"),
            fingerprints: look.fingerprints,
            cause: cause.map(|text| clean(&text, TEXT_BYTES).0),
            what_worked: Some(end_of(&record, closing)),
            closed_at: *at,
        };
        let kept = Record {
            incident,
            rule,
            model: placed.map(|placed| placed.vector),
        };
        let kept = match self.memory.get().await {
            Ok(memory) => memory.remember(vec![kept]).await,
            Err(error) => Err(error),
        };
        let why = match kept.map(|outcomes| outcomes.into_iter().next()) {
            Ok(Some(Kept::Kept)) => {
                return Ok(RememberResult {
                    kept: true,
                    why: None,
                    tokens,
                });
            }
            Ok(Some(Kept::Refused { why } | Kept::Retry { why })) => why,
            Ok(None) => "the memory did not say".to_owned(),
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    incident = %record.key,
                    "the incident could not be remembered"
                );
                error.to_string()
            }
        };
        Ok(not_kept(&why))
    }
}

fn not_kept(why: &str) -> RememberResult {
    RememberResult {
        kept: false,
        why: Some(clean(why, TEXT_BYTES).0),
        tokens: 0,
    }
}

/// What an incident looks like.
fn look_of(record: &IncidentRecord, alerts: &[Alert]) -> Look {
    let placed = alerts.iter().filter_map(|alert| alert.placement.as_ref());
    let kinds: BTreeSet<&str> = placed.map(|placed| placed.kind.as_str()).collect();
    let mut templates: Vec<String> = Vec::new();
    for title in record.news.incident.titles.iter().take(KINDS) {
        let template = template_of(title);
        if !template.is_empty() && !templates.contains(&template) {
            templates.push(template);
        }
    }
    let kbs = record.news.suspects.iter().flat_map(|one| &one.kbs);
    let kbs: BTreeSet<String> = kbs.map(ToString::to_string).collect();
    Look {
        fingerprints: kinds
            .into_iter()
            .filter(|kind| !kind.is_empty())
            .take(KINDS)
            .map(|kind| clean(kind, TEXT_BYTES).0)
            .collect(),
        templates,
        kbs: kbs.into_iter().take(KINDS).collect(),
    }
}

/// Names, numbers and addresses become placeholders: a memory keeps no values of alerts.
fn template_of(title: &str) -> String {
    let mut miner = Miner::new();
    let handle = miner.observe(title.as_bytes());
    let template = miner.template(handle);
    clean(
        &template.map(|one| one.text).unwrap_or_default(),
        TEXT_BYTES,
    )
    .0
}

/// How it ended, in words.
fn end_of(record: &IncidentRecord, closing: &Closing) -> String {
    let left_over = record.news.suspects.iter().find(|one| one.left_over);
    let halted = left_over.map(|one| format!("; the wave was told to halt, {}", one.words()));
    clean(&(closing.words() + &halted.unwrap_or_default()), TEXT_BYTES).0
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 1000"
)]
fn permille(cosine: f64) -> u16 {
    (cosine.clamp(0.0, 1.0) * 1000.0).round() as u16
}
