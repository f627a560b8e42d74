use std::io::Write;

use secrecy::ExposeSecret;

use super::*;

fn pairs(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    Config::from_parts(Some(file.path()), pairs(variables))
}

fn refused(text: &str, variables: &[(&str, &str)]) -> String {
    let message = load(text, variables).unwrap_err().to_string();
    assert!(!message.contains('\n'), "one line: {message}");
    message
}

fn secrets(variables: &[(&str, &str)]) -> Secrets {
    Secrets::of(pairs(variables))
}

#[tokio::test]
async fn the_defaults_are_those_of_the_clients() {
    let config = Config::from_parts(None, []).unwrap();
    assert!(config.environment.accepts_claimed_identity());
    let (clients, ours) = (BedrockConfig::default(), config.bedrock().unwrap().unwrap());
    assert_eq!(
        (
            clients.region,
            clients.timeout_secs,
            clients.model,
            clients.breaker
        ),
        (ours.region, ours.timeout_secs, ours.model, ours.breaker)
    );
    let (clients, ours) = (
        NvdConfig::default(),
        config.nvd(&secrets(&[])).await.unwrap(),
    );
    assert_eq!(
        (clients.base_url, clients.timeout_secs, clients.breaker),
        (ours.base_url, ours.timeout_secs, ours.breaker)
    );
    let (clients, ours) = (SuperOpsConfig::default(), &config.superops);
    assert_eq!(
        (&clients.base_url, clients.timeout_secs),
        (&ours.base_url, ours.timeout_secs)
    );
    assert_eq!(
        (&clients.tags_field, clients.requests_per_minute),
        (&ours.tags_field, ours.requests_per_minute)
    );
    assert_eq!(clients.breaker, ours.breaker);
}

#[test]
fn a_variable_beats_the_file_and_the_file_the_defaults() {
    let text =
        "[superops]\nsubdomain = \"acme\"\ntimeout_secs = 5\n[environment]\nname = \"staging\"";
    let variables = [
        ("AUTOOPS_SUPEROPS__TIMEOUT_SECS", "7"),
        ("AUTOOPS_BEDROCK__MODEL__ID", "m"),
        ("AUTOOPS_BEDROCK__ENABLED", "true"),
        ("AUTOOPS_BEDROCK__MODEL__OUTPUT", "auto_tool"),
        ("AUTOOPS_SUPEROPS_TOKEN", "not a key of a section"),
        ("OTHER__X", "1"),
    ];
    let config = load(text, &variables).unwrap();
    assert_eq!(
        (
            config.superops.subdomain.as_str(),
            config.superops.timeout_secs
        ),
        ("acme", 7)
    );
    assert_eq!(config.bedrock().unwrap().unwrap().model.id, "m");
    assert!(
        !config.environment.accepts_claimed_identity(),
        "only by default in development"
    );
    let text = "[environment]\nname = \"production\"\naccept_claimed_identity = true";
    assert!(
        load(text, &[])
            .unwrap()
            .environment
            .accepts_claimed_identity()
    );
}

#[tokio::test]
async fn the_numbers_of_a_breaker_are_named_when_they_cannot_be() {
    let text = "[superops]\nsubdomain = \"acme\"\n[nvd.breaker]\nfirst_pause_secs = 30";
    let variables = [
        ("AUTOOPS_SUPEROPS__BREAKER__FAILURES", "0"),
        ("AUTOOPS_NVD__BREAKER__LONGEST_PAUSE_SECS", "29"),
        ("AUTOOPS_BEDROCK__BREAKER__FIRST_PAUSE_SECS", "7200"),
    ];
    let config = load(text, &variables).unwrap();
    let secrets = secrets(&[(SUPEROPS_TOKEN, "t")]);
    for (found, named) in [
        (
            config.superops(&secrets).await.unwrap_err().to_string(),
            "superops.breaker.failures: `0` is not allowed: 1 to 1000",
        ),
        (
            config.nvd(&secrets).await.unwrap_err().to_string(),
            "nvd.breaker.longest_pause_secs: `29` is not allowed: 30 to 3600",
        ),
        (
            config.bedrock().unwrap_err().to_string(),
            "bedrock.breaker.first_pause_secs: `7200` is not allowed: 1 to 3600",
        ),
    ] {
        assert!(found.contains(named), "{found}");
    }
}

#[test]
fn an_unknown_key_is_named_wherever_it_stands() {
    for (text, variable) in [
        ("[superops]\nsubdomian = \"acme\"", None),
        ("", Some("AUTOOPS_SUPEROPS__SUBDOMIAN")),
        ("[bedrock.model]\nsubdomian = 1", None),
        ("[subdomian]\nx = 1", None),
    ] {
        let variables: Vec<_> = variable.map(|name| (name, "acme")).into_iter().collect();
        let message = refused(text, &variables);
        assert!(message.contains("subdomian"), "{message}");
    }
}

#[tokio::test]
async fn a_wrong_value_names_its_key_and_a_broken_file_its_path() {
    let message = refused("[superops]\ntimeout_secs = \"soon\"", &[]);
    assert!(
        message.contains("superops.timeout_secs") && message.contains("soon"),
        "{message}"
    );
    let message = refused("[environment]\nname = \"prod\"", &[]);
    assert!(
        message.contains("environment.name") && message.contains("production"),
        "{message}"
    );
    let message = refused("[bedrock.model]\noutput = \"yaml\"", &[]);
    assert!(
        message.contains("bedrock.model.output") && message.contains("yaml"),
        "{message}"
    );
    let message = refused("[superops\n", &[]);
    assert!(
        message.contains("/") && message.contains("line"),
        "{message}"
    );
    let missing =
        Config::from_parts(None, pairs(&[("AUTOOPS_CONFIG", "/nowhere/a.toml")])).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "/nowhere/a.toml (named by AUTOOPS_CONFIG) cannot be read"
    );
    let config = load("[callback]\npublic_url = \"here\"", &[]).unwrap();
    let key = secrets(&[(CALLBACK_KEY, &"k".repeat(32))]);
    assert!(
        config
            .callback(&key)
            .await
            .unwrap_err()
            .to_string()
            .contains("callback.public_url")
    );
}

#[tokio::test]
async fn a_time_out_that_outlasts_the_activity_around_it_is_refused() {
    let token = secrets(&[(SUPEROPS_TOKEN, "t")]);
    let with = async |superops, nvd, bedrock| {
        let text = format!(
            "[superops]\nsubdomain = \"acme\"\ntimeout_secs = {superops}\n\
             [nvd]\ntimeout_secs = {nvd}\n[bedrock]\ntimeout_secs = {bedrock}"
        );
        let config = load(&text, &[]).unwrap();
        [
            config.superops(&token).await.map(drop),
            config.nvd(&token).await.map(drop),
            config.bedrock().map(drop),
        ]
        .map(|result| result.map_err(|error| error.to_string()))
    };
    assert_eq!(with(50, 90, 140).await, [Ok(()), Ok(()), Ok(())]);
    let words = with(51, 91, 141).await.map(Result::unwrap_err);
    for (text, field, most) in [
        (&words[0], "superops.timeout_secs", "1 to 50"),
        (&words[1], "nvd.timeout_secs", "1 to 90"),
        (&words[2], "bedrock.timeout_secs", "1 to 140"),
    ] {
        assert!(text.contains(field) && text.contains(most), "{text}");
    }
}

#[tokio::test]
async fn a_missing_secret_names_its_variables_and_only_who_needs_it_is_stopped() {
    let config = load("[superops]\nsubdomain = \"acme\"", &[]).unwrap();
    let message = config
        .superops(&secrets(&[]))
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(
        message,
        "no SuperOps token: set AUTOOPS_SUPEROPS_TOKEN, AUTOOPS_SUPEROPS_TOKEN_FILE or AUTOOPS_SUPEROPS_TOKEN_SECRET"
    );
    assert!(config.nvd(&secrets(&[])).await.is_ok());
    assert!(config.decision_key(&secrets(&[])).await.unwrap().is_none());
    let short = config
        .callback(&secrets(&[(CALLBACK_KEY, "short")]))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        short.contains(CALLBACK_KEY) && short.contains("32") && !short.contains("short\""),
        "{short}"
    );
}

#[tokio::test]
async fn a_secret_may_be_in_a_file_and_is_never_shown() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"s3cret-token\n").unwrap();
    let path = file.path().to_str().unwrap();
    let by_file = secrets(&[("AUTOOPS_SUPEROPS_TOKEN_FILE", path)]);
    let config = load("[superops]\nsubdomain = \"acme\"", &[]).unwrap();
    let superops = config.superops(&by_file).await.unwrap();
    assert_eq!(
        superops.token.current().await.expose_secret(),
        "s3cret-token"
    );
    let both = secrets(&[
        (SUPEROPS_TOKEN, "s3cret-token"),
        ("AUTOOPS_SUPEROPS_TOKEN_FILE", path),
    ]);
    let message = config.superops(&both).await.unwrap_err().to_string();
    assert!(message.contains("AUTOOPS_SUPEROPS_TOKEN_FILE"), "{message}");
    let key = secrets(&[(CALLBACK_KEY, "s3cret-token-s3cret-token-s3cret-token")]);
    let in_its_place = secrets(&[("AUTOOPS_SUPEROPS_TOKEN_FILE", "s3cret-token")]);
    let misplaced = config.superops(&in_its_place).await.unwrap_err();
    assert_eq!(
        misplaced.to_string(),
        "AUTOOPS_SUPEROPS_TOKEN_FILE names a file that does not exist"
    );
    let shown = format!(
        "{superops:?} {both:?} {:?} {message} {misplaced:?}",
        config.callback(&key).await.unwrap()
    );
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[tokio::test]
async fn outside_development_devices_report_over_https_to_another_machine() {
    let key = secrets(&[(CALLBACK_KEY, &"k".repeat(32))]);
    let with = async |name: &str, url: &str| {
        let text = format!("[environment]\nname = \"{name}\"\n[callback]\npublic_url = \"{url}\"");
        let config = load(&text, &[]).unwrap();
        config
            .callback(&key)
            .await
            .map(|callback| callback.public_url)
    };
    let (local, good) = ("http://127.0.0.1:7780", "https://autoops.example");
    assert_eq!(with("development", local).await.unwrap(), local);
    for name in ["staging", "production"] {
        assert_eq!(with(name, good).await.unwrap(), good);
        for bad in [local, "https://localhost:7780"] {
            let message = with(name, bad).await.unwrap_err().to_string();
            assert!(
                message.contains("callback.public_url") && message.contains("outside development"),
                "{message}"
            );
        }
    }
}

#[test]
fn the_budget_of_nvd_follows_its_key() {
    let config = Config::from_parts(None, []).unwrap();
    let with = |pairs: &[(&str, &str)]| config.buckets(&secrets(pairs)).unwrap()["nvd"].capacity;
    assert_eq!((with(&[]), with(&[(NVD_API_KEY, "k")])), (5, 50));
    assert_eq!(
        config.buckets(&secrets(&[])).unwrap()["superops"].capacity,
        100
    );
}

#[tokio::test]
async fn each_way_to_name_a_secret_wrongly_has_its_advice() {
    let with = async |text: &str, variables: &[(&str, &str)]| {
        let config = load(&format!("[superops]\nsubdomain = \"acme\"\n{text}"), &[]).unwrap();
        let error = config.superops(&secrets(variables)).await.unwrap_err();
        error.to_string()
    };
    let twice = [
        ("AUTOOPS_SUPEROPS_TOKEN_FILE", "/run/token"),
        ("AUTOOPS_SUPEROPS_TOKEN_SECRET", "autoops/token"),
    ];
    let message = with("", &twice).await;
    assert!(message.contains("TOKEN_SECRET is set beside"), "{message}");
    let managed = [("AUTOOPS_SUPEROPS_TOKEN_SECRET", "autoops/token")];
    for (text, named) in [
        ("[secrets]\nrefresh_secs = 0", "secrets.refresh_secs: `0`"),
        ("[secrets]\nregion = \"Frankfurt\"", "secrets.region"),
        (
            "[secrets]\nendpoint_url = \"http://vault\"",
            "secrets.endpoint_url",
        ),
    ] {
        let message = with(text, &managed).await;
        assert!(message.contains(named), "{message}");
    }
    let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:autoops/token";
    let elsewhere = [("AUTOOPS_SUPEROPS_TOKEN_SECRET", arn)];
    let message = with("", &elsewhere).await;
    assert!(
        message.contains("another region") && !message.contains("123456789012"),
        "{message}"
    );
    let spaced = [(SUPEROPS_TOKEN, "two words")];
    let message = with("", &spaced).await;
    assert!(
        message.contains(SUPEROPS_TOKEN) && !message.contains("words"),
        "{message}"
    );
}

#[test]
fn an_embedding_model_is_off_until_it_is_asked_for() {
    assert!(load("", &[]).unwrap().embeddings().unwrap().is_none());
    let kind = ("AUTOOPS_MEMORY__EMBEDDINGS__KIND", "bedrock");
    let config = load("[bedrock]\nregion = \"us-east-1\"", &[kind]).unwrap();
    let embeddings = config.embeddings().unwrap().unwrap();
    assert_eq!(embeddings.region, "us-east-1");
    assert_eq!(embeddings.model, "amazon.titan-embed-text-v2:0");
    let buckets = config.buckets(&secrets(&[])).unwrap();
    assert_eq!(buckets["embeddings"].capacity, 60);
    for (text, named) in [
        (
            "[bedrock]\nenabled = false",
            "memory.embeddings.kind: `bedrock` is not allowed",
        ),
        (
            "[memory.embeddings]\nmodel = \"cohere.embed-english-v3\"",
            "memory.embeddings.model",
        ),
        (
            "[memory.embeddings]\ntimeout_secs = 21",
            "memory.embeddings.timeout_secs: `21`",
        ),
    ] {
        let found = load(text, &[kind])
            .unwrap()
            .embeddings()
            .unwrap_err()
            .to_string();
        assert!(found.contains(named), "{found}");
    }
    let message = refused("[memory.embeddings]\nkind = \"openai\"", &[]);
    assert!(message.contains("memory.embeddings.kind"), "{message}");
}

#[tokio::test]
async fn prometheus_is_used_where_it_has_an_address() {
    let token = secrets(&[(PROMETHEUS_TOKEN, "prometheus-token")]);
    assert!(
        load("", &[])
            .unwrap()
            .prometheus(&token)
            .await
            .unwrap()
            .is_none()
    );
    let text = "[prometheus]\nurl = \"https://prometheus.example\"\n\
        [prometheus.clients.7000000000000000001]\ntenant = \"Acme\"\nEnv = \"prod\"\n";
    let config = load(text, &[]).unwrap();
    let found = config.prometheus(&token).await.unwrap().unwrap();
    // The queries of the defaults can be used as they are, and names keep their letters.
    assert_eq!(found.queries.len(), 3);
    let labels = &found.clients["7000000000000000001"];
    assert_eq!(
        (labels["tenant"].as_str(), labels["Env"].as_str()),
        ("Acme", "prod")
    );
    let shown = format!("{found:?}");
    assert!(!shown.contains("prometheus-token"), "{shown}");
    let config = load("[prometheus]\nurl = \"http://prometheus.example\"", &[]).unwrap();
    let error = config.prometheus(&token).await.unwrap_err().to_string();
    assert!(error.contains("prometheus.url"), "{error}");
    let own = "[prometheus]\nurl = \"https://p.example\"\n[[prometheus.queries]]\n\
        name = \"load\"\nmeasure = \"latency\"\nquery = \"load\"\n";
    let config = load(own, &[]).unwrap();
    let error = config.prometheus(&token).await.unwrap_err().to_string();
    assert!(error.contains("prometheus.queries[0].query"), "{error}");
}
