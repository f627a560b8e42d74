//! What the triage of a client works with: its stored state, and the facts it goes by.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufWriter, Read},
    sync::Mutex,
};

use domain::{
    alert::Event,
    device::Device,
    ids::{ClientId, DeviceId},
    incident::Topology,
    triage::{self, Expectation, ReadyRules, Rules, Triage},
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
}

impl Network {
    /// Joins what people state with what devices say: at a site with one device that is tagged as its
    /// gateway, router, firewall or switch, the others depend on it, unless people state what they
    /// depend on.
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
        let known: BTreeSet<String> = stated.iter().map(|(machine, _)| machine.clone()).collect();
        let mut depends_on = stated;
        for device in devices {
            let site = device.site.as_deref().and_then(|site| gateways.get(site));
            let Some([gateway]) = site.map(Vec::as_slice) else {
                continue;
            };
            if gateway.id != device.id && !known.contains(device.id.as_str()) {
                depends_on.push((device.id.to_string(), gateway.id.to_string()));
            }
        }
        Self {
            topology: Topology { sites, depends_on },
            machines: u32::try_from(devices.len()).unwrap_or(u32::MAX),
        }
    }
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
        let rules = rules.ready().map_err(|error| StoreError::Corrupt {
            what: format!("the alert rules of client {client}"),
            source: Some(error.into()),
        })?;
        let machines = news.iter().map(|event| event.machine.as_str());
        let machines: BTreeSet<&str> = machines.chain(triage.expecting()).collect();
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
            network: networks.of(store, client, now).await?,
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
