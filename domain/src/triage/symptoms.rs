//! What titles say of a machine: that it is down, restarts, has a service that stopped, or is busy.
//!
//! The only place that knows such words. They are whole words and phrases: what fails to download, or is
//! going to be shut down, is not down.

use serde::{Deserialize, Serialize};

/// A kind of sign that an installation or a restart gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Symptom {
    /// The device does not answer.
    Down,
    /// It was restarted.
    Restart,
    /// A service stopped.
    Service,
    /// Processor, memory or disk are busy.
    Load,
}

/// What only a machine is said to be.
const DOWN: &[&str] = &[
    "offline",
    "off line",
    "unreachable",
    "heartbeat",
    "heartbeats",
    "not reachable",
    "not communicating",
    "lost contact",
    "contact lost",
    "lost connection",
    "connection lost",
    "agent disconnected",
];
/// What a machine is, unless the title speaks of something that runs on it.
const DEAD: &[&str] = &[
    "down",
    "no response",
    "not responding",
    "does not respond",
    "does not answer",
];
/// Parts of a machine, and what it only reaches: they may be down while it is up.
const PARTS: &[&str] = &[
    "interface",
    "interfaces",
    "port",
    "ports",
    "link",
    "disk",
    "disks",
    "drive",
    "volume",
    "database",
    "sql",
    "printer",
    "tunnel",
    "target",
    "website",
    "site to site",
    "ntp",
    "url",
];
/// Phrases with such a word that say something else.
const NOT_DOWN: &[&str] = &[
    "shut down",
    "shuts down",
    "shutting down",
    "slow down",
    "slows down",
    "slowed down",
    "slowing down",
    "scale down",
    "scaled down",
    "scaling down",
    "no longer offline",
    "no longer down",
    "no longer unreachable",
    "not down",
    "not offline",
    "offline files",
    "offline backup",
    "offline scan",
    "offline uncorrectable",
];
const RESTART: &[&str] = &[
    "reboot",
    "reboots",
    "rebooted",
    "rebooting",
    "booting",
    "restart",
    "restarts",
    "restarted",
    "restarting",
    "booted",
    "unexpected shutdown",
    "uptime",
];
/// What runs on a device...
const PROGRAM: &[&str] = &[
    "service",
    "services",
    "daemon",
    "daemons",
    "process",
    "processes",
];
/// ...and does not any more.
const STOPPED: &[&str] = &[
    "stopped",
    "not running",
    "failed",
    "terminated",
    "crashed",
    "hung",
    "down",
    "not responding",
    "does not respond",
];
const LOAD: &[&str] = &[
    "cpu",
    "cpus",
    "processor",
    "processors",
    "memory",
    "disk queue",
    "disk active",
    "load average",
    "i o",
];

impl Symptom {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Down, Self::Restart, Self::Service, Self::Load];

    /// Tells whether a title speaks of it.
    #[must_use]
    pub fn is_in(self, title: &str) -> bool {
        let words = Words::of(title);
        match self {
            Self::Down => {
                let words = words.without(NOT_DOWN);
                // A service that is down runs on a machine that is up.
                words.has(DOWN) || words.has(DEAD) && !words.has(PROGRAM)
            }
            Self::Restart => words.has(RESTART),
            Self::Service => words.has(PROGRAM) && words.has(STOPPED),
            Self::Load => words.has(LOAD),
        }
    }

    /// Tells whether a title says that the whole machine is down, so that others may be silent for that.
    #[must_use]
    pub fn machine_is_down(title: &str) -> bool {
        let words = Words::of(title);
        Self::Down.is_in(title) && !words.has(PARTS) && !words.has(PROGRAM)
    }

    /// Returns the word of it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Restart => "restart",
            Self::Service => "service",
            Self::Load => "load",
        }
    }
}

/// The words of a title in lower case, each between blanks.
struct Words(String);

impl Words {
    /// Reads the words; `InstanceDown` is two.
    fn of(title: &str) -> Self {
        let mut words = String::with_capacity(title.len() + 2);
        words.push(' ');
        let mut last_is_lower = false;
        for c in title.chars() {
            let begins = last_is_lower && c.is_uppercase();
            if (begins || !c.is_alphanumeric()) && !words.ends_with(' ') {
                words.push(' ');
            }
            if c.is_alphanumeric() {
                words.extend(c.to_lowercase());
            }
            last_is_lower = c.is_lowercase();
        }
        words.push(' ');
        Self(words)
    }

    fn has(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.at(phrase).is_some())
    }

    /// Takes phrases out.
    fn without(&self, phrases: &[&str]) -> Self {
        let mut left = self.0.clone();
        for phrase in phrases {
            while let Some(at) = Self(left.clone()).at(phrase) {
                left.replace_range(at..at + phrase.len(), "-");
            }
        }
        Self(left)
    }

    /// Returns where a phrase begins.
    fn at(&self, phrase: &str) -> Option<usize> {
        let blank = |byte: Option<&u8>| byte == Some(&b' ');
        let bytes = self.0.as_bytes();
        let mut found = self.0.match_indices(phrase).map(|(at, _)| at);
        found.find(|at| blank(bytes.get(at - 1)) && blank(bytes.get(at + phrase.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(title: &str) -> Vec<Symptom> {
        let all = Symptom::ALL.into_iter();
        all.filter(|symptom| symptom.is_in(title)).collect()
    }

    #[test]
    fn a_machine_that_does_not_answer_is_down_in_the_words_of_any_tool() {
        for title in [
            "Device is OFFLINE",
            "Asset is offline",
            "vpn tunnel is down",
            "sw-1: down!",
            "InstanceDown",
            "HOST_DOWN",
            "No response to ping (3 of 3)",
            "Agent disconnected",
            "Host is shutting down slowly and now unreachable",
            "Monitoring service: host is unreachable",
        ] {
            assert_eq!(of(title), [Symptom::Down], "{title}");
        }
    }

    #[test]
    fn parts_of_other_words_and_other_phrases_say_nothing_of_a_machine() {
        for title in [
            "breakdown of costs",
            "Download failed",
            "Downtime of last month",
            "Upstream proxy is slow",
            "Shutdown scheduled for 22:00",
            "Users are about to shut down",
            "Device is no longer offline",
            "Offline Files are not synchronised",
            "Processing of mail failed",
            "Memories of 1999",
            "",
        ] {
            assert!(of(title).is_empty(), "{title}");
        }
    }

    #[test]
    fn services_restarts_and_load_are_told_apart() {
        assert_eq!(of("Service stopped: Spooler"), [Symptom::Service]);
        assert_eq!(of("Service Spooler is down"), [Symptom::Service]);
        assert_eq!(of("CPU usage 99 %"), [Symptom::Load]);
        assert_eq!(of("Disk I/O is high"), [Symptom::Load]);
        assert_eq!(of("Asset is restarting"), [Symptom::Restart]);
        assert_eq!(of("Unexpected shutdown"), [Symptom::Restart]);
    }
}
