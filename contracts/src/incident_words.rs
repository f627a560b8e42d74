//! What people read of an incident, in the Web UI and in a terminal. Text of others goes through `quote`,
//! so that each place can show it in its own safe way.

mod advice;

use domain::{
    cause::{CauseReport, Compared, Fact, Past},
    triage::{IncidentRecord, IncidentStatus},
};

use crate::alerts::{HaltAsked, IncidentResponseStatus};

/// Machines that are named.
const MACHINES: usize = 8;

/// Lines under a title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What they are about.
    pub title: String,
    /// The lines; never empty.
    pub lines: Vec<String>,
}

/// Makes text of others safe to show.
pub type Quote = fn(&str) -> String;

/// Says where an incident stands.
#[must_use]
pub fn standing(record: &IncidentRecord) -> String {
    match &record.status {
        IncidentStatus::Open => "open".to_owned(),
        IncidentStatus::Closed { at, .. } => format!("closed at {at:.0}"),
        IncidentStatus::MergedInto { incident } => format!("taken in by {incident}"),
    }
}

/// Says all that is known of an incident, what matters most first.
#[must_use]
pub fn sections(status: &IncidentResponseStatus, quote: Quote) -> Vec<Section> {
    let mut words = Words {
        quote,
        sections: Vec::new(),
    };
    if let Some(record) = &status.incident {
        words.incident(record);
    }
    if let Some(cause) = &status.cause {
        words.cause(cause);
    }
    if let (Some(record), Some(cause)) = (&status.incident, &status.cause)
        && let Some(advice) = cause
            .advice
            .as_ref()
            .filter(|_| record.status == IncidentStatus::Open)
    {
        for (title, lines) in advice::sections(&record.key, advice, quote) {
            words.add(title, lines);
        }
    }
    words.halts(&status.halts);
    let problems = status.problems.iter();
    let problems = problems.map(|(step, what)| format!("{step}: {}", quote(what)));
    words.add("Problems", problems.collect());
    words.sections
}

struct Words {
    quote: Quote,
    sections: Vec<Section>,
}

impl Words {
    fn add(&mut self, title: impl Into<String>, lines: Vec<String>) {
        if !lines.is_empty() {
            let title = title.into();
            self.sections.push(Section { title, lines });
        }
    }

    fn incident(&mut self, record: &IncidentRecord) {
        let (news, quote) = (&record.news, self.quote);
        let devices = &news.incident.devices;
        let named = devices.iter().take(MACHINES).map(|one| quote(one));
        let mut machines = named.collect::<Vec<_>>().join(", ");
        if let more @ 1.. = devices.len().saturating_sub(MACHINES) {
            machines += &format!(" and {more} more");
        }
        let machines = Some(machines).filter(|text| !text.is_empty());
        self.add("Machines", machines.into_iter().collect());
        let mut joined: Vec<String> = Vec::new();
        for words in news.incident.links.iter().map(|link| link.words()) {
            if !joined.contains(&words) {
                joined.push(words);
            }
        }
        self.add("Why these alerts are together", joined);
        if let Some(priority) = record.priority() {
            let reasons = priority.reasons.iter();
            let reasons = reasons.map(|one| format!("{} ({})", quote(&one.text), one.points));
            let title = match news.incident.priority {
                Some(_) => format!("Priority {}", priority.points),
                None => format!("Priority so far {}", priority.points),
            };
            self.add(title, reasons.collect());
        }
        let suspects = news.suspects.iter().map(|suspect| {
            let left = if suspect.left_over { ", left over" } else { "" };
            let device = quote(suspect.device.as_str());
            format!("{}, on {device}{left}", suspect.words())
        });
        self.add("Updates it may come from", suspects.collect());
    }

    fn cause(&mut self, cause: &CauseReport) {
        let quote = self.quote;
        let sure = f64::from(cause.confidence_permille) / 10.0;
        let title = match cause.abstain {
            true => format!("No cause named, the evidence is too weak ({sure:.0} %)"),
            false => format!("Probable cause ({sure:.0} % sure)"),
        };
        let suspects = cause.suspects.iter().map(|one| {
            let because = one.because.iter();
            let because = because.map(|b| format!("{} [{}]", quote(&b.text), b.evidence));
            let because = because.collect::<Vec<_>>().join("; ");
            let share = f64::from(one.share_permille) / 10.0;
            format!("{}, {share:.0} %: {because}", quote(&one.machine))
        });
        self.add(title, suspects.collect());
        let asked = cause.evidence.iter();
        let asked = asked.filter_map(|piece| asked_of_device(&piece.fact, &piece.id, quote));
        self.add("What devices say", asked.collect());
        if let Some(told) = &cause.told {
            let said = told.narrative.as_ref();
            let mut lines: Vec<String> = said
                .map(|said| format!("{} [{}]", quote(&said.text), said.evidence.join(", ")))
                .into_iter()
                .collect();
            if said.is_some_and(|said| said.abstain) {
                lines.push("It names no cause.".to_owned());
            }
            self.add("The model says", lines);
            let degraded = told.degraded.filter(|_| said.is_none());
            let degraded = degraded.map(|why| why.as_str().to_owned());
            self.add("Degraded", degraded.into_iter().collect());
        }
        let past = cause.past().map(|one| past(one, quote));
        let past = past.collect();
        let title = match &cause.compared {
            Some(compared) => format!(
                "Similar incidents of the past, compared by {}",
                by(compared, quote)
            ),
            None => "Similar incidents of the past".to_owned(),
        };
        self.add(title, past);
        if !cause.memory_asked {
            let line = "they could not be looked at".to_owned();
            self.add("Incidents of the past", vec![line]);
        }
    }

    fn halts(&mut self, halts: &[HaltAsked]) {
        let lines = halts.iter().map(|halt| {
            let reached = match halt.reached {
                true => "told to halt",
                false => "is over and could not be halted",
            };
            format!("{} {reached}: {}", halt.plan, (self.quote)(&halt.reason))
        });
        let lines = lines.collect();
        self.add("Deployments", lines);
    }
}

/// Says what incidents were compared by.
fn by(compared: &Compared, quote: Quote) -> String {
    match (&compared.model, compared.by_rule) {
        (Some(model), _) => format!("embedding model {}", quote(model)),
        (None, Some(why)) => format!("rule ({})", why.as_str()),
        (None, None) => "rule".to_owned(),
    }
}

fn past(one: &Past, quote: Quote) -> String {
    let known = |text: &Option<String>| text.as_deref().map_or("not known".to_owned(), quote);
    format!(
        "incident {}, {:.0} % alike: {}; cause {}; end {}",
        one.incident,
        f64::from(one.likeness_permille) / 10.0,
        quote(&one.title),
        known(&one.cause),
        known(&one.what_worked),
    )
}

fn asked_of_device(fact: &Fact, id: &str, quote: Quote) -> Option<String> {
    let figure = |figure: Option<u16>| {
        figure.map_or_else(
            || "unknown".to_owned(),
            |value| format!("{:.0} %", f64::from(value) / 10.0),
        )
    };
    match fact {
        Fact::Figures {
            device, figures, ..
        } => Some(format!(
            "{}: processor {}, memory {}, fullest disk {} [{id}]",
            quote(device.as_str()),
            figure(figures.cpu_permille),
            figure(figures.memory_permille),
            figure(figures.disk_permille),
        )),
        Fact::Scripts { device, runs, .. } => Some(format!(
            "{}: {} script runs within a day, {} failed [{id}]",
            quote(device.as_str()),
            runs.runs,
            runs.failed,
        )),
        Fact::Metrics {
            device, measured, ..
        } => {
            let said = measured.iter().map(|one| quote(&one.words()));
            let said = said.collect::<Vec<_>>().join(", ");
            Some(format!("{}: {said} [{id}]", quote(device.as_str())))
        }
        Fact::Software {
            device,
            at,
            listed,
            programs,
        } => {
            let named = programs.iter().map(|program| {
                let version = program.version.as_deref().unwrap_or("of unknown version");
                quote(&format!("{} {version}", program.name))
            });
            Some(format!(
                "{}: {listed} programs at {at:.0}, of which alerts speak of {} [{id}]",
                quote(device.as_str()),
                named.collect::<Vec<_>>().join(", "),
            ))
        }
        _ => None,
    }
}
