//! Alerts, for people.

use domain::{
    alert::{Alert, Closing, Treatment},
    incident::IncidentId,
    triage::IncidentKey,
};

use crate::words::time;

/// What can be done with an alert, in a word; `new` before anything was.
pub(super) const HOW: [&str; 10] = [
    "new",
    "incident",
    "duplicate",
    "held",
    "flapping",
    "routine",
    "silenced",
    "inhibited",
    "expected",
    "passed",
];

/// Returns the word of what was done.
pub(super) fn how(done: Option<&Treatment>) -> &'static str {
    match done {
        None => "new",
        Some(Treatment::Incident) => "incident",
        Some(Treatment::Duplicate { .. }) => "duplicate",
        Some(Treatment::Held { .. }) => "held",
        Some(Treatment::Flapping { .. }) => "flapping",
        Some(Treatment::Routine { .. }) => "routine",
        Some(Treatment::Silenced { .. }) => "silenced",
        Some(Treatment::Inhibited { .. }) => "inhibited",
        Some(Treatment::Expected { .. }) => "expected",
        Some(Treatment::Passed) => "passed",
    }
}

pub(super) fn state(alert: &Alert) -> String {
    match alert.cleared_at {
        None => "active".to_owned(),
        Some(at) => match alert.closing.filter(|closing| *closing != Closing::Cleared) {
            Some(closing) => format!("over since {}: {}", time(at), closing.words()),
            None => format!("over since {}", time(at)),
        },
    }
}

/// Names the machine as people know it, else as we do.
pub(super) fn machine(alert: &Alert) -> String {
    match (alert.said.host.as_deref(), alert.machine()) {
        (None | Some(""), "") => "unknown".to_owned(),
        (None | Some(""), id) => id.to_owned(),
        (Some(host), _) => host.to_owned(),
    }
}

/// Says where an alert was put, and why.
pub(super) fn place(alert: &Alert) -> String {
    let Some(placed) = &alert.placement else {
        return "waits for triage".to_owned();
    };
    let why = match &placed.treatment {
        Treatment::Incident => String::new(),
        Treatment::Duplicate { of } => format!("the same as {of}"),
        Treatment::Held { until, why } => format!("held until {}: {why}", time(*until)),
        Treatment::Flapping { times } => format!("flapping, {times} times within an hour"),
        Treatment::Routine { per_day } => format!("usual here, about {per_day} times a day"),
        Treatment::Silenced { rule, until } => match until {
            Some(until) => format!("silenced by `{rule}` until {}", time(*until)),
            None => format!("silenced by `{rule}`"),
        },
        Treatment::Inhibited { by } => format!("behind {by}, which is down"),
        Treatment::Expected { plan, until } => {
            format!("announced by plan {plan} until {}", time(*until))
        }
        Treatment::Passed => "was over before anybody had to know".to_owned(),
    };
    let Some(number) = placed.incident else {
        return why;
    };
    let key = IncidentKey::new(alert.said.client.clone(), IncidentId(number));
    match why.is_empty() {
        true => format!("incident {key}"),
        false => format!("{why}; incident {key}"),
    }
}

/// Says all that is kept of an alert.
pub(super) fn describe(alert: &Alert) -> Vec<String> {
    let said = &alert.said;
    let mut lines = vec![
        format!("{}: {}", said.id, said.title),
        format!(
            "client {}, severity {}",
            said.client,
            said.severity.as_str()
        ),
    ];
    let machine = [
        ("device", said.device.as_ref().map(ToString::to_string)),
        ("host", said.host.clone()),
        ("address", said.address.clone()),
        ("site", said.site.clone()),
    ];
    let machine = machine
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name} {}", value?)));
    let machine: Vec<String> = machine.collect();
    lines.push(match machine.is_empty() {
        true => "its source names no machine".to_owned(),
        false => machine.join(", "),
    });
    lines.push(format!(
        "raised {}, seen first {} and last {}, happened {} times",
        time(said.raised_at),
        time(alert.first_seen_at),
        time(said.seen_at),
        said.occurrences,
    ));
    lines.push(state(alert));
    if !said.lasting {
        lines.push("of the moment: its source does not say when it is over".to_owned());
    }
    if alert.missed > 0 && alert.is_active() {
        lines.push(format!("not found by the last {} walks", alert.missed));
    }
    lines.push(place(alert));
    if let Some(placed) = &alert.placement {
        lines.push(format!(
            "kind {}, put there {}",
            placed.kind,
            time(placed.at)
        ));
    }
    if !said.description.is_empty() {
        lines.push(said.description.clone());
    }
    lines
}

#[cfg(test)]
mod tests {
    use domain::alert::{Placement, read_plain};
    use jiff::Timestamp;

    use super::*;

    fn alert(treatment: Treatment, incident: Option<u64>) -> Alert {
        let body = br#"{"id":"1","client":"7","title":"disk full","host":"web01"}"#;
        let mut intake = read_plain(body, Timestamp::UNIX_EPOCH).unwrap();
        let said = intake.sightings.remove(0);
        let mut alert = Alert::take(None, said, false).unwrap().alert;
        alert.placement = Some(Placement {
            incident,
            treatment,
            kind: "disk full".to_owned(),
            at: Timestamp::UNIX_EPOCH,
        });
        alert
    }

    #[test]
    fn an_alert_that_nobody_spoke_of_says_so() {
        let mut alert = alert(Treatment::Incident, Some(3));
        let told = describe(&alert).join("\n");
        assert!(told.contains("of the moment"), "{told}");
        alert.cleared_at = Some(Timestamp::UNIX_EPOCH);
        alert.closing = Some(Closing::Unheard);
        let told = describe(&alert).join("\n");
        let why = "over since 1970-01-01T00:00:00Z: its source has not spoken of it any more";
        assert!(told.contains(why), "{told}");
    }

    #[test]
    fn each_treatment_has_its_word_and_says_why() {
        let at = Timestamp::UNIX_EPOCH;
        let of = "superops/2".parse().unwrap();
        let by = "sw1".to_owned();
        let cases = [
            (Treatment::Incident, Some(3), "incident", "incident 7-3"),
            (
                Treatment::Duplicate { of },
                Some(3),
                "duplicate",
                "the same as superops/2; incident 7-3",
            ),
            (
                Treatment::Held {
                    until: at,
                    why: "soon over".into(),
                },
                None,
                "held",
                "held until 1970-01-01T00:00:00Z: soon over",
            ),
            (
                Treatment::Inhibited { by },
                Some(4),
                "inhibited",
                "behind sw1, which is down; incident 7-4",
            ),
            (
                Treatment::Routine { per_day: 9 },
                Some(5),
                "routine",
                "usual here, about 9 times a day; incident 7-5",
            ),
            (
                Treatment::Passed,
                None,
                "passed",
                "was over before anybody had to know",
            ),
        ];
        for (treatment, incident, word, text) in cases {
            let alert = alert(treatment, incident);
            let done = alert.placement.as_ref().map(|placed| &placed.treatment);
            assert_eq!(how(done), word);
            assert!(HOW.contains(&word));
            assert_eq!(place(&alert), text);
            assert_eq!(machine(&alert), "web01");
        }
    }
}
