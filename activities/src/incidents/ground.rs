//! What the cause of an incident is looked for in.

use clients::triage::Network;
use domain::{
    alert::Alert,
    cause::{Known, changed_around, silent_around},
    triage::{IncidentRecord, Suspect},
};
use jiff::Timestamp;

use super::IncidentActivities;
use crate::failure::Outcome;

/// Alerts of an incident, the network around its machines, and what was changed on them.
pub(super) struct Ground {
    pub(super) alerts: Vec<Alert>,
    pub(super) network: Network,
    /// Of machines with alerts, as triage says, then of those around that are silent.
    suspects: Vec<Suspect>,
}

impl Ground {
    pub(super) fn known<'a>(&'a self, record: &'a IncidentRecord, at: Timestamp) -> Known<'a> {
        Known {
            version: record.version,
            at,
            machines: &record.news.incident.devices,
            depends_on: &self.network.topology.depends_on,
            alerts: &self.alerts,
            suspects: &self.suspects,
        }
    }
}

impl IncidentActivities {
    pub(super) async fn ground(&self, record: &IncidentRecord, now: Timestamp) -> Outcome<Ground> {
        let (network, alerts) = self.recognised(record, now).await?;
        let mut ground = Ground {
            alerts,
            network,
            suspects: record.news.suspects.clone(),
        };
        let known = ground.known(record, now);
        let silent = silent_around(&known);
        let waves = self.store.alerts.get_expectations(&silent).await?;
        ground.suspects = changed_around(&known, &waves, &silent);
        Ok(ground)
    }

    /// Reads the alerts of an incident, of the devices that they name, and the network of its client.
    pub(super) async fn recognised(
        &self,
        record: &IncidentRecord,
        now: Timestamp,
    ) -> Outcome<(Network, Vec<Alert>)> {
        let client = record.key.client();
        let network = self.networks.of(&self.store, client, now).await?;
        let mut alerts = self.alerts_of(&record.key).await?;
        for alert in &mut alerts {
            alert.said.recognise(&network.names);
        }
        Ok((network, alerts))
    }
}
