//! What is common to readers of alerts that other tools send.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    AlertId, AlertSeverity, AlertSource, DESCRIPTION_BYTES, NAME_BYTES, Sighting, TITLE_BYTES,
    text::{clean, key_of, lossy},
};
use crate::{ids::ClientId, input::Problem, machine::Machines};

/// Alerts of one request that are taken; those that were raised later than so many others are left out.
pub(super) const MOST: usize = 10_000;
/// Findings that are told.
const TOLD: usize = 20;

/// Which labels of Alertmanager say what; the first one that is there counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Labels {
    /// The client, as its `SuperOps` `accountId`.
    pub client: Vec<String>,
    /// The device, as its `SuperOps` `assetId`.
    pub device: Vec<String>,
    /// The name of the machine; a port after it is taken off.
    pub host: Vec<String>,
    /// The site.
    pub site: Vec<String>,
}

impl Default for Labels {
    fn default() -> Self {
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            client: of(&["client", "tenant"]),
            device: of(&["device", "asset_id"]),
            host: of(&["host", "hostname", "instance"]),
            site: of(&["site"]),
        }
    }
}

/// What was wrong with alerts of a request, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IntakeCounts {
    /// Alerts that could not be read.
    pub refused: u64,
    /// Alerts of no client that we know by its form.
    pub without_client: u64,
    /// Texts that were cut.
    pub cut: u64,
    /// Alerts beyond what one request may have: the newest of them.
    pub beyond: u64,
    /// Alerts whose machine may be one of several devices of its name.
    pub ambiguous: u64,
    /// Places that are no UTF-8.
    pub not_utf8: u64,
}

/// Alerts of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Intake {
    /// Those that could be read.
    pub sightings: Vec<Sighting>,
    /// What was wrong.
    pub counts: IntakeCounts,
    /// The first findings.
    pub problems: Vec<Problem>,
}

/// An alert in the words of its sender.
#[derive(Debug, Default)]
pub(super) struct Raw<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) client: Option<&'a str>,
    pub(super) device: Option<&'a str>,
    pub(super) host: Option<&'a str>,
    pub(super) address: Option<&'a str>,
    pub(super) site: Option<&'a str>,
    pub(super) title: &'a str,
    pub(super) description: &'a str,
    pub(super) severity: &'a str,
    pub(super) raised_at: Option<Timestamp>,
    pub(super) cleared: Option<Option<Timestamp>>,
    pub(super) lasting: bool,
    pub(super) occurrences: Option<u32>,
}

impl Intake {
    /// Begins with what a request says: one byte that is no UTF-8 does not lose all the others.
    pub(super) fn begin<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<(Self, T)> {
        let (text, not_utf8) = lossy(body);
        let said = serde_json::from_str(&text)?;
        let mut intake = Self::default();
        intake.counts.not_utf8 = not_utf8;
        Ok((intake, said))
    }

    /// Leaves out what a request has too much: where a storm begins tells more than where it goes on.
    pub(super) fn keep_oldest(&mut self, most: usize) {
        let beyond = self.sightings.len().saturating_sub(most);
        if beyond > 0 {
            self.counts.beyond += beyond as u64;
            self.sightings.sort_by_key(|said| said.raised_at);
            self.sightings.truncate(most);
        }
    }

    /// Lets the devices of a client be recognised by their names; a name that several of them have stays.
    pub fn recognise(&mut self, client: &ClientId, machines: &Machines) {
        let mut ambiguous = Vec::new();
        for said in &mut self.sightings {
            if said.client != *client {
                continue;
            }
            if let Some((name, count)) = said.recognise(machines) {
                let allowed = format!(
                    "a device id: {count} devices of client {client} have this name, and it stays a name"
                );
                ambiguous.push(Problem::new(format!("{}.host", said.id), name, allowed));
            }
        }
        self.counts.ambiguous += ambiguous.len() as u64;
        ambiguous.into_iter().for_each(|problem| self.tell(problem));
    }

    /// Notes that an alert is left out.
    pub(super) fn refuse(&mut self, problem: Problem) {
        self.counts.refused += 1;
        self.tell(problem);
    }

    fn tell(&mut self, problem: Problem) {
        if self.problems.len() < TOLD {
            self.problems.push(problem);
        }
    }

    /// Adds an alert; `at` names it in findings.
    pub(super) fn add(&mut self, source: AlertSource, at: &str, raw: &Raw<'_>, now: Timestamp) {
        let title = self.cut(raw.title, TITLE_BYTES);
        if title.is_empty() {
            let problem = Problem::new(format!("{at}.title"), "", "a text");
            return self.refuse(problem);
        }
        let client: Option<ClientId> = raw.client.and_then(|text| text.trim().parse().ok());
        self.counts.without_client += u64::from(client.is_none());
        let client = client.unwrap_or_else(ClientId::unknown);
        let mut name = |text: Option<&str>| {
            let text = text.map(|text| self.cut(text, NAME_BYTES));
            text.filter(|text| !text.is_empty())
        };
        let (host, address, site) = (name(raw.host), name(raw.address), name(raw.site));
        let device = raw.device.and_then(|text| text.trim().parse().ok());
        let own = raw.id.map(ToOwned::to_owned).unwrap_or_else(|| {
            let host = host.as_deref().unwrap_or_default();
            key_of(&[client.as_str(), raw.device.unwrap_or(host), &title])
        });
        let id = match AlertId::new(source, &own) {
            Ok(id) => id,
            Err(problem) => {
                let field = format!("{at}.id");
                return self.refuse(Problem { field, ..problem });
            }
        };
        let description = self.cut(raw.description, DESCRIPTION_BYTES);
        self.sightings.push(Sighting {
            id,
            client,
            device,
            host,
            address,
            site,
            title,
            description,
            severity: AlertSeverity::of(raw.severity),
            raised_at: raw.raised_at.unwrap_or(now),
            cleared: raw.cleared,
            lasting: raw.lasting,
            occurrences: raw.occurrences.unwrap_or(1),
            seen_at: now,
        });
    }

    fn cut(&mut self, text: &str, most: usize) -> String {
        let (text, cut) = clean(text, most);
        self.counts.cut += u64::from(cut);
        text
    }
}

/// Returns the first of the named labels that is there and not empty.
pub(super) fn first<'a>(labels: &'a BTreeMap<String, String>, names: &[String]) -> Option<&'a str> {
    let found = names.iter().filter_map(|name| labels.get(name));
    found.map(String::as_str).find(|text| !text.is_empty())
}
