//! `eval incidents`: which alerts belong together, and what to read first.

use std::{
    borrow::Cow,
    fmt,
    io::{BufRead, Write},
};

use domain::incident::{Alert, Correlator, Incident, ROUTINE_PER_DAY};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{lines, spool::Groups};

/// One line of input. An alert may lack everything but its time.
#[derive(Debug, Deserialize)]
struct Line<'a> {
    time: Seconds,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    ip: Cow<'a, str>,
    #[serde(borrow, default)]
    host: Cow<'a, str>,
}

/// Unix seconds, as a number or as text, kept in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seconds(i64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecondsVisitor)
    }
}

struct SecondsVisitor;

impl de::Visitor<'_> for SecondsVisitor {
    type Value = Seconds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unix seconds")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Seconds, E> {
        if let Ok(whole) = text.parse::<i64>() {
            return Ok(Seconds(whole.saturating_mul(1_000)));
        }
        let seconds: f64 = text
            .parse()
            .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))?;
        self.visit_f64(seconds)
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Seconds, E> {
        if !seconds.is_finite() {
            return Err(E::invalid_value(de::Unexpected::Float(seconds), &self));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "saturates, and the correlator has a limit of its own"
        )]
        let millis = (seconds * 1_000.0).round() as i64;
        Ok(Seconds(millis))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Seconds, E> {
        Ok(Seconds(seconds.saturating_mul(1_000)))
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Seconds, E> {
        self.visit_i64(i64::try_from(seconds).unwrap_or(i64::MAX))
    }
}

/// What follows the numbers of the alerts in a line of output.
#[derive(Debug, Serialize)]
struct Rest<'a> {
    priority: u32,
    ranked_at: f64,
    because: Vec<&'a str>,
    titles: &'a [String],
    devices: &'a [String],
}

/// Reads alerts, prints an incident when it is over and ranked.
pub(super) fn run(input: &mut impl BufRead, output: &mut impl Write) -> anyhow::Result<()> {
    let (mut correlator, mut members) = (Correlator::new(), Groups::new()?);
    let (mut line, mut number, mut unreadable) = (Vec::new(), 0_u64, 0_u64);
    while lines::next(input, &mut line)? {
        let seen = match serde_json::from_slice(&line) {
            Ok(alert) => Some(observe(&mut correlator, &alert)),
            // Bytes that are no text are replaced, and the line may do after all.
            Err(_) => serde_json::from_str(&String::from_utf8_lossy(&line))
                .ok()
                .map(|alert| observe(&mut correlator, &alert)),
        };
        match seen {
            Some(incident) => members.push(incident, number)?,
            None => unreadable += 1,
        }
        number += 1;
        for incident in correlator.take_finished() {
            print(&incident, &mut members, output)?;
        }
    }
    for incident in correlator.finish() {
        print(&incident, &mut members, output)?;
    }
    let counts = correlator.counts();
    lines::tell(
        unreadable,
        "lines are no alerts and were left out; allowed is {\"time\": Unix seconds, \"name\", \"ip\", \"host\"}",
    );
    lines::tell(
        counts.late,
        "alerts came after later ones; they count as raised when they came",
    );
    lines::tell(counts.without_device, "alerts have no host");
    lines::tell(
        counts.crowded,
        "alerts have a name or host that had no room to be told apart",
    );
    lines::tell(
        counts.forgotten,
        "habits of hosts were forgotten to make room",
    );
    Ok(())
}

fn observe(correlator: &mut Correlator, line: &Line<'_>) -> u64 {
    let alert = Alert {
        at_ms: line.time.0,
        title: &line.name,
        device: &line.host,
        address: &line.ip,
        lasting: false,
        routine_from: Some(ROUTINE_PER_DAY),
    };
    correlator.observe(&alert).0
}

fn print(incident: &Incident, members: &mut Groups, output: &mut impl Write) -> anyhow::Result<()> {
    let Some(priority) = &incident.priority else {
        anyhow::bail!("incident {} ended without a rank", incident.id);
    };
    write!(output, "{{\"id\":{},\"alerts\":[", incident.id.0)?;
    let mut first = true;
    members.take(incident.id.0, |number| {
        let comma = if std::mem::take(&mut first) { "" } else { "," };
        write!(output, "{comma}{number}")
    })?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds until the year 9999 are exact"
    )]
    let ranked_at = priority.ranked_at_ms as f64 / 1_000.0;
    let rest = Rest {
        priority: priority.points,
        ranked_at,
        because: priority
            .reasons
            .iter()
            .map(|reason| reason.text.as_str())
            .collect(),
        titles: &incident.titles,
        devices: &incident.devices,
    };
    let rest = serde_json::to_string(&rest)?;
    writeln!(output, "],{}", rest.trim_start_matches('{'))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(input: &str) -> Vec<serde_json::Value> {
        let mut output = Vec::new();
        run(&mut input.as_bytes(), &mut output).unwrap();
        let lines = String::from_utf8(output).unwrap();
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn alerts_that_belong_together_are_one_line() {
        let found = printed(concat!(
            r#"{"time": "1000", "name": "disk is failing", "ip": "10.0.0.1", "host": "SRV01"}"#,
            "\n",
            r#"{"time": "1001.5", "name": "backup failed", "ip": "10.0.0.1", "host": "SRV01"}"#,
            "\n",
            r#"{"time": 5000, "name": "disk is failing", "ip": "10.0.0.9", "host": "SRV09"}"#,
            "\n",
        ));
        assert_eq!(found.len(), 2);
        assert_eq!(found[0]["alerts"], serde_json::json!([0, 1]));
        assert_eq!(found[0]["ranked_at"], serde_json::json!(2800.0));
        assert!(found[0]["priority"].as_u64().unwrap() > 0);
        assert!(
            found[0]["because"][0]
                .as_str()
                .unwrap()
                .contains("never seen before")
        );
    }

    #[test]
    fn unreadable_lines_keep_their_number_and_are_left_out() {
        let found = printed(concat!(
            "no json\n",
            r#"{"time": "1000", "name": "a \u0007 \"quoted\" \ud83d\ude00", "host": ""}"#,
            "\n",
            r#"{"time": "soon", "name": "x"}"#,
            "\n",
            r#"{"name": "x"}"#,
            "\n",
            r#"{"time": "1e300", "name": "far future", "ip": "x", "host": "y"}"#,
            "\n",
            "[]",
        ));
        let alerts: Vec<_> = found
            .iter()
            .map(|incident| incident["alerts"].clone())
            .collect();
        assert_eq!(alerts, [serde_json::json!([1]), serde_json::json!([4])]);
    }
}
