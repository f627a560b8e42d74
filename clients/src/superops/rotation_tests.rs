//! A token is rotated while the program runs: configuration, secret and client together.

use std::sync::{Arc, Mutex};

use domain::failure::{Classify, FailureKind};
use serde_json::json;
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::method};

use super::*;
use crate::{
    aws::StaticCredentials,
    breaker::Outage,
    config::{Config, Secrets},
    rate_limit::Unlimited,
    secret::vault::{ID, Vault},
};

/// A SuperOps that takes one token.
async fn superops(valid: &Arc<Mutex<String>>) -> MockServer {
    let server = MockServer::start().await;
    let valid = Arc::clone(valid);
    let answer = move |request: &Request| {
        let good = format!("Bearer {}", valid.lock().unwrap());
        match request.headers["authorization"].to_str() {
            Ok(given) if given == good => ResponseTemplate::new(200)
                .set_body_json(json!({ "data": { "getClient": { "accountId": "7", "name": "Acme", "status": "Active" } } })),
            _ => ResponseTemplate::new(401),
        }
    };
    Mock::given(method("POST"))
        .respond_with(answer)
        .mount(&server)
        .await;
    server
}

/// Builds the client as a program does: from a configuration file and one variable.
async fn client(superops: &str, manager: &str, variable: (&str, &str)) -> SuperOps {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "[superops]\nbase_url = \"{superops}/msp\"\nsubdomain = \"acme\"\n[secrets]\nendpoint_url = \"{manager}\"\n"
    );
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    let mut config = Config::load(Some(file.path())).unwrap();
    config.secrets.credentials = Some(StaticCredentials::of_this_machine());
    let secrets = Secrets::of([(variable.0.to_owned(), variable.1.to_owned())]);
    let config = config.superops(&secrets).await.unwrap();
    SuperOps::new(config, Arc::new(Unlimited)).unwrap()
}

async fn ask(client: &SuperOps) -> Result<String, SuperOpsError> {
    let id = "7".parse().unwrap();
    client.get_client(&id).await.map(|found| found.name)
}

async fn sent(server: &MockServer) -> Vec<String> {
    let requests = server.received_requests().await.unwrap();
    let token = |request: &Request| {
        let value = request.headers["authorization"].to_str().unwrap();
        value.trim_start_matches("Bearer ").to_owned()
    };
    requests.iter().map(token).collect()
}

#[tokio::test]
async fn the_next_request_carries_the_token_that_was_rotated_in_secrets_manager() {
    let (vault, valid) = (Vault::default(), Arc::new(Mutex::new("one".to_owned())));
    vault.put("one");
    let (manager, server) = (vault.serve().await, superops(&valid).await);
    let variable = ("AUTOOPS_SUPEROPS_TOKEN_SECRET", ID);
    let client = client(&server.uri(), &manager.uri(), variable).await;
    assert_eq!(ask(&client).await.unwrap(), "Acme");
    vault.put("two");
    "two".clone_into(&mut valid.lock().unwrap());
    // The call that was refused did nothing, so that Temporal tries it again.
    let refused = ask(&client).await.unwrap_err();
    assert!(matches!(refused, SuperOpsError::Rotated), "{refused}");
    assert_eq!(refused.kind(), FailureKind::Unavailable);
    assert!(refused.kind().is_retryable() && refused.retry_after().is_none());
    assert!(refused.outage().is_none(), "superops answers");
    assert_eq!(ask(&client).await.unwrap(), "Acme");
    assert_eq!(sent(&server).await, ["one", "one", "two"]);
    assert_eq!(vault.asked(), 2);
    assert!(!format!("{client:?}").contains("two"));
}

#[tokio::test]
async fn a_token_that_stays_wrong_is_a_persons_matter_and_is_asked_for_once() {
    let (vault, valid) = (Vault::default(), Arc::default());
    vault.put("one");
    let (manager, server) = (vault.serve().await, superops(&valid).await);
    let variable = ("AUTOOPS_SUPEROPS_TOKEN_SECRET", ID);
    let client = client(&server.uri(), &manager.uri(), variable).await;
    for _ in 0..5 {
        let refused = ask(&client).await.unwrap_err();
        assert_eq!(refused.kind(), FailureKind::Unauthorized);
    }
    // At the start, and after the first refusal.
    assert_eq!(vault.asked(), 2);
    // What refuses every call is left alone like one that is away.
    let left_alone = ask(&client).await.unwrap_err();
    assert_eq!(left_alone.kind(), FailureKind::Unavailable);
    let words = left_alone.to_string();
    assert!(words.contains("it refuses the token"), "{words}");
    assert_eq!(sent(&server).await.len(), 5);
}

#[tokio::test]
async fn the_next_request_carries_the_token_of_the_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, beside) = (folder.path().join("token"), folder.path().join("new"));
    let valid = Arc::new(Mutex::new("one".to_owned()));
    let server = superops(&valid).await;
    std::fs::write(&path, "one\n").unwrap();
    let variable = ("AUTOOPS_SUPEROPS_TOKEN_FILE", path.to_str().unwrap());
    let client = client(&server.uri(), "http://127.0.0.1:1", variable).await;
    assert_eq!(ask(&client).await.unwrap(), "Acme");
    std::fs::write(&beside, "two\n").unwrap();
    std::fs::rename(&beside, &path).unwrap();
    "two".clone_into(&mut valid.lock().unwrap());
    assert_eq!(ask(&client).await.unwrap(), "Acme");
    assert_eq!(sent(&server).await, ["one", "two"]);
}
