//! `autoops alerts topology`: who depends on whom, so that what is behind a machine that is down is not
//! told as well.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::Context;
use clap::Subcommand;
use clients::{
    store::{StatedTopology, Store},
    triage::Networks,
};
use domain::{
    ids::ClientId,
    incident::Topology,
    machine::{Machines, Meant},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ApplyArgs;
use crate::{file, output, setup::Setup, words};

/// Machines that are named in a remark.
const NAMED: usize = 5;

/// What to do with dependencies.
#[derive(Debug, Subcommand)]
pub enum TopologyCommand {
    /// Show who depends on whom: as people state it, and as sites with one gateway tell
    Show {
        /// Whose
        #[arg(long)]
        client: ClientId,
    },
    /// State who depends on whom; replaces what was stated before
    Apply(ApplyArgs),
}

/// A file of dependencies: machine, and what it depends on; device ids or host names.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stated {
    depends_on: BTreeMap<String, Vec<String>>,
}

/// Dependencies, as programs read them.
#[derive(Debug, Serialize)]
struct Report<'a> {
    client: &'a ClientId,
    by: Option<&'a str>,
    at: Option<Timestamp>,
    depends_on: &'a [(String, String)],
}

/// Does it.
pub(super) async fn run(setup: &Setup, command: &TopologyCommand) -> anyhow::Result<()> {
    let store = setup.store().await?;
    match command {
        TopologyCommand::Show { client } => show(setup, &store, client).await,
        TopologyCommand::Apply(args) => {
            args.check_authority(setup, &store).await?;
            let pairs = read(&args.file)?;
            let now = Timestamp::now();
            let network = Networks::default().of(&store, &args.client, now).await?;
            Topology::check(&network.stated(&pairs))
                .with_context(|| args.file.display().to_string())?;
            let warnings = unclear(&network.names, &pairs);
            let stated = StatedTopology {
                client: args.client.clone(),
                by: args.by.to_string(),
                at: now,
                depends_on: pairs,
            };
            store.alerts.put_topology(stated.clone()).await?;
            let detail = json!({ "depends_on": stated.depends_on.len() });
            args.note(&store, stated.at, "topology_stated", detail)
                .await?;
            for warning in warnings {
                output::remark(format!("warning: {warning}"));
            }
            if setup.format.is_json() {
                return output::json(&stated);
            }
            output::line(format!(
                "applied: {} pairs of client {}; triage goes by them within five minutes",
                stated.depends_on.len(),
                args.client
            ));
            Ok(())
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let Stated { depends_on } = file::typed(path)?;
    let pairs = depends_on
        .into_iter()
        .flat_map(|(machine, on)| on.into_iter().map(move |on| (machine.clone(), on)));
    let pairs: Vec<(String, String)> = pairs.collect();
    Topology::check(&pairs).with_context(|| path.display().to_string())?;
    Ok(pairs)
}

/// Says which machines are no device of the client, or may be one of several.
fn unclear(names: &Machines, pairs: &[(String, String)]) -> Vec<String> {
    let named = pairs.iter().flat_map(|(machine, on)| [machine, on]);
    let named: BTreeSet<&String> = named.collect();
    let (mut strangers, mut several) = (Vec::new(), Vec::new());
    for machine in named {
        match names.find(machine) {
            Meant::Device(_) => {}
            Meant::OneOf(_) => several.push(machine.as_str()),
            Meant::Nobody => strangers.push(machine.as_str()),
        }
    }
    let warn = |machines: &[&str], what: &str| {
        let count = machines.len();
        let some = machines.iter().take(NAMED).copied();
        let some = some.collect::<Vec<_>>().join(", ");
        (count > 0).then(|| format!("{count} machines {what}, such as {some}"))
    };
    let strangers = warn(
        &strangers,
        "are no devices of the client, and alerts may name them all the same",
    );
    let several = warn(
        &several,
        "have the name of several devices, and only alerts that say no device are of them",
    );
    strangers.into_iter().chain(several).collect()
}

async fn show(setup: &Setup, store: &Store, client: &ClientId) -> anyhow::Result<()> {
    let network = Networks::default()
        .of(store, client, Timestamp::now())
        .await?;
    let stated = store.alerts.get_topology(client).await?;
    let pairs = &network.topology.depends_on;
    if setup.format.is_json() {
        return output::json(&Report {
            client,
            by: stated.as_ref().map(|stated| stated.by.as_str()),
            at: stated.as_ref().map(|stated| stated.at),
            depends_on: pairs,
        });
    }
    let by_people = stated
        .iter()
        .flat_map(|stated| network.stated(&stated.depends_on));
    let by_people: BTreeSet<(String, String)> = by_people.collect();
    let rows = pairs.iter().map(|pair| {
        let why = match by_people.contains(pair) {
            true => "stated",
            false => "the only gateway of its site",
        };
        [pair.0.clone(), pair.1.clone(), why.to_owned()]
    });
    output::table(["machine", "depends on", "because"], rows);
    if let Some(stated) = &stated {
        output::line(format!(
            "stated by {} at {}",
            stated.by,
            words::time(stated.at)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::device::{Device, Platform};

    use super::*;

    #[test]
    fn what_a_name_does_not_say_is_warned_of() {
        let device = |id: &str, name: &str| {
            let (id, client) = (id.parse().unwrap(), "7".parse().unwrap());
            let (platform, seen) = (Platform::Other, Timestamp::UNIX_EPOCH);
            let device = Device::new(id, client, platform, BTreeSet::new(), seen);
            let name = name.to_owned();
            Device { name, ..device }
        };
        let names = Machines::of(&[
            device("81", "nas-1"),
            device("82", "sw"),
            device("83", "SW"),
        ]);
        let pair = |machine: &str, on: &str| (machine.to_owned(), on.to_owned());
        let warnings = unclear(&names, &[pair("NAS-1", "sw"), pair("camera", "81")]);
        let [strangers, several] = &warnings[..] else {
            panic!("{warnings:?}")
        };
        assert!(strangers.ends_with("such as camera") && several.ends_with("such as sw"));
    }

    #[test]
    fn dependencies_are_read_by_machine_and_circles_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("topology.yaml");
        std::fs::write(
            &path,
            "depends_on:\n  \"81\": [sw1]\n  \"82\": [sw1, sw2]\n",
        )
        .unwrap();
        assert_eq!(read(&path).unwrap().len(), 3);
        std::fs::write(&path, "depends_on: {a: [b], b: [a]}").unwrap();
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(error.contains("a -> b -> a"), "{error}");
        std::fs::write(&path, "depends: {}").unwrap();
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(error.contains("depends"), "{error}");
    }
}
