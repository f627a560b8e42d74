//! Which device of a client is meant by a name: people and other tools say `nas-1` where the RMM has an id.

use std::collections::{BTreeMap, BTreeSet};

use crate::{device::Device, ids::DeviceId};

/// Whom a text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant<'a> {
    /// This device: the text is its id, or the name of no other one.
    Device(&'a DeviceId),
    /// One of so many devices that have this name.
    OneOf(usize),
    /// No device of the client.
    Nobody,
}

/// Ids and names of the devices of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machines {
    ids: BTreeSet<DeviceId>,
    /// By name, in lower case.
    named: BTreeMap<String, Vec<DeviceId>>,
}

impl Machines {
    /// Notes who there is.
    #[must_use]
    pub fn of(devices: &[Device]) -> Self {
        let mut named: BTreeMap<String, Vec<DeviceId>> = BTreeMap::new();
        for device in devices {
            named
                .entry(key(&device.name))
                .or_default()
                .push(device.id.clone());
        }
        Self {
            ids: devices.iter().map(|device| device.id.clone()).collect(),
            named,
        }
    }

    /// Says whom a device id or host name means; the case of names does not matter.
    #[must_use]
    pub fn find(&self, machine: &str) -> Meant<'_> {
        let id: Option<DeviceId> = machine.trim().parse().ok();
        if let Some(id) = id.and_then(|id| self.ids.get(&id)) {
            return Meant::Device(id);
        }
        let name = key(machine);
        match self.named.get(&name).filter(|_| !name.is_empty()) {
            None => Meant::Nobody,
            Some(devices) => match devices.as_slice() {
                [device] => Meant::Device(device),
                several => Meant::OneOf(several.len()),
            },
        }
    }

    /// Returns the id of the device that is meant; what means no device, or several, stays as it is.
    #[must_use]
    pub fn id_of<'a>(&'a self, machine: &'a str) -> &'a str {
        match self.find(machine) {
            Meant::Device(id) => id.as_str(),
            Meant::OneOf(_) | Meant::Nobody => machine,
        }
    }
}

fn key(name: &str) -> String {
    name.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::device::Platform;

    fn device(id: &str, name: &str) -> Device {
        let (platform, tags) = (Platform::Other, BTreeSet::new());
        let client = "7".parse().unwrap();
        let id = id.parse().unwrap();
        let unnamed = Device::new(id, client, platform, tags, Timestamp::UNIX_EPOCH);
        Device {
            name: name.to_owned(),
            ..unnamed
        }
    }

    #[test]
    fn a_name_means_its_device_in_any_case_and_nobody_when_several_have_it() {
        let devices = [
            device("81", "NAS-1"),
            device("82", "printer"),
            device("83", "Printer "),
            device("84", ""),
            // Named like the id of another one: the id counts.
            device("85", "81"),
        ];
        let machines = Machines::of(&devices);
        for (text, id) in [
            ("nas-1", "81"),
            (" Nas-1", "81"),
            ("82", "82"),
            ("81", "81"),
        ] {
            assert_eq!(machines.id_of(text), id, "{text}");
        }
        assert_eq!(machines.find("PRINTER"), Meant::OneOf(2));
        assert_eq!(machines.id_of("PRINTER"), "PRINTER");
        for nobody in ["", " ", "sw-1"] {
            assert_eq!(machines.find(nobody), Meant::Nobody);
        }
    }
}
