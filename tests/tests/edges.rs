//! Who may use whom: the table of the architecture, held against what Cargo resolves.

#![expect(clippy::unwrap_used, reason = "a check that cannot look has to fail")]

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

/// Outside the pure rooms: clocks, networks, databases, chance.
const WORLD: [&str; 7] = [
    "tokio", TEMPORAL, "aws", "reqwest", "axum", "rusqlite", "rand",
];

/// Temporal's own crates.
const TEMPORAL: &str = "temporalio";

/// A room, the rooms it may use, and crate families that it must not.
struct Room {
    name: &'static str,
    uses: &'static [&'static str],
    /// Must not be reached at all.
    never: &'static [&'static str],
    /// Must not be reached either, except by way of Temporal's own crates.
    never_but_by_temporal: &'static [&'static str],
    /// Exceptions to both.
    but: &'static [&'static str],
}

const ROOMS: [Room; 10] = [
    Room {
        name: "domain",
        uses: &[],
        never: &WORLD,
        never_but_by_temporal: &[],
        but: &[],
    },
    Room {
        name: "contracts",
        uses: &["domain"],
        never: &[],
        never_but_by_temporal: &WORLD,
        but: &["temporalio-macros", "temporalio-common-wasm"],
    },
    Room {
        name: "workflows",
        uses: &["contracts", "domain"],
        never: &[],
        never_but_by_temporal: &WORLD,
        but: &[
            "temporalio-macros",
            "temporalio-common-wasm",
            "temporalio-workflow",
        ],
    },
    Room {
        name: "policy",
        uses: &["domain"],
        never: &WORLD,
        never_but_by_temporal: &[],
        but: &[],
    },
    Room {
        name: "agents",
        uses: &["domain"],
        never: &WORLD,
        never_but_by_temporal: &[],
        but: &[],
    },
    Room {
        name: "clients",
        uses: &["domain"],
        never: &["temporalio", "axum"],
        never_but_by_temporal: &[],
        but: &[],
    },
    Room {
        name: "activities",
        uses: &["contracts", "domain", "agents", "policy", "clients"],
        never: &["autoops-workflows"],
        never_but_by_temporal: &["axum"],
        but: &[],
    },
    Room {
        name: "worker",
        uses: &["contracts", "workflows", "activities", "clients", "policy"],
        never: &[],
        never_but_by_temporal: &["axum"],
        but: &[],
    },
    Room {
        name: "starter",
        uses: &["contracts", "workflows", "domain", "policy", "clients"],
        never: &["temporalio-sdk", "autoops-activities"],
        never_but_by_temporal: &["axum"],
        but: &[],
    },
    Room {
        name: "api",
        uses: &["contracts", "workflows", "domain", "policy", "clients"],
        never: &["temporalio-sdk", "autoops-activities"],
        never_but_by_temporal: &[],
        but: &[],
    },
];

/// Rooms that may use anything.
const FREE: [&str; 2] = ["autoops-dev-server", "autoops-tests"];

struct Workspace {
    metadata: Metadata,
    /// Normal dependencies of each package, as resolved.
    uses: BTreeMap<PackageId, Vec<PackageId>>,
}

impl Workspace {
    fn load() -> Self {
        let mut command = MetadataCommand::new();
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
        // A build fetches the crates of this platform only, and the network may be gone since.
        let options = ["--offline", "--locked", "--filter-platform"].map(str::to_owned);
        let options = options.into_iter().chain([host()]).collect::<Vec<_>>();
        command.manifest_path(manifest).other_options(options);
        let metadata = command.exec().unwrap();
        let nodes = &metadata.resolve.as_ref().unwrap().nodes;
        let uses = nodes.iter().map(|node| {
            let normal = node.deps.iter().filter(|dep| {
                dep.dep_kinds
                    .iter()
                    .any(|kind| kind.kind == DependencyKind::Normal)
            });
            (node.id.clone(), normal.map(|dep| dep.pkg.clone()).collect())
        });
        let uses = uses.collect();
        Self { metadata, uses }
    }

    fn id_of(&self, name: &str) -> Option<PackageId> {
        let members = self.metadata.workspace_packages();
        members
            .into_iter()
            .find(|p| p.name == name)
            .map(|p| p.id.clone())
    }

    fn name(&self, id: &PackageId) -> String {
        self.metadata[id].name.to_string()
    }

    fn direct(&self, id: &PackageId) -> BTreeSet<String> {
        let used = self.uses.get(id).into_iter().flatten();
        used.map(|id| self.name(id)).collect()
    }

    /// Returns what a package uses, and what that uses, and so on; a family of crates in `closed` is
    /// named, but not looked into.
    fn reached(&self, id: &PackageId, closed: Option<&str>) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut open = vec![id.clone()];
        while let Some(at) = open.pop() {
            for next in self.uses.get(&at).into_iter().flatten() {
                let is_closed = closed.is_some_and(|family| is_of(family, &self.name(next)));
                if seen.insert(next.clone()) && !is_closed {
                    open.push(next.clone());
                }
            }
        }
        seen.iter().map(|id| self.name(id)).collect()
    }
}

/// Returns the platform this runs on, as Cargo names it.
fn host() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let told = Command::new(rustc).arg("-vV").output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.unwrap().to_owned()
}

fn is_of(family: &str, name: &str) -> bool {
    name == family
        || name
            .strip_prefix(family)
            .is_some_and(|rest| rest.starts_with(['-', '_']))
}

fn offending(names: &BTreeSet<String>, families: &[&str], but: &[&str]) -> Vec<String> {
    let bad = names.iter().filter(|name| {
        families.iter().any(|family| is_of(family, name)) && !but.contains(&name.as_str())
    });
    bad.cloned().collect()
}

#[test]
fn rooms_use_only_the_rooms_they_may() {
    let workspace = Workspace::load();
    for room in &ROOMS {
        let Some(id) = workspace.id_of(&format!("autoops-{}", room.name)) else {
            continue;
        };
        let used = workspace.direct(&id);
        let rooms = used.iter().filter_map(|name| name.strip_prefix("autoops-"));
        let others: Vec<_> = rooms.filter(|name| !room.uses.contains(name)).collect();
        assert!(others.is_empty(), "{} must not use {others:?}", room.name);
    }
}

#[test]
fn rooms_keep_away_from_what_is_not_theirs() {
    let workspace = Workspace::load();
    for room in &ROOMS {
        let Some(id) = workspace.id_of(&format!("autoops-{}", room.name)) else {
            continue;
        };
        let (all, ours) = (
            workspace.reached(&id, None),
            workspace.reached(&id, Some(TEMPORAL)),
        );
        let mut reached = offending(&all, room.never, room.but);
        reached.extend(offending(&ours, room.never_but_by_temporal, room.but));
        assert!(
            reached.is_empty(),
            "{} must not reach {reached:?}",
            room.name
        );
    }
}

#[test]
fn every_member_is_a_room_and_takes_the_lints_of_the_workspace() {
    let workspace = Workspace::load();
    for package in workspace.metadata.workspace_packages() {
        let name = package.name.as_str();
        let room = ROOMS
            .iter()
            .any(|room| name == format!("autoops-{}", room.name));
        assert!(
            room || FREE.contains(&name),
            "{name} is no room of the architecture"
        );
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{name} has lints of its own"
        );
    }
}

#[test]
fn time_zones_come_from_the_binary_and_never_from_the_machine() {
    let workspace = Workspace::load();
    for package in workspace.metadata.workspace_packages() {
        for jiff in package.dependencies.iter().filter(|dep| dep.name == "jiff") {
            let of_the_machine = ["tz-system", "tzdb-zoneinfo", "tzdb-concatenated"];
            let bad = of_the_machine
                .iter()
                .any(|f| jiff.features.contains(&(*f).to_owned()));
            assert!(
                !jiff.uses_default_features && !bad,
                "{}: {jiff:?}",
                package.name
            );
        }
    }
}

#[test]
fn the_check_finds_what_is_there() {
    let workspace = Workspace::load();
    let clients = workspace.id_of("autoops-clients").unwrap();
    assert!(!offending(&workspace.reached(&clients, None), &["rusqlite"], &[]).is_empty());
    let contracts = workspace.id_of("autoops-contracts").unwrap();
    let finds_tokio =
        |closed| !offending(&workspace.reached(&contracts, closed), &["tokio"], &[]).is_empty();
    assert!(finds_tokio(None) && !finds_tokio(Some(TEMPORAL)));
    assert!(is_of("aws", "aws-config") && is_of("rand", "rand_core") && !is_of("rand", "random"));
}
