//! Against one fake server that plays all sources.

use contracts::activities::intel::{Asked, ReadNvdPageInput};
use domain::vulnerability::{kev::Histories, record::Source};
use serde_json::{Value, json};
use wiremock::{
    Mock, ResponseTemplate,
    matchers::{method, path, query_param},
};

use super::*;
use crate::testing::{World, environment, failure};

async fn serve(world: &World, at: &str, body: Value) {
    Mock::given(method("GET"))
        .and(path(at))
        .respond_with(ResponseTemplate::new(200).set_body_json(body))
        .mount(&world.server)
        .await;
}

fn entry(id: &str) -> Value {
    json!({ "cveID": id, "vendorProject": "Acme", "product": "Box", "dateAdded": "2026-01-10",
        "dueDate": "2026-01-31", "knownRansomwareCampaignUse": "Known" })
}

const KEV: &str = "/sites/default/files/feeds/known_exploited_vulnerabilities.json";

async fn record(world: &World, id: &str) -> Option<VulnerabilityRecord> {
    let facts = &world.deps.store.vulnerabilities;
    let found = facts.get_vulnerabilities(&[id.parse().unwrap()]).await;
    found.unwrap().pop()
}

#[tokio::test]
async fn the_catalogue_is_read_once_in_its_time_and_what_goes_is_taken_back() {
    let mut world = World::new().await;
    let first = json!({ "catalogVersion": "1", "vulnerabilities": [entry("CVE-2024-0001"), entry("CVE-2024-0002"), 7] });
    serve(&world, KEV, first).await;
    let run = environment(IntelActivities::new(&world.deps));
    let input = PauseInput { pause_secs: 3600 };
    let read = run.run(IntelActivities::read_kev, input.clone()).await;
    let Asked::Read(counts) = read.unwrap() else {
        panic!("it was never read");
    };
    assert_eq!((counts.read, counts.changed, counts.flaws), (2, 2, 1));
    let again = run.run(IntelActivities::read_kev, input.clone()).await;
    assert!(matches!(again.unwrap(), Asked::TooSoon { .. }));
    let listed = record(&world, "CVE-2024-0001").await.unwrap();
    assert!(listed.in_kev() && listed.threat(&Histories::default()).ransomware);

    world.server.reset().await;
    serve(
        &world,
        KEV,
        json!({ "catalogVersion": "2", "vulnerabilities": [entry("CVE-2024-0002")] }),
    )
    .await;
    world.later(3601);
    let run = environment(IntelActivities::new(&world.deps));
    run.run(IntelActivities::read_kev, input).await.unwrap();
    assert!(!record(&world, "CVE-2024-0001").await.unwrap().in_kev());
    assert!(record(&world, "CVE-2024-0002").await.unwrap().in_kev());
}

#[tokio::test]
async fn documents_of_microsoft_are_read_once_each_and_pending_ones_are_kept() {
    let world = World::new().await;
    let row = |id: &str, month: u32| json!({ "ID": id, "CurrentReleaseDate": format!("2026-{month:02}-20T07:00:00Z") });
    serve(
        &world,
        "/cvrf/v3.0/updates",
        json!({ "value": [row("2026-Oct", 10), row("2026-Sep", 9), row("2026-Jan", 1)] }),
    )
    .await;
    let fix =
        json!({ "Type": 2, "Description": { "Value": "5044273" }, "Supercedence": "5043064" });
    let document = json!({ "Vulnerability": [{ "CVE": "CVE-2026-0001", "Remediations": [fix] }] });
    serve(&world, "/cvrf/v3.0/cvrf/2026-Sep", document.clone()).await;
    serve(&world, "/cvrf/v3.0/cvrf/2026-Oct", document).await;
    let run = environment(IntelActivities::new(&world.deps));
    let input = ListReleasesInput {
        pause_secs: 3600,
        months: 2,
    };
    let list = async || match run
        .run(IntelActivities::list_releases, input.clone())
        .await
        .unwrap()
    {
        Asked::Read(list) => list.releases,
        Asked::TooSoon { .. } => Vec::new(),
    };
    let releases = list().await;
    let ids: Vec<&str> = releases.iter().map(|release| release.id.as_str()).collect();
    assert_eq!(ids, ["2026-Sep", "2026-Oct"]);
    let read = async |release: &domain::vulnerability::cvrf::Release| {
        let input = ReadReleaseInput {
            release: release.clone(),
        };
        run.run(IntelActivities::read_release, input).await.unwrap()
    };
    assert_eq!(read(&releases[0]).await.changed, 2);
    // The run ends here; the next one finds the other one, without asking again.
    assert_eq!(list().await, releases[1..]);
    assert_eq!(read(&releases[1]).await.changed, 0, "it says the same");
    assert_eq!(list().await, []);
    let facts = &world.deps.store.vulnerabilities;
    let update = facts
        .get_updates(&["5044273".parse().unwrap()])
        .await
        .unwrap();
    assert_eq!(update[0].supersedes.len(), 1);
}

#[tokio::test]
async fn nvd_is_read_page_by_page_from_where_it_stopped() {
    let mut world = World::new().await;
    let rows = |ids: &[&str], start: u64| {
        let rows: Vec<Value> = ids
            .iter()
            .map(|id| json!({ "cve": { "id": id } }))
            .collect();
        json!({ "totalResults": 3, "startIndex": start, "vulnerabilities": rows })
    };
    for (start, ids) in [
        (0, vec!["CVE-2026-0001", "CVE-2026-0002"]),
        (2, vec!["CVE-2026-0003"]),
    ] {
        Mock::given(path("/rest/json/cves/2.0"))
            .and(query_param("startIndex", start.to_string()))
            .and(query_param("lastModEndDate", "2026-11-03T10:00:30.000"))
            .respond_with(ResponseTemplate::new(200).set_body_json(rows(&ids, start)))
            .expect(1)
            .mount(&world.server)
            .await;
    }
    let input = ReadNvdPageInput {
        pause_secs: 7200,
        since: "2026-11-01T00:00:00Z".parse().unwrap(),
    };
    for more in [true, false] {
        // Another process each time.
        let run = environment(IntelNvdActivities::new(&world.deps));
        let read = run
            .run(IntelNvdActivities::read_nvd_page, input.clone())
            .await;
        let Asked::Read(read) = read.unwrap() else {
            panic!("too soon");
        };
        assert_eq!(read.more, more);
    }
    let run = environment(IntelNvdActivities::new(&world.deps));
    let soon = run
        .run(IntelNvdActivities::read_nvd_page, input.clone())
        .await;
    assert!(matches!(soon.unwrap(), Asked::TooSoon { .. }));
    assert!(record(&world, "CVE-2026-0003").await.is_some());

    world.later(7201);
    Mock::given(path("/rest/json/cves/2.0"))
        .and(query_param("lastModStartDate", "2026-11-03T09:50:30.000"))
        .respond_with(
            ResponseTemplate::new(200).set_body_json(
                json!({ "totalResults": 0, "startIndex": 0, "vulnerabilities": [] }),
            ),
        )
        .expect(1)
        .mount(&world.server)
        .await;
    let run = environment(IntelNvdActivities::new(&world.deps));
    let read = run.run(IntelNvdActivities::read_nvd_page, input).await;
    assert!(matches!(read.unwrap(), Asked::Read(read) if !read.more));
}

#[tokio::test]
async fn what_a_source_does_not_know_is_asked_again_only_when_it_is_due() {
    let world = World::new().await;
    serve(
        &world,
        KEV,
        json!({ "vulnerabilities": [entry("CVE-2024-0001"), entry("CVE-2024-0002")] }),
    )
    .await;
    serve(
        &world,
        "/data/v1/epss",
        json!({ "data": [
        { "cve": "CVE-2024-0001", "epss": "0.9", "percentile": "0.99", "date": "2026-11-02" },
        { "cve": "CVE-1999-0001", "epss": "0.9", "percentile": "0.99", "date": "2026-11-02" }] }),
    )
    .await;
    Mock::given(path("/api/cve/CVE-2024-0001"))
        .respond_with(ResponseTemplate::new(404))
        .expect(1)
        .mount(&world.server)
        .await;
    let run = environment(IntelActivities::new(&world.deps));
    let input = PauseInput { pause_secs: 3600 };
    run.run(IntelActivities::read_kev, input).await.unwrap();
    let due = async |source| {
        let input = NextDueInput {
            source,
            older_secs: 3600,
            after: None,
        };
        run.run(IntelActivities::next_due, input)
            .await
            .unwrap()
            .cves
    };
    let cves = due(IntelSource::Epss).await;
    assert_eq!(cves.len(), 2);
    let input = ReadPredictionsInput { cves };
    let counts = run
        .run(IntelActivities::read_predictions, input)
        .await
        .unwrap();
    assert_eq!(counts.read, 1);
    assert!(due(IntelSource::Epss).await.is_empty());
    assert!(
        record(&world, "CVE-1999-0001").await.is_none(),
        "nobody asked for it"
    );
    let predicted = record(&world, "CVE-2024-0001").await.unwrap();
    assert_eq!(
        predicted.prediction.holds().unwrap().value.probability_ppm,
        900_000
    );
    let input = ReadRecordInput {
        cve: "CVE-2024-0001".parse().unwrap(),
    };
    run.run(IntelActivities::read_record, input).await.unwrap();
    assert_eq!(
        due(IntelSource::CveServices).await,
        ["CVE-2024-0002".parse().unwrap()]
    );
    let read = record(&world, "CVE-2024-0001").await.unwrap();
    assert!(read.read_at.contains_key(&Source::Cna));
}

#[tokio::test]
async fn a_source_that_breaks_changes_nothing_that_is_known() {
    let world = World::new().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_string("<html>maintenance</html>"))
        .mount(&world.server)
        .await;
    let run = environment(IntelActivities::new(&world.deps));
    let input = PauseInput { pause_secs: 3600 };
    let failed = failure(run.run(IntelActivities::read_kev, input).await);
    assert_eq!(failed.type_name(), Some("intel.malformed"));
    let facts = &world.deps.store.vulnerabilities;
    assert_eq!(facts.reader_state("kev").await.unwrap(), None);
}
