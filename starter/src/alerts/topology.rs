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
use domain::{ids::ClientId, incident::Topology};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ApplyArgs;
use crate::{file, output, setup::Setup, words};

/// Devices of one answer from the store.
const PAGE: usize = 500;
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
            let strangers = strangers(&store, &args.client, &pairs).await?;
            let stated = StatedTopology {
                client: args.client.clone(),
                by: args.by.to_string(),
                at: Timestamp::now(),
                depends_on: pairs,
            };
            store.alerts.put_topology(stated.clone()).await?;
            let detail = json!({ "depends_on": stated.depends_on.len() });
            args.note(&store, stated.at, "topology_stated", detail)
                .await?;
            if !strangers.is_empty() {
                let named = strangers.iter().take(NAMED).cloned();
                output::remark(format!(
                    "warning: {} machines are no devices of the client, such as {}; alerts may name them all the same",
                    strangers.len(),
                    named.collect::<Vec<_>>().join(", ")
                ));
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

/// Lists machines that are neither a device of the client nor the name of one.
async fn strangers(
    store: &Store,
    client: &ClientId,
    pairs: &[(String, String)],
) -> anyhow::Result<BTreeSet<String>> {
    let named = pairs.iter().flat_map(|(machine, on)| [machine, on]);
    let mut strangers: BTreeSet<String> = named.cloned().collect();
    let mut cursor = None::<String>;
    loop {
        let page = store
            .inventory
            .list_devices(client, cursor.as_deref(), PAGE)
            .await?;
        for device in page.items {
            strangers.remove(device.id.as_str());
            strangers.remove(&device.name);
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(strangers);
        }
    }
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
    let by_people: BTreeSet<&(String, String)> = stated
        .iter()
        .flat_map(|stated| &stated.depends_on)
        .collect();
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
    use super::*;

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
