//! The cause of an incident by rule.

use clients::store::IncidentChange;
use contracts::{activities::incidents::ExplainInput, ids};
use domain::{
    alert::Alert,
    audit::{Actor, AuditRecord},
    cause::{self, CauseReport, Fact, GraphError, Piece},
    ids::{ClientId, DeviceId},
    triage::{IncidentKey, IncidentRecord},
};
use serde_json::json;

use super::IncidentActivities;
use crate::{
    alerts::incident,
    failure::{Failed, Outcome, bug_because},
};

impl IncidentActivities {
    pub(super) async fn look_for_cause(&self, input: &ExplainInput) -> Outcome<CauseReport> {
        let record = incident(&self.store, &input.incident).await?;
        // A repeat finds what the try before has written.
        let known = CauseReport::of(record.cause.as_ref());
        let report = match known.filter(|report| report.version == record.version) {
            Some(report) => report,
            None => self.new_report(&record).await?,
        };
        self.audit_cause(&input.incident, &report).await?;
        Ok(report)
    }

    async fn new_report(&self, record: &IncidentRecord) -> Outcome<CauseReport> {
        let now = self.clock.now();
        let client = record.key.client();
        let ground = self.ground(record, now).await?;
        let (past, compared) = self.alike(record, &ground.alerts).await;
        let mut report = cause::explain(&ground.known(record, now), past).map_err(no_graph)?;
        report.compared = Some(compared);
        // It has its own occasion to be asked for again.
        report.advice = CauseReport::of(record.cause.as_ref()).and_then(|known| known.advice);
        self.add_software(client, &ground.alerts, &mut report)
            .await?;
        report.measurable = self
            .prometheus
            .as_ref()
            .is_some_and(|one| one.knows(client));
        metrics::counter!("autoops_incident_causes", "abstained" => report.abstain.to_string())
            .increment(1);
        self.write_cause(&record.key, &report).await?;
        Ok(report)
    }

    /// Ranks again when scripts ran on devices: they are recent changes.
    pub(super) async fn rank_again(
        &self,
        record: &IncidentRecord,
        report: CauseReport,
    ) -> Outcome<CauseReport> {
        let has_run = |piece: &Piece| matches!(&piece.fact, Fact::Scripts { runs, .. } if !runs.times.is_empty());
        if !report.evidence.iter().any(has_run) {
            return Ok(report);
        }
        let ground = self.ground(record, report.at).await?;
        cause::rank_again(&ground.known(record, report.at), report).map_err(no_graph)
    }

    /// Adds programs that alerts of suspect devices speak of, from lists that campaigns have read: the RMM is
    /// not asked again.
    async fn add_software(
        &self,
        client: &ClientId,
        alerts: &[Alert],
        report: &mut CauseReport,
    ) -> Outcome<()> {
        let suspects = report.suspects.iter();
        let devices = suspects.filter_map(|one| one.machine.parse().ok());
        let devices: Vec<DeviceId> = devices.collect();
        let lists = self.store.inventory.get_software_lists(&devices).await?;
        for list in lists.into_iter().filter(|list| list.client == *client) {
            let own = alerts
                .iter()
                .filter(|alert| alert.machine() == list.device.as_str());
            let titles = own.map(|alert| alert.said.title.as_str());
            let programs = cause::spoken_of(titles, &list.programs);
            if programs.is_empty() {
                continue;
            }
            let fact = Fact::Software {
                device: list.device,
                at: list.read_at,
                listed: list.programs.len() as u64 + list.beyond,
                programs,
            };
            report.add("software", fact);
        }
        Ok(())
    }

    pub(super) async fn write_cause(&self, key: &IncidentKey, report: &CauseReport) -> Outcome<()> {
        let cause = serde_json::to_value(report)
            .map_err(|error| bug_because("the cause of an incident cannot be written", error))?;
        let change = IncidentChange::Cause(cause);
        self.store.alerts.change_incident(key, change).await?;
        Ok(())
    }

    async fn audit_cause(&self, key: &IncidentKey, report: &CauseReport) -> Outcome<()> {
        let suspects = report.suspects.iter();
        let suspects = suspects.map(|one| json!({ "machine": one.machine, "share": one.share_permille, "because": one.because.iter().map(|b| &b.evidence).collect::<Vec<_>>() }));
        let record = AuditRecord {
            chain: ids::incident(key),
            key: format!("incident_explained/{}", report.version),
            at: report.at,
            client: key.client().clone(),
            actor: Actor::Workflow,
            what: "incident_explained".to_owned(),
            evidence: evidence_of(report),
            detail: json!({
                "version": report.version, "abstain": report.abstain,
                "confidence_permille": report.confidence_permille,
                "suspects": suspects.collect::<Vec<_>>(), "compared": report.compared,
            }),
            plan_hash: None,
            policy_version: None,
            tokens: report
                .compared
                .as_ref()
                .map(|compared| compared.tokens)
                .filter(|n| *n > 0),
        };
        self.store.actions.append_audit(record).await?;
        Ok(())
    }
}

fn no_graph(error: GraphError) -> Failed {
    bug_because("the graph of an incident cannot be made", error)
}

/// Names of what the reasons rest on.
fn evidence_of(report: &CauseReport) -> Vec<String> {
    let because = report.suspects.iter().flat_map(|one| &one.because);
    let mut evidence: Vec<String> = because.map(|one| one.evidence.clone()).collect();
    evidence.sort_unstable();
    evidence.dedup();
    evidence
}
