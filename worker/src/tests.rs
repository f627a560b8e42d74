use std::{io::Write, path::Path};

use clients::config::{CALLBACK_KEY, Config, SUPEROPS_TOKEN, Secrets};
use jiff::Timestamp;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::method};

use super::{
    TemporalTarget, build_deps, connect, load_people, prepare, put_default_policies, queue_rates,
};

fn config(folder: &Path, superops: &str) -> Config {
    let file = folder.join("autoops.toml");
    let text = format!(
        "[superops]\nbase_url = \"{superops}/msp\"\nsubdomain = \"acme\"\nrequests_per_minute = 90\n\
         [bedrock]\nenabled = false\n[store]\npath = \"{}\"\n",
        folder.join("data/autoops.db").display(),
    );
    std::fs::write(&file, text).unwrap();
    Config::load(Some(&file)).unwrap()
}

fn secrets() -> Secrets {
    let key = "k".repeat(32);
    Secrets::of(
        [(SUPEROPS_TOKEN, "s3cret-token"), (CALLBACK_KEY, &key)]
            .map(|(k, v)| (k.to_owned(), v.to_owned())),
    )
}

#[tokio::test]
async fn a_missing_token_is_one_clear_line_and_leaves_no_file_behind() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "http://127.0.0.1:1");
    let error = build_deps(&config, &Secrets::of([])).await.unwrap_err();
    let line = format!("{error:#}");
    assert!(
        line.contains("AUTOOPS_SUPEROPS_TOKEN") && !line.contains('\n'),
        "{line}"
    );
    assert!(!folder.path().join("data").exists());
}

#[tokio::test]
async fn a_refused_token_stops_the_worker_and_an_outage_does_not() {
    let folder = tempfile::tempdir().unwrap();
    for (status, stops) in [(401, true), (503, false)] {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .respond_with(ResponseTemplate::new(status))
            .mount(&server)
            .await;
        let deps = build_deps(&config(folder.path(), &server.uri()), &secrets())
            .await
            .unwrap();
        let checked = prepare::check_superops(&deps.superops).await;
        assert_eq!(checked.is_err(), stops, "{status}");
        let line = checked
            .err()
            .map(|error| format!("{error:#}"))
            .unwrap_or_default();
        assert!(!line.contains("s3cret") && !line.contains('\n'), "{line}");
        assert!(!format!("{deps:?}").contains("s3cret"));
    }
}

#[tokio::test]
async fn the_default_policies_are_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let deps = build_deps(&config(folder.path(), "http://127.0.0.1:1"), &secrets())
        .await
        .unwrap();
    for _ in 0..2 {
        put_default_policies(&deps.store, Timestamp::UNIX_EPOCH)
            .await
            .unwrap();
    }
    let written = deps
        .store
        .policies
        .list_policies(None, None, 10)
        .await
        .unwrap()
        .items;
    assert_eq!(written.len(), 1);
    assert!(policy::PolicySet::from_json(&written[0].body).is_ok());
}

#[tokio::test]
async fn people_of_the_file_are_known_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let deps = build_deps(&config(folder.path(), "http://127.0.0.1:1"), &secrets())
        .await
        .unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"- id: dana\n  role: approver\n").unwrap();
    load_people(&deps.store, file.path()).await.unwrap();
    let dana = deps
        .store
        .identities
        .get_person(&"dana".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(dana.role.as_str(), "approver");
}

#[test]
fn queues_run_at_the_budget_of_their_system() {
    let folder = tempfile::tempdir().unwrap();
    let rates = queue_rates(&config(folder.path(), "http://127.0.0.1:1"), &secrets()).unwrap();
    assert_eq!(rates.superops, Some(1.5));
    // The service counts at arrival: tokens of a 30 s window come back 5 s late.
    assert_eq!(rates.nvd, Some(5.0 / 35.0));
}

#[tokio::test]
async fn nobody_at_the_address_says_what_to_do() {
    // Port 1 is never served.
    let target = TemporalTarget {
        address: Some("127.0.0.1:1".to_owned()),
        namespace: None,
    };
    let line = format!("{:#}", connect(&target).await.err().unwrap());
    assert!(
        line.contains("127.0.0.1:1") && line.contains("temporal server start-dev"),
        "{line}"
    );
    assert!(line.contains("refused"), "the cause is missing: {line}");
    assert!(!line.contains('\n'), "{line}");
}

#[tokio::test]
async fn prometheus_reads_how_the_systems_answer() {
    use clients::nvd::{Nvd, NvdConfig};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_util::sync::CancellationToken;

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    let busy = crate::metrics::listen(address, CancellationToken::new())
        .err()
        .unwrap();
    let line = format!("{busy:#}");
    assert!(
        line.contains(&address.to_string()) && !line.contains('\n'),
        "{line}"
    );
    drop(free);
    let until = CancellationToken::new();
    let recorder = crate::metrics::listen(address, until.clone()).unwrap();
    // Of this test only.
    let _counting = metrics::set_default_local_recorder(&recorder);

    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(503))
        .mount(&server)
        .await;
    let config = NvdConfig {
        base_url: server.uri(),
        ..NvdConfig::default()
    };
    let nvd = Nvd::new(config, std::sync::Arc::new(clients::rate_limit::Unlimited)).unwrap();
    for _ in 0..4 {
        nvd.lookup_cve(&"CVE-2026-0001".parse().unwrap())
            .await
            .unwrap_err();
    }

    let mut read = tokio::net::TcpStream::connect(address).await.unwrap();
    read.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")
        .await
        .unwrap();
    let mut text = String::new();
    read.read_to_string(&mut text).await.unwrap();
    for line in [
        "autoops_breaker_state{upstream=\"nvd\"} 2",
        "autoops_calls_total{upstream=\"nvd\",outcome=\"unavailable\"} 3",
        "autoops_calls_total{upstream=\"nvd\",outcome=\"refused\"} 1",
        "autoops_call_seconds_count{upstream=\"nvd\"} 3",
    ] {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
    until.cancel();
}
