//! How close two incidents, or two machines of one, are: by the parts that alerts join by, over a window
//! that is given.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    input::Topology,
    link::{DEPENDS, Link, SAME_DEVICE, SAME_SITE},
    names::Names,
};

/// One of two that are compared.
#[derive(Debug, Clone, Default)]
pub struct Side<'a> {
    /// When it began, Unix milliseconds.
    pub at_ms: i64,
    /// Titles of its alerts.
    pub titles: Vec<&'a str>,
    /// Its machines.
    pub machines: BTreeSet<&'a str>,
    /// Recent changes that touched its machines, by name.
    pub changes: BTreeSet<String>,
}

/// Compares by what is known of a network.
#[derive(Debug)]
pub struct Comparison<'a> {
    sites: BTreeMap<&'a str, &'a str>,
    depends_on: BTreeSet<(&'a str, &'a str)>,
    names: Names,
}

impl<'a> Comparison<'a> {
    /// Takes in what is known of a network.
    #[must_use]
    pub fn over(topology: &'a Topology) -> Self {
        let text = |(one, other): &'a (String, String)| (one.as_str(), other.as_str());
        Self {
            sites: topology.sites.iter().map(text).collect(),
            depends_on: topology.depends_on.iter().map(text).collect(),
            names: Names::default(),
        }
    }

    /// Compares two. What began further apart than the window has no part in time.
    pub fn link(&mut self, one: &Side<'_>, other: &Side<'_>, window_ms: i64) -> Link {
        let age = (one.at_ms - other.at_ms).abs();
        let mut likeness = 0;
        for title in &one.titles {
            for with in &other.titles {
                let kinds = (self.names.kind(title), self.names.kind(with));
                likeness = likeness.max(self.names.likeness(kinds.0, kinds.1));
            }
        }
        let shared = !one.changes.is_disjoint(&other.changes);
        Link {
            time: Link::time_of(age, window_ms.max(1)),
            topology: self.topology(one, other),
            text: Link::text_of(likeness),
            change: if shared { 1_000 } else { 0 },
        }
    }

    fn topology(&self, one: &Side<'_>, other: &Side<'_>) -> u16 {
        let pairs = || {
            let machines = one.machines.iter();
            machines.flat_map(|a| other.machines.iter().map(|b| (*a, *b)))
        };
        let site = |machine: &str| self.sites.get(machine);
        if pairs().any(|(a, b)| a == b) {
            SAME_DEVICE
        } else if pairs()
            .any(|(a, b)| self.depends_on.contains(&(a, b)) || self.depends_on.contains(&(b, a)))
        {
            DEPENDS
        } else if pairs().any(|(a, b)| site(a).is_some() && site(a) == site(b)) {
            SAME_SITE
        } else {
            0
        }
    }
}
