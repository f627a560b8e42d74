//! `autoops policies try`: what would the policies say?

use std::path::PathBuf;

use clap::Args;
use domain::{
    device::{Criticality, Exposure},
    guardrail::{
        ActionType, ApprovalNeed, GuardedDevice, GuardrailDecision, GuardrailFacts, OnTimeout,
        Verdict,
    },
    ids::{ClientId, DeviceId, KbId},
};
use policy::{Engine, PolicySet, merge};
use serde::de::DeserializeOwned;

use crate::{output, setup::Setup};

/// A question: one device, and the facts of the plan it is in.
#[derive(Debug, Args)]
pub struct TryArgs {
    /// Client that is asked about
    #[arg(long)]
    pub client: ClientId,
    /// Try this file instead of what is stored for the client
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// install-patch, reboot-device or roll-back-patch
    #[arg(long, default_value = "install-patch", value_parser = word::<ActionType>)]
    pub action: ActionType,
    /// Risk of doing it, 0 to 1000
    #[arg(long, value_name = "PERMILLE", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub risk: u16,
    /// Risk of leaving it, 0 to 1000
    #[arg(long, value_name = "PERMILLE", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub urgency: u16,
    /// Share of the evidence that was known, 0 to 1000
    #[arg(long, value_name = "PERMILLE", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub confidence: u16,
    /// Id of the device
    #[arg(long, default_value = "1")]
    pub device: DeviceId,
    /// Tag of the device
    #[arg(long = "device-tag", value_name = "TAG")]
    pub device_tags: Vec<String>,
    /// low, normal, high or critical
    #[arg(long, default_value = "normal", value_parser = word::<Criticality>)]
    pub criticality: Criticality,
    /// internal or exposed
    #[arg(long, default_value = "internal", value_parser = word::<Exposure>)]
    pub exposure: Exposure,
    /// Patch to install
    #[arg(long = "kb", value_name = "KB", value_delimiter = ',')]
    pub kbs: Vec<KbId>,
    /// Devices touched in all
    #[arg(long, value_name = "DEVICES", default_value_t = 1)]
    pub blast_radius: u32,
    /// No model was available
    #[arg(long)]
    pub degraded: bool,
    /// It would leave the maintenance window
    #[arg(long)]
    pub outside_window: bool,
    /// A restart may happen
    #[arg(long)]
    pub may_reboot: bool,
    /// A vulnerability it closes is known to be exploited
    #[arg(long)]
    pub known_exploited: bool,
    /// How much runs unattended, 0 to 3
    #[arg(long, value_name = "LEVEL", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=3))]
    pub autonomy: u8,
}

/// Asks and prints the answer with the policies behind it.
///
/// # Errors
/// When the policies cannot be read or compiled.
pub(super) async fn run(setup: &Setup, args: &TryArgs) -> anyhow::Result<()> {
    let engine = engine(setup, args).await?;
    let (facts, device) = args.question();
    let devices = [device];
    let decision = engine.decide(&facts, &devices);
    if setup.format.is_json() {
        return output::json(&decision);
    }
    words(&decision).iter().for_each(output::line);
    let explained = engine.explain(&facts, &devices);
    let rows = explained
        .into_iter()
        .flat_map(|device| device.matched)
        .map(|matched| {
            [
                matched.id,
                matched.effect.replace('_', " "),
                output::short(matched.description, 120),
            ]
        });
    output::table(["policy", "effect", "why it is there"], rows);
    Ok(())
}

/// Compiles the set of the client over the default one: what is stored, or the file in its place.
async fn engine(setup: &Setup, args: &TryArgs) -> anyhow::Result<Engine> {
    let (default, client) = match &args.file {
        Some(file) => {
            let set = super::read(file, None)?;
            let stored = match setup.store().await {
                Ok(store) => super::default_set(store.policies.as_ref()).await?,
                Err(_) => PolicySet::built_in(),
            };
            if set.client.is_some() {
                (stored, Some(set))
            } else {
                (set, None)
            }
        }
        None => {
            let policies = setup.store().await?.policies;
            return super::stored_engine(policies.as_ref(), &args.client).await;
        }
    };
    let merged = client.map_or_else(|| default.clone(), |client| merge(&default, &client));
    Engine::compile(&merged).map_err(|error| domain::input::InvalidInput::from(error).into())
}

impl TryArgs {
    fn question(&self) -> (GuardrailFacts, GuardedDevice) {
        let facts = GuardrailFacts {
            action: self.action,
            client: self.client.clone(),
            kbs: self.kbs.iter().cloned().collect(),
            risk_permille: self.risk,
            urgency_permille: self.urgency,
            confidence_permille: self.confidence,
            degraded: self.degraded,
            blast_radius: self.blast_radius,
            inside_window: !self.outside_window,
            may_reboot: self.may_reboot,
            known_exploited: self.known_exploited,
            autonomy_level: self.autonomy,
        };
        let device = GuardedDevice {
            id: self.device.clone(),
            tags: self.device_tags.iter().cloned().collect(),
            criticality: self.criticality,
            exposure: self.exposure,
        };
        (facts, device)
    }
}

fn words(decision: &GuardrailDecision) -> Vec<String> {
    let verdict = match &decision.verdict {
        Verdict::Auto => "may run unattended".to_owned(),
        Verdict::Forbidden => "forbidden".to_owned(),
        Verdict::NeedsApproval(need) => asked(need),
    };
    let errors = decision
        .errors
        .iter()
        .map(|error| format!("evaluation error, which means forbidden: {error}"));
    std::iter::once(verdict)
        .chain(errors)
        .chain([format!("policy version {}", decision.policy_version)])
        .collect()
}

fn asked(need: &ApprovalNeed) -> String {
    let people = if need.quorum == 1 {
        "one person".to_owned()
    } else {
        format!("{} people", need.quorum)
    };
    let mut text = format!(
        "needs approval by {people} of role {} or higher within {} s",
        need.role.as_str(),
        need.timeout_secs
    );
    if let Some(escalation) = &need.escalation {
        text.push_str(&format!(
            ", {} is asked as well after {} s",
            escalation.role.as_str(),
            escalation.after_secs
        ));
    }
    if need.four_eyes {
        text.push_str(", not by who asked for it");
    }
    text.push_str(match need.on_timeout {
        OnTimeout::Reject => "; silence rejects",
        OnTimeout::Hold => "; silence asks again at the next window",
    });
    text
}

/// Reads a wire word, with `-` or `_`; the message lists what is allowed.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(text.replace('-', "_")))
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        asked: TryArgs,
    }

    fn say(flags: &[&str]) -> String {
        let all = ["x", "--client", "7"].iter().chain(flags);
        let (facts, device) = Flags::try_parse_from(all).unwrap().asked.question();
        let engine = Engine::compile(&PolicySet::built_in()).unwrap();
        words(&engine.decide(&facts, &[device])).remove(0)
    }

    #[test]
    fn the_built_in_policies_answer_in_words() {
        assert_eq!(
            say(&["--risk", "900", "--device-tag", "do-not-patch"]),
            "forbidden"
        );
        assert!(
            say(&["--risk", "900", "--criticality", "critical"]).starts_with("needs approval by ")
        );
    }

    #[test]
    fn a_wrong_word_lists_what_is_allowed() {
        let error = Flags::try_parse_from(["x", "--client", "7", "--criticality", "huge"])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("huge") && error.contains("critical"),
            "{error}"
        );
    }
}
