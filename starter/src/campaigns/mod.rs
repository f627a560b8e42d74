//! `autoops patch plan`, `autoops campaigns` and `autoops vulnerabilities`: what to patch first and why,
//! without starting anything; what campaigns came to; what is known of a vulnerability and from whom.

mod advice;
mod facts;
mod show;
mod software;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use clients::{campaign::gather, store::Store};
use domain::{
    campaign::{CampaignRules, Draft, Facts, PlanTemplate, draft},
    ids::{ClientId, CveId, PlanId},
    input,
};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::{file, output, setup::Setup};

/// Whose ranking, by which rules.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The client
    #[arg(long, value_name = "ID")]
    pub client: ClientId,
    /// Rules of a campaign as TOML: baselines, deny, exceptions
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// What plans have in common as TOML: windows, blackouts, reboot
    #[arg(long, value_name = "FILE")]
    pub template: Option<PathBuf>,
    /// Show why each plan stands where it stands, when it should go, what it does to the business, and
    /// what was left out; by rule, the model is not asked
    #[arg(long)]
    pub explain: bool,
}

/// About campaigns.
#[derive(Debug, Subcommand)]
pub enum CampaignsCommand {
    /// List the campaigns of a client, newest first
    List {
        /// The client
        #[arg(long, value_name = "ID")]
        client: ClientId,
        /// At most this many
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Show what a campaign found and what became of its plans
    Show {
        /// Name of the campaign, such as c-0123456789abcdef
        #[arg(value_name = "ID")]
        id: PlanId,
    },
}

/// About vulnerabilities.
#[derive(Debug, Subcommand)]
pub enum VulnerabilitiesCommand {
    /// Show what is known of a vulnerability, who says so and since when
    Show {
        /// CVE
        #[arg(value_name = "CVE")]
        id: CveId,
        /// Also which devices of this client have it by an installed program
        #[arg(long, value_name = "ID")]
        client: Option<ClientId>,
    },
}

/// Ranks and drafts from what the store knows; starts nothing and asks nobody.
///
/// # Errors
/// When the store cannot be read, or the rules cannot be used.
pub async fn plan(setup: &Setup, args: &PlanArgs) -> anyhow::Result<u8> {
    let rules: CampaignRules = read(args.rules.as_ref())?;
    input::InvalidInput::when(rules.problems())?;
    let template: PlanTemplate = read(args.template.as_ref())?;
    template.check(&args.client, Timestamp::now())?;
    let store = setup.store().await?;
    let (draft, facts) = drafted(&store, &args.client, &rules, &template).await?;
    let software = match args.explain || setup.format.is_json() {
        true => {
            clients::software::summary(&store, &facts.devices, facts.histories, Timestamp::now())
                .await?
        }
        false => None,
    };
    if setup.format.is_json() {
        let mut all = serde_json::to_value(&draft)?;
        all["software"] = serde_json::to_value(&software)?;
        output::json(&all)?;
    } else {
        show::draft(&draft, args.explain);
        if let Some(found) = &software {
            software::summary(found, true);
        }
    }
    Ok(0)
}

/// Reads a file; what none is named for is the default.
fn read<T: DeserializeOwned + Default>(path: Option<&PathBuf>) -> anyhow::Result<T> {
    let Some(path) = path else {
        return Ok(T::default());
    };
    Ok(input::from_json(&file::toml(path)?)?)
}

async fn drafted(
    store: &Store,
    client: &ClientId,
    rules: &CampaignRules,
    template: &PlanTemplate,
) -> anyhow::Result<(Draft, Facts)> {
    let facts = gather(store, client).await?;
    if facts.devices.is_empty() {
        bail!(
            "no device of client {client} is in the store: the first campaign or deployment reads them"
        );
    }
    let now = Timestamp::now();
    let mut draft = draft(&facts, rules, now);
    draft.recommend(&facts, template, now);
    Ok((draft, facts))
}

/// Lists and shows campaigns.
///
/// # Errors
/// When the store cannot be read, or there is no such campaign.
pub async fn run(setup: &Setup, command: &CampaignsCommand) -> anyhow::Result<u8> {
    let store = setup.store().await?;
    match command {
        CampaignsCommand::List { client, limit } => {
            let list = store.campaigns.list_campaigns(client, None, *limit).await?;
            if setup.format.is_json() {
                list.items.iter().try_for_each(output::json)?;
            } else {
                show::campaigns(&list.items);
            }
        }
        CampaignsCommand::Show { id } => {
            let campaign = store.campaigns.get_campaign(id).await?;
            let campaign = campaign.with_context(|| format!("no campaign {id} is in the store"))?;
            let mut outcomes = Vec::new();
            for (_, plan) in campaign.in_order() {
                outcomes.push(store.executions.get_status(&plan.plan).await?);
            }
            if setup.format.is_json() {
                output::json(
                    &serde_json::json!({ "campaign": campaign, "deployments": outcomes }),
                )?;
            } else {
                show::campaign(&campaign, &outcomes);
                if let Some(found) = &campaign.software {
                    software::summary(found, false);
                }
            }
        }
    }
    Ok(0)
}

/// Shows a vulnerability.
///
/// # Errors
/// When the store cannot be read, or knows nothing of it.
pub async fn vulnerability(setup: &Setup, command: &VulnerabilitiesCommand) -> anyhow::Result<u8> {
    let VulnerabilitiesCommand::Show { id, client } = command;
    let store = setup.store().await?;
    let found = store
        .vulnerabilities
        .get_vulnerabilities(std::slice::from_ref(id))
        .await?;
    let record = found.first().with_context(|| {
        format!("nothing is known of {id}: no source that was read named it, which does not mean that it is harmless")
    })?;
    let affected = match client {
        Some(client) => {
            let now = Timestamp::now();
            Some(clients::software::affected(&store, client, record, now).await?)
        }
        None => None,
    };
    if setup.format.is_json() {
        let mut all = serde_json::to_value(record)?;
        if let Some(found) = &affected {
            all["affected_programs"] = serde_json::to_value(found)?;
        }
        output::json(&all)?;
    } else {
        facts::lines(record).iter().for_each(output::line);
        if let Some(found) = &affected {
            software::affected(found);
        }
    }
    Ok(0)
}
