//! A fake Secrets Manager on the real wire, for tests.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, Request, Respond, ResponseTemplate,
    matchers::{header, method},
};

use super::{Manager, Secret, SecretError, Source, Use};
use crate::aws::StaticCredentials;

/// Variable that names the secret.
pub(crate) const VARIABLE: &str = "AUTOOPS_SOME_KEY_SECRET";
/// The only secret there is.
pub(crate) const ID: &str = "autoops/some-key";

/// Answers with what it holds: an error code, or values by stage.
#[derive(Clone, Default)]
pub(crate) struct Vault {
    held: Arc<Mutex<Answer>>,
    asked: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Answer {
    current: Option<Value>,
    previous: Option<String>,
    error: Option<(u16, &'static str)>,
}

impl Vault {
    pub(crate) async fn serve(&self) -> MockServer {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .and(header("x-amz-target", "secretsmanager.GetSecretValue"))
            .respond_with(self.clone())
            .mount(&server)
            .await;
        server
    }

    /// Makes a new version, as `put-secret-value` does.
    pub(crate) fn put(&self, value: &str) {
        let mut held = self.held.lock().unwrap();
        let before = held.current.take();
        held.previous = before.and_then(|body| body["SecretString"].as_str().map(str::to_owned));
        held.current = Some(json!({
            "Name": ID, "SecretString": value, "VersionId": uuid::Uuid::new_v4().to_string()
        }));
        held.error = None;
    }

    /// Holds exactly this.
    pub(crate) fn hold(&self, body: Value) {
        self.held.lock().unwrap().current = Some(body);
    }

    pub(crate) fn fail(&self, status: u16, code: &'static str) {
        self.held.lock().unwrap().error = Some((status, code));
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Respond for Vault {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let question: Value = request.body_json().unwrap();
        assert_eq!(question["SecretId"], ID);
        let failure = |status, code: &str| {
            ResponseTemplate::new(status).set_body_json(json!({
                "__type": code, "Message": format!("not on resource: {ID}")
            }))
        };
        let held = self.held.lock().unwrap();
        if let Some((status, code)) = held.error {
            return failure(status, code);
        }
        let body = match question["VersionStage"].as_str() {
            Some("AWSCURRENT") => held.current.clone(),
            Some("AWSPREVIOUS") => held
                .previous
                .as_ref()
                .map(|value| json!({ "Name": ID, "SecretString": value, "VersionId": "before" })),
            other => panic!("stage {other:?}"),
        };
        match body {
            Some(body) => ResponseTemplate::new(200).set_body_json(body),
            None => failure(400, "ResourceNotFoundException"),
        }
    }
}

/// Opens the secret.
pub(crate) async fn at(url: &str, used_for: Use, refresh: Duration) -> Result<Secret, SecretError> {
    let keys = StaticCredentials::of_this_machine();
    let source = Source::Manager {
        manager: Manager::new("eu-central-1", Some(url), Some(&keys)).await,
        id: ID.into(),
        refresh,
    };
    Secret::open(VARIABLE.to_owned(), used_for, source).await
}
