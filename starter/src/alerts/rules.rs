//! `autoops alerts rules`: rules are tried on what happened within the last seven days before they count.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use clients::{
    store::{AlertsOf, RulesVersion, Store, StoreError},
    triage::Networks,
};
use domain::{
    alert::Event,
    ids::ClientId,
    triage::{Rules, Trial, try_on},
};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;

use super::{ApplyArgs, PAGE};
use crate::{file, output, setup::Setup, words};

/// How far back rules are tried.
const BACK: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Alerts that rules are tried on; the newest ones.
const MOST: usize = 100_000;

/// What to do with rules.
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// Show the rules that hold for a client
    Show {
        /// Whose
        #[arg(long)]
        client: ClientId,
    },
    /// Say what rules would have done within the last seven days; changes nothing
    Try(TryArgs),
    /// Say what rules would have done, and let them hold from now on
    Apply(ApplyRulesArgs),
}

/// Which rules.
#[derive(Debug, Args)]
pub struct TryArgs {
    /// Whose
    #[arg(long)]
    pub client: ClientId,
    /// Rules as YAML or JSON; `-` reads stdin. The rules that hold now when absent
    pub file: Option<PathBuf>,
}

/// Which rules, who wants them, and how much.
#[derive(Debug, Args)]
pub struct ApplyRulesArgs {
    #[command(flatten)]
    pub apply: ApplyArgs,
    /// Although one of them would have kept back everything
    #[arg(long)]
    pub anyway: bool,
}

/// What rules would have done, as programs read it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    client: &'a ClientId,
    version: Option<u64>,
    changed: bool,
    trial: &'a Trial,
    /// Incidents by the rules that hold now.
    incidents_now: u64,
    warnings: &'a [String],
}

/// Does it.
pub(super) async fn run(setup: &Setup, command: &RulesCommand) -> anyhow::Result<()> {
    let store = setup.store().await?;
    match command {
        RulesCommand::Show { client } => show(setup, &store, client).await,
        RulesCommand::Try(args) => {
            let rules = match &args.file {
                Some(path) => read(path)?,
                None => holding(&store, &args.client).await?.1,
            };
            let tried = tried(&store, &args.client, &rules, Timestamp::now()).await?;
            tell(setup, &args.client, &tried, None)
        }
        RulesCommand::Apply(args) => {
            let ApplyRulesArgs { apply, anyway } = args;
            apply.check_authority(setup, &store).await?;
            let rules = read(&apply.file)?;
            let tried = tried(&store, &apply.client, &rules, Timestamp::now()).await?;
            if tried.trial.hides_everything() && !anyway {
                bail!("{}; --anyway applies it", tried.warnings.join("; "));
            }
            let now = Timestamp::now();
            let put = put(&store, apply, rules, now).await?;
            if let (version, true) = put {
                let detail = json!({ "version": version, "hits": tried.trial.hits });
                apply
                    .note(&store, now, "alert_rules_applied", detail)
                    .await?;
            }
            tell(setup, &apply.client, &tried, Some(put))
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Rules> {
    let rules: Rules = file::typed(path)?;
    let checked = rules.clone().ready();
    checked.with_context(|| path.display().to_string())?;
    Ok(rules)
}

/// Returns the rules that hold, and their version; 0 for those that hold when nobody has said anything.
async fn holding(store: &Store, client: &ClientId) -> anyhow::Result<(u64, Rules)> {
    let newest = store.alerts.latest_rules(client).await?;
    Ok(newest.map_or((0, Rules::default()), |newest| {
        (newest.version, newest.rules)
    }))
}

async fn show(setup: &Setup, store: &Store, client: &ClientId) -> anyhow::Result<()> {
    let newest = store.alerts.latest_rules(client).await?;
    if setup.format.is_json() {
        return match &newest {
            Some(newest) => output::json(newest),
            None => output::json(&Rules::default()),
        };
    }
    match &newest {
        Some(RulesVersion {
            version, by, at, ..
        }) => output::remark(format!(
            "version {version}, applied by {by} at {}",
            words::time(*at)
        )),
        None => output::remark(format!(
            "client {client} has no rules of its own; these hold"
        )),
    }
    output::pretty_json(&newest.map(|newest| newest.rules).unwrap_or_default())
}

/// What came of a trial.
#[derive(Debug)]
struct Tried {
    trial: Trial,
    incidents_now: u64,
    warnings: Vec<String>,
    /// Older alerts were left out.
    cut: bool,
}

async fn tried(
    store: &Store,
    client: &ClientId,
    rules: &Rules,
    now: Timestamp,
) -> anyhow::Result<Tried> {
    let (mut events, cut) = events(store, client, now).await?;
    let network = Networks::default().of(store, client, now).await?;
    network.recognise(&mut events);
    let of = |rules: &Rules| {
        let rules = network.rules(rules.clone());
        try_on(&rules, &network.topology, network.machines, &events)
    };
    let (_, today) = holding(store, client).await?;
    let trial = of(rules)?;
    let incidents_now = match today == *rules {
        true => trial.incidents,
        false => of(&today)?.incidents,
    };
    Ok(Tried {
        warnings: trial.warnings(rules),
        trial,
        incidents_now,
        cut,
    })
}

/// Tells again what happened at a client, in order of time.
async fn events(
    store: &Store,
    client: &ClientId,
    now: Timestamp,
) -> anyhow::Result<(Vec<Event>, bool)> {
    let since = now.checked_sub(BACK)?;
    let of = AlertsOf::Client(client.clone());
    let (mut events, mut alerts, mut cursor) = (Vec::new(), 0, None::<String>);
    let cut = 'read: loop {
        let page = store
            .alerts
            .list_alerts(&of, cursor.as_deref(), PAGE)
            .await?;
        for alert in page.items {
            if alert.said.raised_at < since {
                break 'read false;
            }
            if alerts == MOST {
                break 'read true;
            }
            alerts += 1;
            events.extend(alert.retell());
        }
        cursor = page.next;
        if cursor.is_none() {
            break false;
        }
    };
    // What is raised and over at once is raised first.
    events.sort_by(|a, b| (a.at, &a.alert, a.number).cmp(&(b.at, &b.alert, b.number)));
    Ok((events, cut))
}

/// Adds a version, unless these rules hold already; says which and whether.
async fn put(
    store: &Store,
    args: &ApplyArgs,
    rules: Rules,
    at: Timestamp,
) -> anyhow::Result<(u64, bool)> {
    let (newest, today) = holding(store, &args.client).await?;
    if newest > 0 && today == rules {
        return Ok((newest, false));
    }
    let version = newest + 1;
    let added = store.alerts.put_rules(RulesVersion {
        client: args.client.clone(),
        version,
        by: args.by.to_string(),
        at,
        rules,
    });
    match added.await {
        Ok(()) => Ok((version, true)),
        Err(StoreError::Conflict { .. }) => {
            bail!("somebody applied version {version} just now: look at it and apply again")
        }
        Err(error) => Err(error.into()),
    }
}

fn tell(
    setup: &Setup,
    client: &ClientId,
    tried: &Tried,
    put: Option<(u64, bool)>,
) -> anyhow::Result<()> {
    let trial = &tried.trial;
    if setup.format.is_json() {
        return output::json(&Report {
            client,
            version: put.map(|(version, _)| version),
            changed: put.is_some_and(|(_, changed)| changed),
            trial,
            incidents_now: tried.incidents_now,
            warnings: &tried.warnings,
        });
    }
    let rows = trial.hits.iter().map(|hits| {
        let examples = hits.examples.iter().map(ToString::to_string);
        [
            hits.rule.clone(),
            hits.alerts.to_string(),
            examples.collect::<Vec<_>>().join(", "),
        ]
    });
    output::table(["rule", "would have kept back", "such as"], rows);
    output::line(format!(
        "{} alerts within the last seven days{}: {} incidents, {} by the rules that hold{}",
        trial.alerts,
        if tried.cut {
            " (the newest of them)"
        } else {
            ""
        },
        trial.incidents,
        tried.incidents_now,
        if put.is_some() { " so far" } else { "" },
    ));
    for warning in &tried.warnings {
        output::remark(format!("warning: {warning}"));
    }
    match put {
        Some((version, true)) => {
            output::line(format!("applied: version {version} of client {client}"))
        }
        Some((version, false)) => output::line(format!(
            "nothing to change: version {version} has these rules"
        )),
        None => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::alert::read_plain;

    use super::*;

    async fn store() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::embedded(&folder.path().join("store.db")).unwrap();
        (store, folder)
    }

    fn rules(title: &str) -> Rules {
        let rules = json!({ "silences": [{
            "name": "quiet", "matches": { "title": title }, "until": "2027-01-01T00:00:00Z", "by": "lee", "reason": "known",
        }] });
        serde_json::from_value(rules).unwrap()
    }

    #[tokio::test]
    async fn rules_tell_what_they_would_have_kept_back_within_seven_days() {
        let (store, _folder) = store().await;
        let now: Timestamp = "2026-11-28T12:00:00Z".parse().unwrap();
        let alert = |n: u32, days: i64, title: &str| {
            let raised = now - SignedDuration::from_hours(24 * days);
            json!({ "id": n.to_string(), "client": "7", "host": format!("m{n}"), "title": title, "raised_at": raised })
        };
        let body = json!([
            alert(1, 1, "toner low"),
            alert(2, 2, "disk full"),
            alert(3, 8, "toner low")
        ]);
        let intake = read_plain(body.to_string().as_bytes(), now).unwrap();
        store
            .alerts
            .take_sightings(intake.sightings, false)
            .await
            .unwrap();
        let client: ClientId = "7".parse().unwrap();
        let some = tried(&store, &client, &rules("toner"), now).await.unwrap();
        assert_eq!((some.trial.alerts, some.trial.hits[0].alerts), (2, 1));
        assert_eq!((some.trial.incidents, some.incidents_now), (1, 2));
        assert!(some.warnings.is_empty(), "{some:?}");
        let all = tried(&store, &client, &rules("."), now).await.unwrap();
        assert!(all.trial.hides_everything());
    }

    #[tokio::test]
    async fn the_same_rules_are_applied_once_and_versions_count_up() {
        let (store, _folder) = store().await;
        let args = ApplyArgs {
            client: "7".parse().unwrap(),
            file: PathBuf::new(),
            by: "lee".parse().unwrap(),
        };
        let at = Timestamp::UNIX_EPOCH;
        let put = async |rules| put(&store, &args, rules, at).await.unwrap();
        assert_eq!(put(rules("toner")).await, (1, true));
        assert_eq!(put(rules("toner")).await, (1, false));
        assert_eq!(put(rules("paper")).await, (2, true));
    }

    #[test]
    fn a_pattern_that_cannot_be_read_is_refused_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.yaml");
        let text = "silences:\n- {name: a, matches: {title: \"disk (\"}, until: 2027-01-01T00:00:00Z, by: lee, reason: x}\n";
        std::fs::write(&path, text).unwrap();
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(
            error.contains("rules.yaml")
                && error.contains("silences[0].matches.title")
                && error.contains('^'),
            "{error}"
        );
        std::fs::write(&path, "silence: []\n").unwrap();
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(error.contains("silence"), "{error}");
    }
}
