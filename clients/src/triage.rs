//! What the triage of a client works with: its stored state, and the facts it goes by.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufWriter, Read},
    sync::Mutex,
};

use domain::{
    alert::{Event, Intake},
    device::Device,
    ids::{ClientId, DeviceId},
    incident::Topology,
    machine::Machines,
    triage::{self, Expectation, Order, OrderKind, ReadyRules, Rules, Triage},
};
use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use jiff::{SignedDuration, Timestamp};

use crate::store::{Store, StoreError, StoreResult};

/// Devices of one answer from the store.
const PAGE: usize = 500;
/// Bytes of a state that are packed at once.
const PACKED_AT_ONCE: usize = 64 * 1024;
/// What is known of a client's network is read anew after this.
const FRESH: SignedDuration = SignedDuration::from_mins(5);
/// Tags of devices that the others of their site are behind.
const GATEWAYS: [&str; 4] = ["gateway", "router", "firewall", "switch"];

/// Reads a stored state; a client that has none begins anew.
///
/// # Errors
/// `Corrupt` when it cannot be read.
pub fn read_state(state: Option<&[u8]>) -> StoreResult<Triage> {
    let Some(packed) = state else {
        return Ok(Triage::new());
    };
    let corrupt = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Corrupt {
        what: "the state of a triage".to_owned(),
        source: Some(source),
    };
    let mut text = Vec::new();
    ZlibDecoder::new(packed)
        .read_to_end(&mut text)
        .map_err(|error| corrupt(error.into()))?;
    serde_json::from_slice(&text).map_err(|error| corrupt(error.into()))
}

/// Writes a state so that it can be stored.
///
/// # Errors
/// `Invalid` when it cannot be written.
pub fn write_state(triage: &Triage) -> StoreResult<Vec<u8>> {
    let invalid = |error: String| StoreError::Invalid {
        what: format!("the state of a triage cannot be written: {error}"),
    };
    // Packed as it is written: of a client with many alerts the text is large.
    let packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    let mut text = BufWriter::with_capacity(PACKED_AT_ONCE, packed);
    serde_json::to_writer(&mut text, triage).map_err(|error| invalid(error.to_string()))?;
    let packed = text
        .into_inner()
        .map_err(|error| invalid(error.to_string()))?;
    packed.finish().map_err(|error| invalid(error.to_string()))
}

/// What is known of a client's network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Who depends on whom, and which device is where.
    pub topology: Topology,
    /// Devices of the client.
    pub machines: u32,
    /// Their names.
    pub names: Machines,
}

impl Network {
    /// Joins what people state with what devices say: at a site with one device that is tagged as its
    /// gateway, router, firewall or switch, the others depend on it, unless people state what they
    /// depend on, or that it depends on them. Devices that are stated by name are recognised.
    #[must_use]
    pub fn of(devices: &[Device], stated: Vec<(String, String)>) -> Self {
        let mut sites = Vec::new();
        let mut gateways: BTreeMap<&str, Vec<&Device>> = BTreeMap::new();
        for device in devices {
            let Some(site) = device.site.as_deref() else {
                continue;
            };
            sites.push((device.id.to_string(), site.to_owned()));
            if GATEWAYS.iter().any(|tag| device.tags.contains(*tag)) {
                gateways.entry(site).or_default().push(device);
            }
        }
        let names = Machines::of(devices);
        let mut depends_on = pairs_of(&names, &stated);
        let known: BTreeSet<&str> = depends_on.iter().map(|pair| pair.0.as_str()).collect();
        let mut inferred = Vec::new();
        for device in devices {
            let site = device.site.as_deref().and_then(|site| gateways.get(site));
            let Some([gateway]) = site.map(Vec::as_slice) else {
                continue;
            };
            if gateway.id != device.id && !known.contains(device.id.as_str()) {
                inferred.push((device.id.to_string(), gateway.id.to_string()));
            }
        }
        let inferred = out_of_circles(&inferred, &depends_on);
        depends_on.extend(inferred);
        Self {
            topology: Topology { sites, depends_on },
            machines: u32::try_from(devices.len()).unwrap_or(u32::MAX),
            names,
        }
    }

    /// Returns what people state of machines, with the devices that they name.
    #[must_use]
    pub fn stated(&self, pairs: &[(String, String)]) -> Vec<(String, String)> {
        pairs_of(&self.names, pairs)
    }

    /// Lets alerts that name a device be of this device.
    pub fn recognise(&self, news: &mut [Event]) {
        for event in news {
            let meant = self.names.id_of(&event.machine);
            if meant != event.machine {
                event.machine = meant.to_owned();
            }
        }
    }

    /// Returns rules that are about the devices which people name.
    #[must_use]
    pub fn rules(&self, mut rules: Rules) -> Rules {
        let silences = rules.silences.iter_mut().map(|rule| &mut rule.matches);
        let windows = rules.maintenance.iter_mut().map(|rule| &mut rule.matches);
        for matches in silences.chain(windows) {
            matches.machines = self.meant(&matches.machines);
        }
        rules
    }

    /// Returns an order that is about the devices which a person names.
    #[must_use]
    pub fn order(&self, mut order: Order) -> Order {
        if let OrderKind::Split { machines, .. } = &mut order.kind {
            *machines = self.meant(machines);
        }
        order
    }

    /// Adds ids to names: alerts of before a device was known are of its name.
    fn meant(&self, machines: &[String]) -> Vec<String> {
        let ids = machines
            .iter()
            .map(|name| self.names.id_of(name).to_owned());
        let all: BTreeSet<String> = ids.chain(machines.iter().cloned()).collect();
        all.into_iter().collect()
    }
}

fn pairs_of(names: &Machines, pairs: &[(String, String)]) -> Vec<(String, String)> {
    let of = |machine: &str| names.id_of(machine).to_owned();
    let meant = pairs.iter().map(|(machine, on)| (of(machine), of(on)));
    meant.filter(|(machine, on)| machine != on).collect()
}

/// Keeps those that close no circle: people know better than a tag who depends on whom.
fn out_of_circles(
    inferred: &[(String, String)],
    stated: &[(String, String)],
) -> Vec<(String, String)> {
    let mut uses: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (machine, on) in stated.iter().chain(inferred) {
        uses.entry(machine).or_default().push(on);
    }
    let mut upstream: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (_, gateway) in inferred {
        let reached = upstream.entry(gateway);
        reached.or_insert_with(|| upstream_of(gateway, &uses));
    }
    let closes = |(machine, gateway): &(String, String)| {
        let reached = upstream.get(gateway.as_str());
        reached.is_some_and(|reached| reached.contains(machine.as_str()))
    };
    inferred
        .iter()
        .filter(|pair| !closes(pair))
        .cloned()
        .collect()
}

/// Returns what a machine depends on, directly or through others.
fn upstream_of<'a>(machine: &'a str, uses: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![machine]);
    while let Some(next) = open.pop() {
        let new = uses.get(next).into_iter().flatten();
        open.extend(new.copied().filter(|one| reached.insert(*one)));
    }
    reached
}

/// Networks of clients, read from the store when they are needed.
#[derive(Debug, Default)]
pub struct Networks {
    read: Mutex<BTreeMap<ClientId, (Timestamp, Network)>>,
}

impl Networks {
    /// Returns what is known of a client's network; what was read within five minutes is good enough.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn of(
        &self,
        store: &Store,
        client: &ClientId,
        now: Timestamp,
    ) -> StoreResult<Network> {
        let known = {
            let read = self
                .read
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            read.get(client).cloned()
        };
        if let Some((at, network)) = known
            && now.duration_since(at) < FRESH
        {
            return Ok(network);
        }
        let (mut devices, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = store
                .inventory
                .list_devices(client, cursor.as_deref(), PAGE)
                .await?;
            devices.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let stated = store.alerts.get_topology(client).await?;
        let network = Network::of(
            &devices,
            stated.map(|stated| stated.depends_on).unwrap_or_default(),
        );
        let mut read = self
            .read
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        read.insert(client.clone(), (now, network.clone()));
        Ok(network)
    }
}

/// Lets the devices that other tools name be recognised, before their alerts are taken in.
///
/// # Errors
/// When the store cannot be read.
pub async fn recognise(store: &Store, intake: &mut Intake, now: Timestamp) -> StoreResult<()> {
    let networks = Networks::default();
    let clients = intake.sightings.iter().map(|said| said.client.clone());
    let clients: BTreeSet<ClientId> = clients.collect();
    for client in clients {
        let network = networks.of(store, &client, now).await?;
        intake.recognise(&client, &network.names);
    }
    Ok(())
}

/// What a turn goes by.
#[derive(Debug)]
pub struct Facts {
    rules: ReadyRules,
    expectations: Vec<Expectation>,
    network: Network,
}

impl Facts {
    /// Reads what a turn with these news goes by.
    ///
    /// # Errors
    /// When the store cannot be read; `Corrupt` when the stored rules are not allowed.
    pub async fn gather(
        store: &Store,
        networks: &Networks,
        client: &ClientId,
        triage: &Triage,
        news: &[Event],
        now: Timestamp,
    ) -> StoreResult<Self> {
        let rules = store.alerts.latest_rules(client).await?;
        let rules: Rules = rules.map(|version| version.rules).unwrap_or_default();
        let network = networks.of(store, client, now).await?;
        let rules = network
            .rules(rules)
            .ready()
            .map_err(|error| StoreError::Corrupt {
                what: format!("the alert rules of client {client}"),
                source: Some(error.into()),
            })?;
        let machines = news.iter().map(|event| event.machine.as_str());
        let machines: BTreeSet<&str> = machines.chain(triage.expecting(now)).collect();
        let devices = machines
            .into_iter()
            .filter_map(|machine| machine.parse().ok());
        let devices: Vec<DeviceId> = devices.collect();
        let mut expectations = store.alerts.get_expectations(&devices).await?;
        // The order of the store is that of names; the first that explains an alert counts.
        expectations.sort_by_key(|one| (std::cmp::Reverse(one.from), one.plan.clone()));
        Ok(Self {
            rules,
            expectations,
            network,
        })
    }

    /// Returns the network.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Returns them at a time.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> triage::Facts<'_> {
        triage::Facts {
            rules: &self.rules,
            expectations: &self.expectations,
            machines: self.network.machines,
            now,
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        alert::read_plain,
        device::{Device, Platform},
    };
    use serde_json::json;

    use super::*;

    fn device(id: &str, name: &str) -> Device {
        let (id, client) = (id.parse().unwrap(), "7".parse().unwrap());
        let seen = Timestamp::UNIX_EPOCH;
        let unnamed = Device::new(id, client, Platform::Other, BTreeSet::new(), seen);
        Device {
            name: name.to_owned(),
            ..unnamed
        }
    }

    fn pair(machine: &str, on: &str) -> (String, String) {
        (machine.to_owned(), on.to_owned())
    }

    #[test]
    fn who_depends_on_whom_is_stated_by_name_and_holds_for_devices() {
        let devices = [
            device("81", "NAS-1"),
            device("82", "sw-cellar"),
            device("83", "printer"),
            device("84", "printer"),
        ];
        let stated = vec![
            pair("nas-1", "SW-Cellar"),
            pair("printer", "82"),
            pair("camera-3", "sw-cellar"),
            pair("81", "nas-1"),
        ];
        let network = Network::of(&devices, stated);
        let expected = [
            pair("81", "82"),
            // Nobody knows which one is meant.
            pair("printer", "82"),
            pair("camera-3", "82"),
        ];
        assert_eq!(network.topology.depends_on, expected);
        let rules = json!({ "silences": [{ "name": "nas", "matches": { "machines": ["Nas-1"] },
            "until": "2027-01-01T00:00:00Z", "by": "lee", "reason": "known" }] });
        let rules = network.rules(serde_json::from_value(rules).unwrap());
        assert_eq!(rules.silences[0].matches.machines, ["81", "Nas-1"]);
    }

    #[test]
    fn a_gateway_is_not_behind_those_that_are_behind_it() {
        let at = |id: &str, site: &str, tags: &[&str]| Device {
            site: Some(site.to_owned()),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..device(id, id)
        };
        let devices = [
            at("11", "office", &["router"]),
            at("12", "office", &[]),
            at("13", "office", &[]),
            at("21", "cellar", &["switch"]),
            at("22", "cellar", &[]),
            at("23", "cellar", &[]),
            at("31", "attic", &["switch"]),
            at("32", "attic", &[]),
        ];
        // The office is online through a server in it. Cellar and attic are so through each other's machines, as
        // far as people say.
        let stated = vec![pair("11", "12"), pair("21", "32"), pair("31", "22")];
        let network = Network::of(&devices, stated.clone());
        let inferred = [pair("13", "11"), pair("23", "21")];
        assert_eq!(
            network.topology.depends_on,
            [&stated[..], &inferred].concat()
        );
        assert_eq!(Topology::check(&network.topology.depends_on), Ok(()));
    }

    #[tokio::test]
    async fn an_alert_of_another_tool_is_of_the_device_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::embedded(&folder.path().join("store.db")).unwrap();
        let devices = [
            device("81", "NAS-1"),
            device("83", "printer"),
            device("84", "Printer"),
        ];
        store.inventory.put_devices(&devices).await.unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let alert =
            |client: &str, host: &str| json!({ "client": client, "host": host, "title": "x" });
        let disk = json!({ "client": "7", "device": "sda", "host": "nas-1", "title": "smart" });
        let body = json!([
            alert("7", "nas-1"),
            alert("7", "printer"),
            alert("7", "camera-3"),
            alert("8", "nas-1"),
            disk,
        ]);
        let mut intake = read_plain(body.to_string().as_bytes(), now).unwrap();
        recognise(&store, &mut intake, now).await.unwrap();
        let devices = intake.sightings.iter().map(|said| said.device.as_ref());
        let devices: Vec<_> = devices.map(|id| id.map(DeviceId::as_str)).collect();
        assert_eq!(devices, [Some("81"), None, None, None, Some("81")]);
        assert_eq!(intake.counts.ambiguous, 1);
        let told = intake.problems[0].to_string();
        assert!(
            told.contains("printer") && told.contains("2 devices"),
            "{told}"
        );
    }
}
