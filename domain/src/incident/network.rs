//! What is known of the network, and of changes to it.

use super::{
    correlator::{Correlator, LONGEST, hash},
    input::{Change, Topology},
    names::OTHER,
};

/// A device behind a switch behind a router is behind both.
const STEPS: usize = 3;
/// Machines that one device is behind, at most.
const MOST_UPSTREAM: usize = 64;
const CHANGES: usize = 256;
/// Sets numbers of changes that have names apart from those that are counted.
const WAVES: u32 = 1 << 31;

impl Correlator {
    /// Replaces what is known of the network.
    pub fn set_topology(&mut self, topology: &Topology) {
        self.sites.clear();
        self.depends_on.clear();
        for (device, site) in &topology.sites {
            let device = self.names.device(device);
            let site = hash(site);
            self.sites.insert(device, site);
        }
        for (device, upstream) in &topology.depends_on {
            let (device, upstream) = (self.names.device(device), self.names.device(upstream));
            self.depends_on.entry(device).or_default().push(upstream);
        }
    }

    /// Lists what a device depends on, directly or through others, the nearest first.
    pub fn upstream(&mut self, device: &str) -> Vec<String> {
        let device = self.names.device(device);
        if device == OTHER {
            return Vec::new();
        }
        let (mut found, mut begin) = (vec![device], 0);
        for _ in 0..STEPS {
            let nearer = begin..found.len();
            begin = found.len();
            for index in nearer {
                let next = self.depends_on.get(&found[index]);
                for one in next.into_iter().flatten() {
                    // Two machines may state each other; many may stand on the way.
                    let is_new = *one != OTHER && !found.contains(one);
                    if is_new && found.len() <= MOST_UPSTREAM {
                        found.push(*one);
                    }
                }
            }
        }
        let names = found[1..].iter();
        let names = names.map(|one| self.names.device_name(*one).to_owned());
        names.collect()
    }

    /// Takes note of a change.
    pub fn note_change(&mut self, change: &Change) {
        let devices = change.devices.iter().map(|name| self.names.device(name));
        let devices = devices.filter(|device| *device != OTHER).collect();
        self.changes_seen += 1;
        self.changes
            .push_back((change.at_ms, self.changes_seen, devices));
        if self.changes.len() > CHANGES {
            self.changes.pop_front();
        }
    }

    /// Takes note that a change with this name has reached a device. Devices that it reaches within an hour
    /// have it in common.
    pub fn note_wave(&mut self, name: &str, at_ms: i64, device: &str) {
        let (change, device) = (hash(name) | WAVES, self.names.device(device));
        if device == OTHER {
            return;
        }
        let known = self.changes.iter_mut();
        let known = known
            .rev()
            .find(|(at, known, _)| *known == change && (at_ms - at).abs() <= LONGEST);
        match known {
            Some((at, _, devices)) => {
                *at = at_ms.max(*at);
                if !devices.contains(&device) {
                    devices.push(device);
                }
            }
            None => {
                self.changes.push_back((at_ms, change, vec![device]));
                if self.changes.len() > CHANGES {
                    self.changes.pop_front();
                }
            }
        }
    }
}
