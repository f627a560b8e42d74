//! From a plan file or flags to a request that may be sent: everything that can be refused without
//! the inventory is refused here.

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use contracts::message::MAX_MESSAGE_BYTES;
use domain::{
    ids::{ClientId, DeviceId, KbId, PersonId, PlanId},
    input::Problem,
    plan::{
        DeviceSelector, PatchSelector, PlanRequest, RebootPolicy, RingSpec, Weekday, WindowSpec,
    },
    plan_check,
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{cli, file};

/// What to patch: a plan file, or the most needed of it as flags.
#[derive(Debug, Clone, Default, Args)]
#[group(skip)]
pub struct PlanArgs {
    /// Plan file, YAML or JSON; `-` reads stdin
    #[arg(long, value_name = "FILE", group = "from_file")]
    pub plan: Option<PathBuf>,
    /// The same without --plan
    #[arg(value_name = "PLAN_FILE", group = "from_file")]
    pub file: Option<PathBuf>,
    /// Client whose devices are patched (SuperOps accountId)
    #[arg(
        long,
        required_unless_present = "from_file",
        conflicts_with = "from_file"
    )]
    pub client: Option<ClientId>,
    /// Patch to install, such as KB5034441; several in the order of installation
    #[arg(
        long = "kb",
        value_name = "KB",
        value_delimiter = ',',
        required_unless_present = "from_file",
        conflicts_with = "from_file"
    )]
    pub kbs: Vec<KbId>,
    /// Device by id (SuperOps assetId)
    #[arg(
        long = "device",
        value_name = "ID",
        value_delimiter = ',',
        conflicts_with = "from_file"
    )]
    pub devices: Vec<DeviceId>,
    /// Devices that carry this tag; with several, all of them
    #[arg(long = "tag", value_name = "TAG", conflicts_with = "from_file")]
    pub tags: Vec<String>,
    /// Every device of the client
    #[arg(long, conflicts_with = "from_file")]
    pub all: bool,
    /// Percent of the devices per ring, such as 10,40; what is left is the last ring
    #[arg(
        long,
        value_name = "PERCENT",
        value_delimiter = ',',
        value_parser = cli::percent,
        conflicts_with = "from_file"
    )]
    pub rings: Vec<u8>,
    /// How long each ring is watched before the next one starts
    #[arg(long, value_name = "SECONDS", value_parser = cli::seconds, conflicts_with = "from_file")]
    pub soak_secs: Option<u64>,
    /// Maintenance window in local time, such as "22:00-04:00" or "sat,sun 22:00-04:00"
    #[arg(long = "window", value_name = "WINDOW", value_parser = window, conflicts_with = "from_file")]
    pub windows: Vec<WindowSpec>,
    /// IANA time zone of the windows, such as Europe/Berlin; the device's site decides when absent
    #[arg(long, value_name = "ZONE", conflicts_with = "from_file")]
    pub time_zone: Option<String>,
    /// By when it should be done, such as 2026-04-01T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = cli::time, conflicts_with = "from_file")]
    pub deadline: Option<Timestamp>,
    /// Whether devices are restarted
    #[arg(long, value_parser = reboot, value_name = "never|if-needed|always", conflicts_with = "from_file")]
    pub reboot: Option<RebootPolicy>,
    /// Ask a person even where policy would let it run unattended
    #[arg(long, conflicts_with = "from_file")]
    pub require_approval: bool,
    /// How long approvers have; policy may only make it shorter
    #[arg(long, value_name = "SECONDS", value_parser = cli::seconds, conflicts_with = "from_file")]
    pub approval_timeout_secs: Option<u64>,
    /// Who asks for it
    #[arg(long, value_name = "PERSON")]
    pub requested_by: Option<PersonId>,
    /// Id of the plan, such as first-plan; generated when absent
    #[arg(long, value_name = "PLAN")]
    pub id: Option<PlanId>,
}

impl PlanArgs {
    /// Makes the request, with an id, and checks everything that can be checked here.
    ///
    /// # Errors
    /// Names every field that is refused, the value and what is allowed.
    pub fn request(&self, now: Timestamp) -> anyhow::Result<(PlanId, PlanRequest)> {
        let from_file = self.plan.as_ref().or(self.file.as_ref());
        let mut request = match from_file {
            Some(path) => file::typed(path)?,
            None => self.of_flags()?,
        };
        if self.requested_by.is_some() {
            request.requested_by.clone_from(&self.requested_by);
        }
        let id = match self.id.clone().or(request.id) {
            Some(id) => id,
            None => new_id()?,
        };
        request.id = Some(id.clone());
        let checked = plan_check::check(&request, now);
        match from_file {
            Some(path) => checked.with_context(|| path.display().to_string())?,
            None => checked?,
        }
        let bytes = serde_json::to_vec(&request)?.len();
        if bytes > MAX_MESSAGE_BYTES {
            bail!(
                "the request has {bytes} bytes, at most {MAX_MESSAGE_BYTES} are allowed: select devices by tag"
            );
        }
        Ok((id, request))
    }

    fn of_flags(&self) -> anyhow::Result<PlanRequest> {
        let Some(client) = self.client.clone() else {
            bail!("--client: none is not allowed: a client id, or --plan")
        };
        let patches = self
            .kbs
            .iter()
            .map(|kb| PatchSelector {
                kb: kb.clone(),
                cves: vec![],
            })
            .collect();
        let devices = DeviceSelector {
            ids: self.devices.clone(),
            tags: self.tags.iter().cloned().collect(),
            all: self.all,
        };
        // Defaults are those of the request: what is absent here is absent there.
        let least = serde_json::json!({ "client": client, "patches": [], "devices": {} });
        let mut request: PlanRequest = domain::input::from_json(&least)?;
        request.patches = patches;
        request.devices = devices;
        request.rings = self.ring_specs();
        request.windows.clone_from(&self.windows);
        request.time_zone.clone_from(&self.time_zone);
        request.deadline = self.deadline;
        request.reboot = self.reboot.unwrap_or_default();
        request.approval.required = self.require_approval;
        request.approval.timeout_secs = self.approval_timeout_secs;
        Ok(request)
    }

    fn ring_specs(&self) -> Vec<RingSpec> {
        let named = self.rings.iter().enumerate().map(|(i, percent)| RingSpec {
            name: format!("ring-{}", i + 1),
            percent: Some(*percent),
            ..RingSpec::default()
        });
        let mut rings: Vec<RingSpec> = named.collect();
        let together: u32 = self.rings.iter().copied().map(u32::from).sum();
        let rest_is_left = together < 100 && (!rings.is_empty() || self.soak_secs.is_some());
        if rest_is_left {
            rings.push(RingSpec {
                name: "rest".to_owned(),
                rest: true,
                ..RingSpec::default()
            });
        }
        for ring in &mut rings {
            if let Some(soak_secs) = self.soak_secs {
                ring.gate.soak_secs = soak_secs;
            }
        }
        rings
    }
}

/// Makes a short plan id that sorts by time: the milliseconds of a version 7 UUID and some of its
/// random digits.
fn new_id() -> anyhow::Result<PlanId> {
    let digits = Uuid::now_v7().simple().to_string();
    Ok(format!("plan-{}-{}", &digits[..12], &digits[26..]).parse()?)
}

/// Reads a word of [`RebootPolicy`], with `-` or `_`.
pub(crate) fn reboot(text: &str) -> Result<RebootPolicy, String> {
    let word = serde_json::Value::String(text.replace('-', "_"));
    serde_json::from_value(word).map_err(|_| "allowed is never, if-needed or always".to_owned())
}

/// Reads `[days ]HH:MM-HH:MM`; the times themselves are checked with the plan.
pub(crate) fn window(text: &str) -> Result<WindowSpec, String> {
    let allowed = || {
        let allowed = "`HH:MM-HH:MM`, with days in front as in `sat,sun 22:00-04:00`";
        Problem::new("window", text, allowed).to_string()
    };
    let (days, times) = text.trim().rsplit_once(' ').unwrap_or(("", text.trim()));
    let (from, to) = times.split_once('-').ok_or_else(allowed)?;
    let day = |word: &str| {
        let word = serde_json::Value::String(word.trim().to_ascii_lowercase());
        serde_json::from_value::<Weekday>(word).map_err(|_| allowed())
    };
    let days: BTreeSet<_> = days
        .split(',')
        .filter(|word| !word.trim().is_empty())
        .map(day)
        .collect::<Result<_, _>>()?;
    Ok(WindowSpec {
        days,
        from: from.to_owned(),
        to: to.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;
    use crate::output;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        plan: PlanArgs,
    }

    fn now() -> Timestamp {
        "2026-03-02T00:00:00Z".parse().unwrap()
    }

    fn flags(text: &[&str]) -> PlanArgs {
        Flags::try_parse_from(std::iter::once(&"x").chain(text))
            .unwrap()
            .plan
    }

    fn refused(name: &str, yaml: &str) -> Vec<String> {
        let path =
            std::env::temp_dir().join(format!("autoops-plan-{name}-{}.yaml", std::process::id()));
        std::fs::write(&path, yaml).unwrap();
        let args = PlanArgs {
            plan: Some(path.clone()),
            ..PlanArgs::default()
        };
        let error = args.request(now()).unwrap_err();
        std::fs::remove_file(path).unwrap();
        output::error_lines(&error)
    }

    const GOOD: &str = "client: '7'\npatches: [{kb: KB5034441}]\ndevices: {all: true}\n";

    #[test]
    fn a_typo_in_a_field_name_is_named_with_what_is_allowed() {
        let lines = refused("typo", &format!("{GOOD}windoes: []\n"));
        assert!(
            lines[0].contains("plan-typo") && lines[0].contains("windoes"),
            "{lines:?}"
        );
        assert!(lines[0].contains("`windows`"), "{lines:?}");
    }

    #[test]
    fn a_file_without_fields_is_told_which_there_are() {
        for (name, yaml) in [("empty", ""), ("null", "~"), ("list", "- client: '7'")] {
            let lines = refused(name, yaml);
            assert!(
                lines[0].contains(name) && lines[0].contains("the fields id, client, "),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn all_wrong_values_are_named_at_once() {
        let rings =
            "rings: [{name: a, percent: 120}, {name: b, rest: true}]\ntime_zone: Europe/Berlim\n";
        let lines = refused(
            "values",
            &format!("{GOOD}{rings}windows: [{{from: '22:00', to: '04:00'}}]\n"),
        );
        let text = lines.join("\n");
        assert!(
            text.contains("rings[0].percent: `120` is not allowed: 1 to 100"),
            "{text}"
        );
        assert!(
            text.contains("time_zone") && text.contains("Europe/Berlim"),
            "{text}"
        );
    }

    #[test]
    fn a_number_in_place_of_text_is_named() {
        let lines = refused(
            "kb",
            "client: '7'\npatches: [{kb: 12}]\ndevices: {all: true}\n",
        );
        assert!(
            lines[0].contains("patches[0].kb") && lines[0].contains("12"),
            "{lines:?}"
        );
    }

    #[test]
    fn flags_make_the_same_request_as_a_file() {
        let args = flags(&[
            "--client",
            "7",
            "--kb",
            "KB5034441,5034122",
            "--tag",
            "office",
            "--rings",
            "10,40",
            "--soak-secs",
            "5",
            "--window",
            "sat,sun 22:00-04:00",
            "--time-zone",
            "Europe/Berlin",
            "--approval-timeout-secs",
            "600",
            "--requested-by",
            "tom",
            "--id",
            "first-plan",
            "--reboot",
            "if-needed",
        ]);
        let (id, request) = args.request(now()).unwrap();
        let expected = serde_json::json!({
            "id": "first-plan", "client": "7", "requested_by": "tom",
            "patches": [{ "kb": "KB5034441" }, { "kb": "KB5034122" }],
            "devices": { "tags": ["office"] },
            "rings": [
                { "name": "ring-1", "percent": 10, "gate": { "soak_secs": 5 } },
                { "name": "ring-2", "percent": 40, "gate": { "soak_secs": 5 } },
                { "name": "rest", "rest": true, "gate": { "soak_secs": 5 } },
            ],
            "windows": [{ "days": ["sat", "sun"], "from": "22:00", "to": "04:00" }],
            "time_zone": "Europe/Berlin",
            "approval": { "timeout_secs": 600 },
        });
        assert_eq!(request, serde_json::from_value(expected).unwrap());
        assert_eq!(id.as_str(), "first-plan");
    }

    #[test]
    fn rings_that_make_a_hundred_need_no_rest() {
        let rings = flags(&[
            "--client",
            "7",
            "--kb",
            "KB5034441",
            "--all",
            "--rings",
            "10,90",
        ])
        .ring_specs();
        assert_eq!(
            rings.iter().map(|r| r.percent).collect::<Vec<_>>(),
            [Some(10), Some(90)]
        );
    }

    #[test]
    fn a_file_is_given_in_either_way_and_alone() {
        for good in [
            &["--plan", "a.yaml"][..],
            &["a.yaml"],
            &["a.yaml", "--id", "x", "--requested-by", "tom"],
        ] {
            flags(good);
        }
        for wrong in [
            &["a.yaml", "--client", "7"][..],
            &["a.yaml", "--plan", "b.yaml"],
            &["a.yaml", "--all"],
        ] {
            assert!(
                Flags::try_parse_from(std::iter::once(&"x").chain(wrong)).is_err(),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn flags_are_checked_like_a_file() {
        let args = flags(&["--client", "7", "--kb", "KB5034441", "--rings", "60,60"]);
        let text = format!("{:#}", args.request(now()).unwrap_err());
        assert!(
            text.contains("rings[1].percent") && text.contains("devices"),
            "{text}"
        );
        for wrong in [
            ["--window", "22:00"],
            ["--window", "so 22:00-23:00"],
            ["--reboot", "maybe"],
            ["--kb", "12"],
            ["--rings", "300"],
            ["--rings", "0"],
            ["--deadline", "tomorrow"],
            ["--soak-secs", "1h"],
        ] {
            let text = Flags::try_parse_from(["x", "--client", "7", wrong[0], wrong[1]])
                .unwrap_err()
                .to_string();
            assert!(
                text.contains(wrong[1]) && text.contains("allowed"),
                "{text}"
            );
        }
    }

    #[test]
    fn generated_ids_are_valid_and_sort_by_time() {
        let ids: Vec<_> = (0..5)
            .map(|_| {
                std::thread::sleep(std::time::Duration::from_millis(2));
                new_id().unwrap()
            })
            .collect();
        assert!(ids.is_sorted() && ids[0] != ids[4], "{ids:?}");
        assert!(
            ids[0].as_str().starts_with("plan-") && ids[0].as_str().len() < 30,
            "{ids:?}"
        );
    }

    #[test]
    fn the_example_plan_is_accepted() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dev-server/examples/plan.yaml");
        let args = PlanArgs {
            plan: Some(path),
            id: Some("example".parse().unwrap()),
            ..PlanArgs::default()
        };
        let (id, request) = args.request(now()).unwrap();
        assert_eq!(id.as_str(), "example");
        assert!(!request.patches.is_empty());
    }
}
