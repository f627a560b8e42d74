//! What makes the demo a demo: its people, its pace, and what the worker is told.

use std::path::Path;

use anyhow::Context;
use clients::store::Store;
use domain::people::Person;
use secrecy::{ExposeSecret, SecretString};

use crate::data_dir::DevInfo;

/// Sub-domain of the simulated tenant.
pub const SUBDOMAIN: &str = "demo";
/// Token the simulated tenant accepts; worth nothing elsewhere.
pub const SUPEROPS_TOKEN: &str = "demo-token-of-the-simulator";
/// First client of the demo fleet, the one the first plan is about.
pub const FIRST_CLIENT: &str = "7000000000000000001";
/// The first plan, as it lies in the repository.
pub const FIRST_PLAN: &str = "dev-server/examples/plan.yaml";
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
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let budget = (REQUESTS_PER_MINUTE * speed).clamp(REQUESTS_PER_MINUTE, MOST_REQUESTS_PER_MINUTE) as u32;
    budget
}

/// Reads people from a file, or those of the demo.
///
/// # Errors
/// When the file cannot be read or a field does not fit.
pub fn people(file: Option<&Path>) -> anyhow::Result<Vec<Person>> {
    let (text, name) = match file {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            (text, path.display().to_string())
        }
        None => (PEOPLE.to_owned(), "people.yaml".to_owned()),
    };
    serde_saphyr::from_str(&text).map_err(|error| anyhow::anyhow!("{name}: {error}"))
}

/// Puts people into the store who are not there yet; those who are stay as they are.
///
/// # Errors
/// When the store cannot be used.
pub async fn add_people(store: &Path, people: Vec<Person>) -> anyhow::Result<()> {
    let store = Store::embedded(store).with_context(|| format!("opening {}", store.display()))?;
    for person in people {
        if store.identities.get_person(&person.id).await?.is_none() {
            store.identities.put_person(person).await?;
        }
    }
    Ok(())
}

/// Variables of our own environment that would lead the worker away from the simulators.
pub const NOT_FOR_THE_WORKER: [&str; 8] = [
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
    "TEMPORAL_CONFIG_FILE",
    "TEMPORAL_PROFILE",
    "TEMPORAL_API_KEY",
    "TEMPORAL_TLS",
];

/// Returns the environment of the worker: where everything is, and the keys to it.
#[must_use]
pub fn worker_env(info: &DevInfo, callback_key: &SecretString, speed: f64) -> Vec<(&'static str, String)> {
    vec![
        ("TEMPORAL_ADDRESS", info.temporal_address.clone()),
        ("TEMPORAL_NAMESPACE", "default".to_owned()),
        ("AUTOOPS_ENVIRONMENT", "development".to_owned()),
        ("AUTOOPS_STORE__PATH", info.store_path.display().to_string()),
        ("AUTOOPS_SUPEROPS__BASE_URL", info.superops_url.clone()),
        ("AUTOOPS_SUPEROPS__SUBDOMAIN", SUBDOMAIN.to_owned()),
        ("AUTOOPS_SUPEROPS__TOKEN", SUPEROPS_TOKEN.to_owned()),
        ("AUTOOPS_SUPEROPS__REQUESTS_PER_MINUTE", requests_per_minute(speed).to_string()),
        ("AUTOOPS_NVD__BASE_URL", info.nvd_url.clone()),
        ("AUTOOPS_BEDROCK__ENDPOINT_URL", info.bedrock_url.clone()),
        ("AUTOOPS_BEDROCK__REGION", "eu-central-1".to_owned()),
        ("AUTOOPS_CALLBACK__URL", info.callback_url.clone()),
        ("AUTOOPS_CALLBACK__KEY", callback_key.expose_secret().to_owned()),
        // The simulator of Bedrock takes any key; the SDK wants one, and must not look for others.
        ("AWS_ACCESS_KEY_ID", "demo".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "demo".to_owned()),
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned())),
    ]
}

#[cfg(test)]
mod tests {
    use domain::{people::Role, plan::PlanRequest, plan_check};
    use jiff::Timestamp;

    use super::*;
    use crate::sim::superops::FleetSpec;

    #[test]
    fn the_first_plan_can_be_started_as_it_is() {
        let text = include_str!("../examples/plan.yaml");
        assert!(text.lines().any(|line| line == "id: first-plan"), "the id has a line of its own");
        let plan: PlanRequest = serde_saphyr::from_str(text).unwrap();
        plan_check::check(&plan, Timestamp::now()).unwrap();
        assert_eq!(plan.client.as_str(), FIRST_CLIENT);
        assert!(plan.approval.required && plan.rings.len() == 3);
        assert_eq!(plan.requested_by.unwrap().as_str(), "tim");

        let fleet = FleetSpec::demo();
        let client = fleet.clients.iter().find(|client| client.id == FIRST_CLIENT).unwrap();
        let pilots = client.devices.iter().filter(|d| plan.devices.tags.iter().all(|tag| d.tags.contains(tag)));
        let pilots: Vec<_> = pilots.collect();
        assert_eq!(pilots.len(), 12);
        for patch in &plan.patches {
            assert!(pilots.iter().all(|d| d.missing.iter().any(|kb| kb == patch.kb.digits())), "{}", patch.kb);
        }
        // No ring is empty.
        let per_ring = [plan.rings[0].percent.map(u32::from).unwrap(), plan.rings[1].count.unwrap()];
        assert!(12 * per_ring[0] / 100 >= 1 && per_ring[1] < 9 && plan.rings[2].rest);
    }

    #[test]
    fn everybody_the_documentation_names_is_there() {
        let people = people(None).unwrap();
        let role = |id: &str| people.iter().find(|p| p.id.as_str() == id).map(|p| p.role);
        assert_eq!(role("dana"), Some(Role::Approver));
        assert_eq!(role("lee"), Some(Role::Lead));
        assert_eq!(role("tim"), Some(Role::Technician));
        assert_eq!(role("vic"), Some(Role::Viewer));
    }

    #[test]
    fn a_typo_in_a_file_of_people_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("team.yaml");
        std::fs::write(&file, "- id: dana\n  rolle: approver\n").unwrap();
        let text = people(Some(&file)).unwrap_err().to_string();
        assert!(text.contains("team.yaml") && text.contains("rolle"), "{text}");
    }

    #[tokio::test]
    async fn people_who_were_changed_stay_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store.sqlite");
        add_people(&file, people(None).unwrap()).await.unwrap();
        let store = Store::embedded(&file).unwrap();
        let dana = "dana".parse().unwrap();
        let mut person = store.identities.get_person(&dana).await.unwrap().unwrap();
        person.role = Role::Viewer;
        store.identities.put_person(person).await.unwrap();
        add_people(&file, people(None).unwrap()).await.unwrap();
        assert_eq!(store.identities.get_person(&dana).await.unwrap().unwrap().role, Role::Viewer);
    }

    #[test]
    fn the_budget_grows_with_the_pace_within_reason() {
        assert_eq!([0.5, 1.0, 5.0, 100.0].map(requests_per_minute), [100, 100, 500, 1200]);
    }
}
