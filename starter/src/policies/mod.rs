//! `autoops policies`: guardrails as people write them, checked before they can apply.

mod tried;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use clients::store::{Policies, PolicyVersion, StoreError};
use domain::{
    ids::{ClientId, PersonId},
    input::{InvalidInput, Problem},
};
use jiff::Timestamp;
use policy::{Engine, PolicySet, merge};
use serde::Serialize;

pub use self::tried::TryArgs;
use crate::{file, output, setup::Setup, words};

/// Versions shown at most.
const SHOWN: usize = 100;

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub enum PoliciesCommand {
    /// Check a policy file and change nothing
    Validate {
        /// Policies as YAML or JSON; `-` reads stdin
        file: PathBuf,
    },
    /// List the versions of a policy set, newest first
    List {
        /// Set of this client; the default set when absent
        #[arg(long)]
        client: Option<ClientId>,
    },
    /// Check a policy file and make it the newest version
    Apply(ApplyArgs),
    /// Ask the policies a question and change nothing
    Try(Box<TryArgs>),
}

/// What applies to whom.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Policies as YAML or JSON; `-` reads stdin
    pub file: PathBuf,
    /// Set of this client; the client of the file, else the default set, when absent
    #[arg(long)]
    pub client: Option<ClientId>,
    /// Who applies it
    #[arg(long, value_name = "PERSON")]
    pub by: PersonId,
}

#[derive(Debug, Serialize)]
struct Applied<'a> {
    client: Option<&'a ClientId>,
    version: u64,
    hash: &'a str,
    changed: bool,
}

#[derive(Debug, Serialize)]
struct Listed {
    version: u64,
    by: String,
    at: Timestamp,
    hash: String,
    rules: usize,
}

/// Does it.
///
/// # Errors
/// When a policy is refused, or the store cannot be used.
pub async fn run(setup: &Setup, command: &PoliciesCommand) -> anyhow::Result<u8> {
    match command {
        PoliciesCommand::Validate { file } => {
            let set = read(file, None)?;
            match setup.format.is_json() {
                true => output::json(&set)?,
                false => output::line(format!(
                    "valid: {} rules, hash {}",
                    set.rules.len(),
                    set.version
                )),
            }
        }
        PoliciesCommand::List { client } => list(setup, client.as_ref()).await?,
        PoliciesCommand::Apply(args) => apply(setup, args).await?,
        PoliciesCommand::Try(args) => tried::run(setup, args).await?,
    }
    Ok(0)
}

/// Reads and checks a set; all findings come at once.
fn read(path: &std::path::Path, client: Option<&ClientId>) -> anyhow::Result<PolicySet> {
    let set =
        PolicySet::from_json(&file::value(path)?).with_context(|| path.display().to_string())?;
    match (client, &set.client) {
        (Some(asked), Some(named)) if asked != named => {
            let problem = Problem::new(
                "client",
                named,
                format!("{asked}, as --client says, or none"),
            );
            Err(InvalidInput::one(problem)).with_context(|| path.display().to_string())
        }
        (Some(asked), _) => Ok(PolicySet {
            client: Some(asked.clone()),
            ..set
        }
        .sealed()),
        (None, _) => Ok(set),
    }
}

async fn list(setup: &Setup, client: Option<&ClientId>) -> anyhow::Result<()> {
    let versions = setup
        .store()
        .await?
        .policies
        .list_policies(client, None, SHOWN)
        .await?
        .items;
    let listed: Vec<Listed> = versions.into_iter().map(listed).collect();
    if setup.format.is_json() {
        return output::json(&listed);
    }
    if listed.is_empty() {
        match client {
            Some(client) => output::line(format!(
                "client {client} has no policies of its own; the default set applies"
            )),
            None => output::line(format!(
                "nothing was applied; the built-in set applies, hash {}",
                PolicySet::built_in().version
            )),
        }
        return Ok(());
    }
    let rows = listed.into_iter().map(|version| {
        let Listed {
            version,
            by,
            at,
            hash,
            rules,
        } = version;
        [
            version.to_string(),
            words::time(at),
            by,
            rules.to_string(),
            hash,
        ]
    });
    output::table(["version", "applied at", "by", "rules", "hash"], rows);
    Ok(())
}

fn listed(stored: PolicyVersion) -> Listed {
    let set = PolicySet::from_json(&stored.body);
    let (hash, rules) = set.map_or(("unreadable".to_owned(), 0), |set| {
        (set.version, set.rules.len())
    });
    Listed {
        version: stored.version,
        by: stored.by,
        at: stored.at,
        hash,
        rules,
    }
}

async fn apply(setup: &Setup, args: &ApplyArgs) -> anyhow::Result<()> {
    let set = read(&args.file, args.client.as_ref())?;
    let policies = setup.store_or_new().await?.policies;
    let (version, changed) = put(policies.as_ref(), &set, &args.by, Timestamp::now()).await?;
    let whose = set
        .client
        .as_ref()
        .map_or("the default set".to_owned(), |client| {
            format!("client {client}")
        });
    if setup.format.is_json() {
        return output::json(&Applied {
            client: set.client.as_ref(),
            version,
            hash: &set.version,
            changed,
        });
    }
    match changed {
        true => output::line(format!(
            "applied: version {version} of {whose}, hash {}",
            set.version
        )),
        false => output::line(format!(
            "nothing to change: version {version} of {whose} has this content"
        )),
    }
    Ok(())
}

/// Writes a new version, unless the newest has this content; says which and whether.
async fn put(
    policies: &dyn Policies,
    set: &PolicySet,
    by: &PersonId,
    at: Timestamp,
) -> anyhow::Result<(u64, bool)> {
    let client = set.client.as_ref();
    let newest = policies.latest_policy(client).await?;
    if let Some(newest) = &newest
        && PolicySet::from_json(&newest.body).is_ok_and(|stored| stored.version == set.version)
    {
        return Ok((newest.version, false));
    }
    compile(policies, set).await?;
    let expected = newest.map_or(0, |newest| newest.version);
    let version = expected + 1;
    let body = serde_json::to_value(set)?;
    let policy = PolicyVersion {
        client: client.cloned(),
        version,
        by: by.to_string(),
        at,
        body,
    };
    match policies.put_policy(policy, expected).await {
        Ok(()) => Ok((version, true)),
        Err(StoreError::Conflict { .. }) => {
            bail!("somebody applied version {version} just now: look at it and apply again")
        }
        Err(error) => Err(error.into()),
    }
}

/// Compiles a set as it will be used: that of a client over the default one.
async fn compile(policies: &dyn Policies, set: &PolicySet) -> anyhow::Result<Engine> {
    let merged = match &set.client {
        Some(_) => merge(&default_set(policies).await?, set),
        None => set.clone(),
    };
    Engine::compile(&merged).map_err(|error| InvalidInput::from(error).into())
}

/// Compiles what is stored for a client, over the default set.
///
/// # Errors
/// When it cannot be read or does not compile.
pub(crate) async fn stored_engine(
    policies: &dyn Policies,
    client: &ClientId,
) -> anyhow::Result<Engine> {
    let default = default_set(policies).await?;
    let merged = match policies.latest_policy(Some(client)).await? {
        Some(own) => {
            let own = PolicySet::from_json(&own.body).context("policies of the client")?;
            merge(&default, &own)
        }
        None => default,
    };
    Engine::compile(&merged).map_err(|error| InvalidInput::from(error).into())
}

async fn default_set(policies: &dyn Policies) -> anyhow::Result<PolicySet> {
    match policies.latest_policy(None).await? {
        Some(stored) => PolicySet::from_json(&stored.body)
            .with_context(|| format!("version {} of the default set", stored.version)),
        None => Ok(PolicySet::built_in()),
    }
}

#[cfg(test)]
mod tests {
    use clients::store::Store;

    use super::*;

    #[tokio::test]
    async fn the_same_content_is_applied_once_and_versions_count_up() {
        let path =
            std::env::temp_dir().join(format!("autoops-policies-{}/store.db", std::process::id()));
        let policies = Store::embedded(&path).unwrap().policies;
        let by = "dana".parse().unwrap();
        let put = async |set: &PolicySet| {
            put(policies.as_ref(), set, &by, Timestamp::UNIX_EPOCH)
                .await
                .unwrap()
        };
        let set = PolicySet::built_in();
        assert_eq!(put(&set).await, (1, true));
        assert_eq!(put(&set).await, (1, false));
        let fewer = PolicySet {
            rules: set.rules[1..].to_vec(),
            ..set.clone()
        }
        .sealed();
        assert_eq!(put(&fewer).await, (2, true));
        let of_client = PolicySet {
            client: Some("7".parse().unwrap()),
            rules: vec![],
            ..set
        }
        .sealed();
        assert_eq!(put(&of_client).await, (1, true));
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn every_finding_of_a_policy_file_is_named() {
        let path =
            std::env::temp_dir().join(format!("autoops-policies-{}.yaml", std::process::id()));
        let text = "rules:\n- {id: builtin/x, effect: forbid}\n- {id: y, effect: forbid, when: {risk_below: 2000}}\n";
        std::fs::write(&path, text).unwrap();
        let lines = output::error_lines(&read(&path, None).unwrap_err());
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(
            lines[1].contains("rules[0].id") && lines[2].contains("rules[1].when.risk_below"),
            "{lines:?}"
        );
        std::fs::write(&path, "").unwrap();
        let lines = output::error_lines(&read(&path, None).unwrap_err());
        assert!(
            lines[0].contains("an object with the fields") && lines[0].contains("rules"),
            "{lines:?}"
        );
        std::fs::write(&path, "{client: '8', rules: []}").unwrap();
        let error = read(&path, Some(&"7".parse().unwrap())).unwrap_err();
        assert!(
            format!("{error:#}").contains("`8` is not allowed"),
            "{error:#}"
        );
        std::fs::remove_file(path).unwrap();
    }
}
