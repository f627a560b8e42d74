//! Reads a state of form 1. It counted how many alerts of an incident are live without saying which, and
//! who speaks for a kind by the template of titles: both are made anew of the alerts that are active.

use serde::de::Error;
use serde_json::{Error as Unreadable, Value, json};

use super::{AlertId, Triage};
use crate::alert::Treatment;

impl Triage {
    /// Reads what was stored, in this form or the one before.
    ///
    /// # Errors
    /// When it is neither.
    pub fn read(text: &[u8]) -> Result<Self, Unreadable> {
        serde_json::from_slice(text).or_else(|error| match serde_json::from_slice(text)? {
            Value::Object(state) if state.get("version") == Some(&json!(1)) => {
                of_form_1(state.into())
            }
            _ => Err(error),
        })
    }

    fn count_and_speak_anew(&mut self) {
        let active = self.active.iter().filter(|(_, one)| one.event.lasting);
        let mut by_age: Vec<(&AlertId, _)> = active.collect();
        by_age.sort_by_key(|(alert, one)| (one.since, *alert));
        for (alert, one) in by_age {
            let (title, machine) = (&one.event.title, &one.event.machine);
            if let Some(id) = one.incident.filter(|_| one.treatment.counts()) {
                self.correlator.count_anew(id, title, machine);
            }
            let pair = self.speaking.pair(title, machine);
            let is_spoken_for = matches!(
                one.treatment,
                Treatment::Duplicate { .. }
                    | Treatment::Expected { .. }
                    | Treatment::Silenced { .. }
            );
            if !is_spoken_for && self.speaking.speaker(&pair).is_none() {
                self.speaking.speak(pair, alert.clone());
            }
        }
        self.correlator.look_at_all_ends();
    }
}

fn of_form_1(mut state: Value) -> Result<Triage, Unreadable> {
    state["version"] = json!(2);
    state["speaking"] = json!({ "speakers": {}, "raised": {} });
    let correlator = &mut state["correlator"];
    correlator["version"] = json!(2);
    let records = correlator["records"].as_object_mut();
    let records = records.ok_or_else(|| Unreadable::custom("records are not allowed: a map"))?;
    for record in records.values_mut() {
        record["live"] = json!([]);
    }
    let mut triage: Triage = serde_json::from_value(state)?;
    triage.count_and_speak_anew();
    Ok(triage)
}
