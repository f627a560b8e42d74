//! `autoops audit`: who decided what on which evidence, and whether the trail is whole.

mod seal;
#[cfg(test)]
mod tests;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use clients::{
    seal::{self as seals, SealCheck},
    store::{Actions, StoreError},
};
use contracts::ids;
use domain::audit::{self, Actor, AuditEntry, BrokenChain};
use serde::Serialize;

use self::seal::SealArgs;
use crate::{
    output::{self, USAGE_OR_CONNECTION, short},
    setup::Setup,
    words,
};

/// Entries and chains read at once.
const PAGE: usize = 200;

/// What to do with the audit trail.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Show the entries of a deployment or device run
    Show(ShowArgs),
    /// Check that no entry was changed, moved or removed, and that all agree with what was sealed
    Verify(VerifyArgs),
    /// Copy what was written down into write-once storage, and seal it
    Seal(SealArgs),
}

/// Which chain.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Plan id or workflow id
    #[arg(value_name = "ID", value_parser = chain)]
    pub chain: String,
}

/// Which chains.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Only this deployment with its device runs, or this one device run; without what was sealed
    #[arg(long, value_name = "ID", value_parser = chain)]
    pub workflow: Option<String>,
}

/// What a check found.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Chains checked.
    pub chains: u64,
    /// Entries checked.
    pub entries: u64,
    /// Chains that do not hold, each with its first broken entry.
    pub broken: Vec<Broken>,
    /// What was sealed; absent when only some chains were checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed: Option<SealCheck>,
}

/// A chain that does not hold.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// Chain.
    pub chain: String,
    /// First broken entry.
    pub sequence: u64,
    /// What is wrong with it.
    pub why: &'static str,
}

impl From<BrokenChain> for Broken {
    fn from(broken: BrokenChain) -> Self {
        Self {
            chain: broken.chain,
            sequence: broken.sequence,
            why: broken.why,
        }
    }
}

/// Shows or checks.
///
/// # Errors
/// When the store cannot be read, or there is no such chain.
pub async fn run(setup: &Setup, command: &AuditCommand) -> anyhow::Result<u8> {
    match command {
        AuditCommand::Seal(args) => seal::run(setup, args).await,
        AuditCommand::Show(args) => {
            let actions = setup.store().await?.actions;
            show(setup, actions.as_ref(), &args.chain).await
        }
        AuditCommand::Verify(args) => {
            let actions = setup.store().await?.actions;
            let mut found = verify(actions.as_ref(), args.workflow.as_deref()).await?;
            if args.workflow.is_none() {
                found.sealed = Some(match setup.objects().await? {
                    Some(objects) => seals::check(actions.as_ref(), &objects).await?,
                    None => SealCheck::default(),
                });
            }
            report(setup, args, &found)
        }
    }
}

async fn show(setup: &Setup, actions: &dyn Actions, chain: &str) -> anyhow::Result<u8> {
    let mut entries: Vec<AuditEntry> = Vec::new();
    loop {
        let after = entries.last().map_or(0, |entry| entry.sequence);
        let page = actions.read_chain(chain, after, PAGE).await?;
        if page.is_empty() {
            break;
        }
        entries.extend(page);
    }
    if entries.is_empty() {
        return Err(anyhow!("no audit trail of {chain} is in the store"));
    }
    if setup.format.is_json() {
        output::json(&entries)?;
        return Ok(0);
    }
    let rows = entries.iter().map(|entry| {
        let record = &entry.record;
        [
            entry.sequence.to_string(),
            words::time(record.at),
            actor(&record.actor),
            words::plain(&record.what),
            short(record.evidence.join(", "), 120),
            short(detail(&record.detail), 200),
        ]
    });
    output::table(["#", "time", "actor", "what", "evidence", "detail"], rows);
    Ok(0)
}

fn actor(actor: &Actor) -> String {
    match actor {
        Actor::Person { name, identity } => format!("{name} ({})", words::identity(*identity)),
        Actor::Policy { ids } => format!("policy {}", ids.join(", ")),
        Actor::Agent {
            name,
            model: Some(model),
        } => format!("agent {name} ({model})"),
        Actor::Agent { name, model: None } => format!("agent {name}"),
        Actor::Workflow => "workflow".to_owned(),
    }
}

fn detail(detail: &serde_json::Value) -> String {
    match detail {
        serde_json::Value::Null => String::new(),
        serde_json::Value::Object(fields) => {
            let present = fields.iter().filter(|(_, value)| !value.is_null());
            let words = present.map(|(key, value)| match value.as_str() {
                Some(text) => format!("{key}: {text}"),
                None => format!("{key}: {value}"),
            });
            words.collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}

/// Checks one chain with those of its device runs, or all, page by page.
///
/// # Errors
/// When the store cannot be read, or the named chain is not there.
pub async fn verify(actions: &dyn Actions, only: Option<&str>) -> anyhow::Result<Verification> {
    let devices = only
        .and_then(ids::plan_of_deployment)
        .map(|plan| format!("device-patch/{plan}/"));
    let wanted = |chain: &str| match (only, &devices) {
        (None, _) => true,
        (Some(only), _) if chain == only => true,
        (Some(_), Some(devices)) => chain.starts_with(devices.as_str()),
        (Some(_), None) => false,
    };
    let mut found = Verification::default();
    let mut cursor: Option<String> = None;
    let mut seen = false;
    loop {
        let page = actions.list_chains(cursor.as_deref(), PAGE).await?;
        for chain in page.items.iter().filter(|chain| wanted(chain)) {
            seen |= only == Some(chain.as_str());
            found.chains += 1;
            let (entries, broken) = verify_chain(actions, chain).await?;
            found.entries += entries;
            found.broken.extend(broken.map(Broken::from));
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    match only {
        Some(only) if !seen => Err(anyhow!("no audit trail of {only} is in the store")),
        _ => Ok(found),
    }
}

/// Returns how many entries were read and where the chain does not hold. A damaged record is a
/// finding like any other; only a store that does not answer is an error.
async fn verify_chain(
    actions: &dyn Actions,
    chain: &str,
) -> anyhow::Result<(u64, Option<BrokenChain>)> {
    let mut last: Option<AuditEntry> = None;
    let mut entries = 0;
    let mut size = PAGE;
    loop {
        let after = last.as_ref().map_or(0, |entry| entry.sequence);
        let unreadable = BrokenChain {
            chain: chain.to_owned(),
            sequence: after + 1,
            why: audit::UNREADABLE,
        };
        let page = match actions.read_chain(chain, after, size).await {
            Ok(page) => page,
            // A page does not say which of its entries it was: go on one by one.
            Err(StoreError::Corrupt { .. }) if size > 1 => {
                size = 1;
                continue;
            }
            Err(StoreError::Corrupt { .. }) => return Ok((entries, Some(unreadable))),
            Err(error) => return Err(error).with_context(|| format!("chain {chain}")),
        };
        entries += page.len() as u64;
        if let Err(broken) = audit::verify(chain, last.as_ref(), &page) {
            return Ok((entries, Some(broken)));
        }
        if let Some(end) = page.into_iter().next_back() {
            last = Some(end);
            continue;
        }
        let head = match actions.chain_head(chain).await {
            Ok(head) => head,
            Err(StoreError::Corrupt { .. }) => {
                let why = "the record of the end of the chain cannot be read";
                return Ok((entries, Some(BrokenChain { why, ..unreadable })));
            }
            Err(error) => return Err(error).with_context(|| format!("chain {chain}")),
        };
        // Somebody may have appended since the last page was read.
        let is_behind = head.as_ref().is_some_and(|head| head.sequence > after);
        if is_behind
            && !matches!(actions.read_chain(chain, after, 1).await, Ok(page) if page.is_empty())
        {
            continue;
        }
        return Ok((
            entries,
            audit::verify_end(chain, last.as_ref(), head.as_ref()).err(),
        ));
    }
}

fn report(setup: &Setup, args: &VerifyArgs, found: &Verification) -> anyhow::Result<u8> {
    if setup.format.is_json() {
        output::json(found)?;
    } else {
        let of = args
            .workflow
            .as_deref()
            .map_or(String::new(), |chain| format!(" of {chain}"));
        output::line(format!(
            "checked {} entries in {} chains{of}",
            found.entries, found.chains
        ));
        if let Some(sealed) = &found.sealed {
            output::line(format!(
                "checked {} seals, {} of these entries are sealed",
                sealed.seals, sealed.entries
            ));
        }
    }
    for Broken {
        chain,
        sequence,
        why,
    } in &found.broken
    {
        let broken = BrokenChain {
            chain: chain.clone(),
            sequence: *sequence,
            why,
        };
        output::error(&broken.into());
    }
    let troubles = found.sealed.iter().flat_map(|sealed| &sealed.broken);
    for trouble in troubles.clone() {
        output::error(&trouble.clone().into());
    }
    if !found.broken.is_empty() || troubles.count() > 0 {
        return Ok(USAGE_OR_CONNECTION);
    }
    if !setup.format.is_json() {
        output::line(match found.sealed {
            Some(_) => "every chain and every seal holds",
            None => "every chain holds",
        });
    }
    Ok(0)
}

/// A plan id means its deployment.
fn chain(text: &str) -> Result<String, String> {
    if text.contains('/') {
        return Ok(text.to_owned());
    }
    text.parse()
        .map(|plan| ids::patch_deployment(&plan))
        .map_err(|error: domain::ids::InvalidId| error.to_string())
}
