//! What makes the demo a demo: its people, its pace, and what the worker is told.

use std::path::Path;

use anyhow::Context;
use clients::{
    aws::LOCAL_KEY,
    config::{CALLBACK_KEY, NVD_API_KEY, PROMETHEUS_TOKEN, SUPEROPS_TOKEN},
    objects::S3Config,
    people::load_people,
    store::Store,
};
use domain::people::Person;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    data_dir::{DataDir, DevInfo},
    process::NO_FILE,
    sim::{prometheus, superops::FleetSpec},
};

/// Sub-domain of the simulated tenant.
pub const SUBDOMAIN: &str = "demo";
/// Token the simulated tenant accepts; worth nothing elsewhere.
pub const TOKEN: &str = "demo-token-of-the-simulator";
/// Key the simulated NVD accepts; with one it allows ten times the requests, as the real one.
pub const NVD_KEY: &str = "demo-key-of-the-simulator";
/// Token the simulated Prometheus accepts.
pub const PROMETHEUS_KEY: &str = "demo-token-of-the-measurements";
/// First client of the demo fleet, the one the first plan is about.
pub const FIRST_CLIENT: &str = "7000000000000000001";
/// Region of the simulated Bedrock; any would do.
const REGION: &str = "eu-central-1";
/// The first plan, as it lies in the repository.
pub const FIRST_PLAN: &str = "dev-server/examples/plan.yaml";
/// Simulated seconds between two patch scans of a device of the demo.
const SCAN_EVERY_SECS: u64 = 1800;
/// People of the demo.
const PEOPLE: &str = include_str!("../examples/people.yaml");
/// Requests a minute a tenant allows.
const REQUESTS_PER_MINUTE: f64 = 100.0;
/// More would only hide mistakes in our own pacing.
const MOST_REQUESTS_PER_MINUTE: f64 = 1200.0;

/// Returns how many requests a minute the simulated tenant allows: time runs faster there, and so
/// does its budget.
#[must_use]
pub fn requests_per_minute(speed: f64) -> u32 {
    // In range by construction.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped"
    )]
    let budget =
        (REQUESTS_PER_MINUTE * speed).clamp(REQUESTS_PER_MINUTE, MOST_REQUESTS_PER_MINUTE) as u32;
    budget
}

/// Reads a fleet from a file, or takes the demo. Patch scans come often in the demo: hours would be
/// minutes even at its pace.
///
/// # Errors
/// When the file cannot be read or describes something impossible.
pub fn fleet(file: Option<&Path>) -> anyhow::Result<FleetSpec> {
    match file {
        Some(path) => FleetSpec::read(path),
        None => {
            let mut fleet = FleetSpec::demo();
            fleet.timing.scan_interval_secs = SCAN_EVERY_SECS;
            Ok(fleet)
        }
    }
}

/// Reads people from a file, or those of the demo. Theirs is put into the data folder, to be edited.
///
/// # Errors
/// When the file cannot be read or a field does not fit.
pub fn people(file: Option<&Path>, data: &DataDir) -> anyhow::Result<Vec<Person>> {
    if let Some(path) = file {
        return Ok(load_people(path)?);
    }
    let path = data.file("people.yaml");
    if !path.exists() {
        std::fs::write(&path, PEOPLE).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(load_people(&path)?)
}

/// Puts people into the store who are not there yet; those who are stay as they are.
///
/// # Errors
/// When the store cannot be used.
pub async fn add_people(store: &Store, people: Vec<Person>) -> anyhow::Result<()> {
    for person in people {
        if store.identities.get_person(&person.id).await?.is_none() {
            store.identities.put_person(person).await?;
        }
    }
    Ok(())
}

/// How variables of our own environment begin that would lead the worker away from the simulators.
pub const NOT_FOR_THE_WORKER: &[&str] = &["AUTOOPS_", "TEMPORAL_", "AWS_"];
/// What is never reached by way of a proxy.
const THIS_MACHINE: &str = "127.0.0.1,localhost";

/// Returns the environment of the worker: where everything is, and the keys to it.
#[must_use]
pub fn worker_env(
    info: &DevInfo,
    callback_key: &SecretString,
    speed: f64,
) -> Vec<(&'static str, String)> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let no_proxy = variable("NO_PROXY").or_else(|| variable("no_proxy"));
    let no_proxy = no_proxy.map_or(THIS_MACHINE.to_owned(), |others| {
        format!("{others},{THIS_MACHINE}")
    });
    let mut env = vec![
        ("TEMPORAL_ADDRESS", info.temporal_address.clone()),
        ("TEMPORAL_NAMESPACE", "default".to_owned()),
        ("TEMPORAL_CONFIG_FILE", NO_FILE.to_owned()),
        ("AUTOOPS_ENVIRONMENT__NAME", "development".to_owned()),
        ("AUTOOPS_STORE__PATH", info.store_path.display().to_string()),
        (
            "AUTOOPS_OBJECTS__PATH",
            info.objects_path.display().to_string(),
        ),
        (
            "AUTOOPS_MEMORY__PATH",
            info.memory_path.display().to_string(),
        ),
        ("AUTOOPS_SUPEROPS__BASE_URL", info.superops_url.clone()),
        ("AUTOOPS_SUPEROPS__SUBDOMAIN", SUBDOMAIN.to_owned()),
        (
            "AUTOOPS_SUPEROPS__REQUESTS_PER_MINUTE",
            requests_per_minute(speed).to_string(),
        ),
        (SUPEROPS_TOKEN, TOKEN.to_owned()),
        ("AUTOOPS_NVD__BASE_URL", info.nvd_url.clone()),
        (NVD_API_KEY, NVD_KEY.to_owned()),
        ("AUTOOPS_KEV__BASE_URL", info.kev_url.clone()),
        ("AUTOOPS_EPSS__BASE_URL", info.epss_url.clone()),
        ("AUTOOPS_MSRC__BASE_URL", info.msrc_url.clone()),
        (
            "AUTOOPS_CVE_SERVICES__BASE_URL",
            info.cve_services_url.clone(),
        ),
        ("AUTOOPS_BEDROCK__ENDPOINT_URL", info.bedrock_url.clone()),
        ("AUTOOPS_BEDROCK__REGION", REGION.to_owned()),
        ("AUTOOPS_MEMORY__EMBEDDINGS__KIND", "bedrock".to_owned()),
        ("AUTOOPS_PROMETHEUS__URL", info.prometheus_url.clone()),
        (
            "AUTOOPS_PROMETHEUS__CLIENT_LABEL",
            prometheus::CLIENT_LABEL.to_owned(),
        ),
        (PROMETHEUS_TOKEN, PROMETHEUS_KEY.to_owned()),
        ("AUTOOPS_CALLBACK__PUBLIC_URL", info.callback_url.clone()),
        (CALLBACK_KEY, callback_key.expose_secret().to_owned()),
        ("NO_COLOR", "1".to_owned()),
        // Nobody likes to wait long after Ctrl-C; what is cut off goes on at the next start.
        ("AUTOOPS_DRAIN_SECS", "5".to_owned()),
        // The simulator of Bedrock takes any key, engines that stand for AWS want this one; the SDK must not look
        // for others.
        ("AWS_ACCESS_KEY_ID", LOCAL_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", LOCAL_KEY.to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("AWS_CONFIG_FILE", NO_FILE.to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE", NO_FILE.to_owned()),
        ("NO_PROXY", no_proxy.clone()),
        ("no_proxy", no_proxy),
        (
            "RUST_LOG",
            variable("RUST_LOG").unwrap_or_else(|| "info".to_owned()),
        ),
    ];
    if let Some(url) = &info.opensearch_url {
        env.extend([
            ("AUTOOPS_MEMORY__KIND", "opensearch".to_owned()),
            ("AUTOOPS_MEMORY__OPENSEARCH__URL", url.clone()),
        ]);
    }
    if let Some(url) = &info.s3_url {
        let s3 = S3Config::of_this_machine(url);
        env.extend([
            ("AUTOOPS_OBJECTS__KIND", "s3".to_owned()),
            ("AUTOOPS_OBJECTS__S3__ENDPOINT_URL", url.clone()),
            ("AUTOOPS_OBJECTS__S3__REGION", s3.region),
            ("AUTOOPS_OBJECTS__S3__PLAYBOOKS_BUCKET", s3.playbooks_bucket),
            ("AUTOOPS_OBJECTS__S3__LOGS_BUCKET", s3.logs_bucket),
            ("AUTOOPS_OBJECTS__S3__REPORTS_BUCKET", s3.reports_bucket),
        ]);
    }
    if let Some(url) = &info.dynamodb_url {
        env.extend([
            ("AUTOOPS_STORE__KIND", "dynamodb".to_owned()),
            ("AUTOOPS_STORE__DYNAMODB__ENDPOINT_URL", url.clone()),
        ]);
    }
    env
}

#[cfg(test)]
mod tests {
    use domain::{people::Role, plan::PlanRequest, plan_check};
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn the_first_plan_can_be_started_as_it_is() {
        let text = include_str!("../examples/plan.yaml");
        assert!(
            text.lines().any(|line| line == "id: first-plan"),
            "the id has a line of its own"
        );
        let plan: PlanRequest = serde_saphyr::from_str(text).unwrap();
        plan_check::check(&plan, Timestamp::now()).unwrap();
        assert_eq!(plan.client.as_str(), FIRST_CLIENT);
        assert!(plan.approval.required && plan.rings.len() == 3);
        assert_eq!(plan.requested_by.unwrap().as_str(), "tim");

        let fleet = FleetSpec::demo();
        let client = fleet
            .clients
            .iter()
            .find(|client| client.id == FIRST_CLIENT)
            .unwrap();
        let pilots = client
            .devices
            .iter()
            .filter(|d| plan.devices.tags.iter().all(|tag| d.tags.contains(tag)));
        let pilots: Vec<_> = pilots.collect();
        assert_eq!(pilots.len(), 12);
        for patch in &plan.patches {
            assert!(
                pilots
                    .iter()
                    .all(|d| d.missing.iter().any(|kb| kb == patch.kb.digits())),
                "{}",
                patch.kb
            );
        }
        // No ring is empty.
        let per_ring = [
            plan.rings[0].percent.map(u32::from).unwrap(),
            plan.rings[1].count.unwrap(),
        ];
        assert!(12 * per_ring[0] / 100 >= 1 && per_ring[1] < 9 && plan.rings[2].rest);
    }

    fn data(folder: &tempfile::TempDir) -> DataDir {
        DataDir::take(folder.path(), false).unwrap()
    }

    #[test]
    fn everybody_the_documentation_names_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let people = people(None, &data(&folder)).unwrap();
        let role = |id: &str| people.iter().find(|p| p.id.as_str() == id).map(|p| p.role);
        assert_eq!(role("dana"), Some(Role::Approver));
        assert_eq!(role("lee"), Some(Role::Lead));
        assert_eq!(role("tim"), Some(Role::Technician));
        assert_eq!(role("vic"), Some(Role::Viewer));
    }

    #[test]
    fn people_of_the_data_folder_are_kept_and_a_typo_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let data = data(&folder);
        std::fs::write(data.file("people.yaml"), "- id: zoe\n  role: lead\n").unwrap();
        assert_eq!(people(None, &data).unwrap().len(), 1);
        std::fs::write(data.file("people.yaml"), "- id: zoe\n  rolle: lead\n").unwrap();
        let text = format!("{:#}", people(None, &data).unwrap_err());
        assert!(
            text.contains("people.yaml") && text.contains("rolle"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn people_who_were_changed_stay_changed() {
        let folder = tempfile::tempdir().unwrap();
        let data = data(&folder);
        let file = data.file("store.sqlite");
        let store = Store::embedded(&file).unwrap();
        add_people(&store, people(None, &data).unwrap())
            .await
            .unwrap();
        let dana = "dana".parse().unwrap();
        let mut person = store.identities.get_person(&dana).await.unwrap().unwrap();
        person.role = Role::Viewer;
        store.identities.put_person(person).await.unwrap();
        add_people(&store, people(None, &data).unwrap())
            .await
            .unwrap();
        assert_eq!(
            store
                .identities
                .get_person(&dana)
                .await
                .unwrap()
                .unwrap()
                .role,
            Role::Viewer
        );
    }

    #[test]
    fn every_key_the_worker_is_told_exists() {
        let info = DevInfo {
            temporal_address: String::new(),
            temporal_cli: "".into(),
            temporal_ui_url: None,
            callback_url: String::new(),
            superops_url: String::new(),
            nvd_url: String::new(),
            kev_url: String::new(),
            epss_url: String::new(),
            msrc_url: String::new(),
            cve_services_url: String::new(),
            bedrock_url: String::new(),
            prometheus_url: String::new(),
            store_path: "".into(),
            objects_path: "".into(),
            dynamodb_url: Some(String::new()),
            s3_url: Some(String::new()),
            memory_path: "".into(),
            opensearch_url: Some(String::new()),
            api_url: None,
            web_url: None,
        };
        let known = include_str!("../../clients/config.default.toml");
        for (name, _) in worker_env(&info, &"key".into(), 1.0) {
            let Some((section, key)) = name
                .strip_prefix("AUTOOPS_")
                .and_then(|rest| rest.rsplit_once("__"))
            else {
                continue;
            };
            let head = format!("[{}]\n", section.to_lowercase().replace("__", "."));
            let (_, body) = known
                .split_once(&head)
                .unwrap_or_else(|| panic!("no section {head}"));
            let body = body.split("\n[").next().unwrap();
            let key = format!("{} = ", key.to_lowercase());
            assert!(
                body.lines()
                    .any(|line| line.trim_start_matches("# ").starts_with(&key)),
                "{name}"
            );
        }
    }

    #[test]
    fn the_budget_grows_with_the_pace_within_reason() {
        assert_eq!(
            [0.5, 1.0, 5.0, 100.0].map(requests_per_minute),
            [100, 100, 500, 1200]
        );
    }
}
