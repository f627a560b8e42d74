//! Rules that people set: what to silence, when work is done, how patient to be.

use jiff::Timestamp;
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::{
    alert::{AlertSeverity, AlertSource, Event},
    incident::ROUTINE_PER_DAY,
    input::{InvalidInput, Problem},
    plan::WindowSpec,
    windows,
};

/// Rules of one kind, at most.
const MOST: usize = 500;
/// Longest pattern, in bytes.
const PATTERN: usize = 1_000;
/// Memory of one pattern that is ready for use.
const PATTERN_SIZE: usize = 1 << 20;

/// The rules of a client. All may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// What nobody wants to be told, for a while.
    pub silences: Vec<Silence>,
    /// When people work on machines, so that alerts of them are no news.
    pub maintenance: Vec<Maintenance>,
    /// Waiting for what is soon over.
    pub hold: HoldRule,
    /// What comes and goes.
    pub flapping: FlappingRule,
    /// What is usual.
    pub routine: RoutineRule,
    /// What lies behind something that is down.
    pub inhibition: InhibitionRule,
    /// The monitoring itself.
    pub blackout: BlackoutRule,
}

/// Silences alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Silence {
    /// Names it.
    pub name: String,
    /// Which alerts.
    pub matches: Matcher,
    /// From then on; at once when absent.
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// Until then. Every silence ends.
    pub until: Timestamp,
    /// Who wants it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Weekly windows in which alerts are silenced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// Names it.
    pub name: String,
    /// Which alerts.
    #[serde(default)]
    pub matches: Matcher,
    /// When.
    pub windows: Vec<WindowSpec>,
    /// IANA time zone of the windows; UTC when absent.
    #[serde(default)]
    pub time_zone: Option<String>,
}

/// Which alerts a rule is about: all that is said has to be true. Patterns are regular expressions
/// (syntax of the `regex` crate, linear time), found anywhere in the text, in any case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Matcher {
    /// Pattern of the title.
    pub title: Option<String>,
    /// Machines: device ids or host names; any when empty.
    pub machines: Vec<String>,
    /// Sites; any when empty.
    pub sites: Vec<String>,
    /// Severity up to this one.
    pub severity_up_to: Option<AlertSeverity>,
    /// Sources; any when empty.
    pub sources: Vec<AlertSource>,
}

/// When to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HoldRule {
    /// Whether to wait at all.
    pub enabled: bool,
    /// Alerts of the kind that have to be known.
    pub least: u32,
    /// Share of them that has to be over by then, in percent.
    pub percent: u32,
    /// Longest wait, in seconds.
    pub most_secs: u32,
    /// Alerts of this severity and above never wait.
    pub never_from: AlertSeverity,
}

impl Default for HoldRule {
    fn default() -> Self {
        Self {
            enabled: true,
            least: 5,
            percent: 80,
            most_secs: 600,
            never_from: AlertSeverity::Critical,
        }
    }
}

/// What is flapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlappingRule {
    /// Raised so often on one machine...
    pub times: u32,
    /// ...within so many seconds.
    pub within_secs: u32,
}

impl Default for FlappingRule {
    fn default() -> Self {
        Self {
            times: 5,
            within_secs: 3_600,
        }
    }
}

/// What is usual on a machine, and only gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoutineRule {
    /// Whether anything is.
    pub enabled: bool,
    /// Episodes of a kind on one machine in a day, or more.
    pub per_day: u32,
    /// Alerts of this severity and above are always told.
    pub never_from: AlertSeverity,
}

impl Default for RoutineRule {
    fn default() -> Self {
        Self {
            enabled: true,
            per_day: ROUTINE_PER_DAY,
            never_from: AlertSeverity::Critical,
        }
    }
}

/// Whether machines behind one that is down are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InhibitionRule {
    /// Whether it is on.
    pub enabled: bool,
}

impl Default for InhibitionRule {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// When so much is silent that the monitoring itself must be down, or the way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BlackoutRule {
    /// Share of a client's machines that have to be silent, in percent; 0: never.
    pub percent: u32,
    /// And so many machines at least.
    pub least: u32,
    /// All since so many seconds at most.
    pub within_secs: u32,
}

impl Default for BlackoutRule {
    fn default() -> Self {
        Self {
            percent: 60,
            least: 5,
            within_secs: 900,
        }
    }
}

/// Rules that are ready to be used.
#[derive(Debug)]
pub struct ReadyRules {
    rules: Rules,
    pub(super) silences: Vec<Ready>,
    pub(super) maintenance: Vec<Ready>,
}

#[derive(Debug)]
pub(super) struct Ready {
    title: Option<Regex>,
}

/// What silences an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silenced {
    /// The rule.
    pub rule: String,
    /// When to look again.
    pub until: Option<Timestamp>,
}

impl Rules {
    /// Checks the rules, and makes them ready.
    ///
    /// # Errors
    /// Names each field, and where in a pattern it goes wrong.
    pub fn ready(self) -> Result<ReadyRules, InvalidInput> {
        let mut problems = Vec::new();
        let (mut silences, mut maintenance) = (Vec::new(), Vec::new());
        let mut names = std::collections::BTreeSet::new();
        let mut named = |at: &str, name: &String, problems: &mut Vec<Problem>| {
            if name.trim().is_empty() || name.len() > 80 {
                problems.push(Problem::new(format!("{at}.name"), name, "1 to 80 bytes"));
            } else if !names.insert(name.clone()) {
                let allowed = "a name that no other rule has";
                problems.push(Problem::new(format!("{at}.name"), name, allowed));
            }
        };
        for (index, rule) in self.silences.iter().enumerate() {
            let at = format!("silences[{index}]");
            named(&at, &rule.name, &mut problems);
            if rule.matches == Matcher::default() {
                let field = format!("{at}.matches");
                problems.push(Problem::new(
                    field,
                    "{}",
                    "something to go by; use maintenance windows to silence all",
                ));
            }
            if rule.from.is_some_and(|from| from >= rule.until) {
                let field = format!("{at}.until");
                problems.push(Problem::new(field, rule.until, "later than `from`"));
            }
            for (field, text) in [("by", &rule.by), ("reason", &rule.reason)] {
                if text.trim().is_empty() || text.len() > 500 {
                    problems.push(Problem::new(
                        format!("{at}.{field}"),
                        text,
                        "1 to 500 bytes",
                    ));
                }
            }
            silences.push(rule.matches.ready(&format!("{at}.matches"), &mut problems));
        }
        for (index, rule) in self.maintenance.iter().enumerate() {
            let at = format!("maintenance[{index}]");
            named(&at, &rule.name, &mut problems);
            if rule.windows.is_empty() {
                problems.push(Problem::new(
                    format!("{at}.windows"),
                    "[]",
                    "at least one window",
                ));
            }
            if let Some(zone) = &rule.time_zone
                && let Err(problem) = windows::parse_zone(zone, &format!("{at}.time_zone"))
            {
                problems.push(problem);
            }
            let zone = rule.time_zone.as_deref().unwrap_or("UTC");
            if let Err(found) = windows::is_open(&rule.windows, &[], zone, Timestamp::UNIX_EPOCH) {
                let within = |problem: Problem| Problem {
                    field: format!("{at}.{}", problem.field),
                    ..problem
                };
                problems.extend(found.problems.into_iter().map(within));
            }
            maintenance.push(rule.matches.ready(&format!("{at}.matches"), &mut problems));
        }
        for (field, count) in [
            ("silences", self.silences.len()),
            ("maintenance", self.maintenance.len()),
        ] {
            if count > MOST {
                problems.push(Problem::new(field, count, format!("at most {MOST} rules")));
            }
        }
        problems.extend(self.figures());
        InvalidInput::when(problems)?;
        Ok(ReadyRules {
            rules: self,
            silences,
            maintenance,
        })
    }

    fn figures(&self) -> Vec<Problem> {
        let figures = [
            ("hold.least", self.hold.least, 1, 100),
            ("hold.percent", self.hold.percent, 50, 100),
            ("hold.most_secs", self.hold.most_secs, 15, 1_800),
            ("flapping.times", self.flapping.times, 2, 1_000),
            (
                "flapping.within_secs",
                self.flapping.within_secs,
                60,
                86_400,
            ),
            ("routine.per_day", self.routine.per_day, 2, 1_440),
            ("blackout.percent", self.blackout.percent, 0, 100),
            ("blackout.least", self.blackout.least, 2, 10_000),
            ("blackout.within_secs", self.blackout.within_secs, 60, 7_200),
        ];
        let wrong = figures
            .into_iter()
            .filter(|(_, value, least, most)| !(least..=most).contains(&value));
        wrong
            .map(|(field, value, least, most)| {
                Problem::new(field, value, format!("{least} to {most}"))
            })
            .collect()
    }
}

impl Matcher {
    fn ready(&self, at: &str, problems: &mut Vec<Problem>) -> Ready {
        let mut title = None;
        if let Some(pattern) = &self.title {
            let field = format!("{at}.title");
            if pattern.is_empty() || pattern.len() > PATTERN {
                problems.push(Problem::new(
                    field,
                    pattern,
                    format!("1 to {PATTERN} bytes"),
                ));
            } else {
                let built = RegexBuilder::new(pattern)
                    .case_insensitive(true)
                    .size_limit(PATTERN_SIZE)
                    .build();
                match built {
                    Ok(regex) => title = Some(regex),
                    // It shows the place with a mark below the pattern.
                    Err(error) => problems.push(Problem {
                        field,
                        value: pattern.clone(),
                        allowed: format!("a regular expression: {error}"),
                    }),
                }
            }
        }
        Ready { title }
    }

    pub(super) fn holds(&self, ready: &Ready, event: &Event) -> bool {
        let any = |list: &[String], text: &str| {
            list.is_empty() || list.iter().any(|one| one.eq_ignore_ascii_case(text))
        };
        any(&self.machines, &event.machine)
            && any(&self.sites, &event.site)
            && self
                .severity_up_to
                .is_none_or(|most| event.severity <= most)
            && (self.sources.is_empty() || self.sources.contains(&event.alert.source()))
            && ready
                .title
                .as_ref()
                .is_none_or(|title| title.is_match(&event.title))
    }
}

impl ReadyRules {
    /// Returns the rules.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Returns what silences an alert at a time.
    #[must_use]
    pub fn silenced(&self, event: &Event, at: Timestamp) -> Option<Silenced> {
        let silences = self.rules.silences.iter().zip(&self.silences);
        let silence = silences
            .filter(|(rule, _)| rule.from.is_none_or(|from| from <= at) && at < rule.until)
            .find(|(rule, ready)| rule.matches.holds(ready, event));
        if let Some((rule, _)) = silence {
            return Some(Silenced {
                rule: rule.name.clone(),
                until: Some(rule.until),
            });
        }
        let maintenance = self.rules.maintenance.iter().zip(&self.maintenance);
        let mut matching = maintenance.filter(|(rule, ready)| rule.matches.holds(ready, event));
        matching.find_map(|(rule, _)| {
            let zone = rule.time_zone.as_deref().unwrap_or("UTC");
            // The rules were checked: an opening that cannot be told is none.
            let opening = windows::next_opening(&rule.windows, &[], zone, at).ok()??;
            opening.contains(at).then(|| Silenced {
                rule: rule.name.clone(),
                until: opening.closes_at,
            })
        })
    }
}
