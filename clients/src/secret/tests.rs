//! Against a fake Secrets Manager on the real wire, and files.

use domain::failure::{Classify, FailureKind};
use serde_json::json;

use super::{
    vault::{ID, VARIABLE, Vault, at},
    *,
};

const AN_HOUR: Duration = Duration::from_secs(3600);

fn key(number: u32) -> String {
    format!("{number:0>40}")
}

async fn shown(secret: &Secret) -> String {
    secret.current().await.expose_secret().to_owned()
}

#[tokio::test]
async fn a_value_is_asked_for_again_after_its_time_and_not_before() {
    let vault = Vault::default();
    vault.put("one");
    let server = vault.serve().await;
    let kept = at(&server.uri(), Use::Header, AN_HOUR).await.unwrap();
    let fresh = at(&server.uri(), Use::Header, Duration::ZERO)
        .await
        .unwrap();
    vault.put("two");
    assert_eq!(
        (shown(&kept).await, shown(&fresh.clone()).await),
        ("one".to_owned(), "two".to_owned())
    );
    assert_eq!(vault.asked(), 3);
}

#[tokio::test]
async fn a_refused_value_is_asked_for_at_once_and_a_wrong_one_hammers_nobody() {
    let vault = Vault::default();
    vault.put("one");
    let server = vault.serve().await;
    let secret = at(&server.uri(), Use::Header, AN_HOUR).await.unwrap();
    let one = secret.current().await;
    vault.put("two");
    assert!(secret.refused(&one).await);
    assert_eq!((shown(&secret).await.as_str(), vault.asked()), ("two", 2));
    // Whoever was refused with the old one is told without another question.
    assert!(secret.refused(&one).await);
    let two = secret.current().await;
    for _ in 0..20 {
        assert!(!secret.refused(&two).await);
    }
    assert_eq!(vault.asked(), 2);
}

#[tokio::test]
async fn what_cannot_be_used_leaves_the_last_good_value() {
    let vault = Vault::default();
    vault.put(&key(1));
    let server = vault.serve().await;
    for broken in [
        json!({ "SecretString": "short", "VersionId": "s" }),
        json!({ "SecretString": "  ", "VersionId": "e" }),
        json!({ "SecretString": format!("{{\"value\":\"{}\"}}", key(2)), "VersionId": "j" }),
        json!({ "SecretBinary": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OQ==", "VersionId": "b" }),
    ] {
        vault.put(&key(1));
        let secret = at(&server.uri(), Use::Signing, Duration::ZERO)
            .await
            .unwrap();
        vault.hold(broken);
        assert_eq!(shown(&secret).await, key(1));
    }
    vault.put(&key(1));
    let secret = at(&server.uri(), Use::Signing, Duration::ZERO)
        .await
        .unwrap();
    vault.fail(500, "InternalServiceError");
    let asked = vault.asked();
    for _ in 0..5 {
        assert_eq!(shown(&secret).await, key(1));
    }
    assert_eq!(
        vault.asked(),
        asked + 1,
        "a failed look is not repeated at once"
    );
}

#[tokio::test]
async fn what_the_key_before_signed_is_still_good_and_what_an_older_one_signed_is_not() {
    let vault = Vault::default();
    for number in 1..=3 {
        vault.put(&key(number));
    }
    let server = vault.serve().await;
    let is = |number| move |tried: &SecretString| tried.expose_secret() == key(number);
    // A program that was started after the rotation knows the key before it as well.
    let secret = at(&server.uri(), Use::Signing, AN_HOUR).await.unwrap();
    assert!(secret.fits(is(3)).await && secret.fits(is(2)).await);
    assert!(!secret.fits(is(1)).await);
    // Another program signs with a newer key already.
    let other = at(&server.uri(), Use::Signing, AN_HOUR).await.unwrap();
    vault.put(&key(4));
    assert!(other.fits(is(4)).await && other.fits(is(3)).await);
    assert!(!other.fits(is(2)).await);
}

#[tokio::test]
async fn each_failure_has_its_kind_and_says_what_to_do() {
    use FailureKind as K;
    let vault = Vault::default();
    let server = vault.serve().await;
    for (status, code, kind, advice) in [
        (
            400,
            "ResourceNotFoundException",
            K::NotFound,
            "put-secret-value",
        ),
        (
            400,
            "InvalidRequestException",
            K::NotFound,
            "about to be deleted",
        ),
        (
            400,
            "AccessDeniedException",
            K::Unauthorized,
            "secretsmanager:GetSecretValue",
        ),
        (
            400,
            "UnrecognizedClientException",
            K::Unauthorized,
            "credentials",
        ),
        (400, "DecryptionFailure", K::Unauthorized, "kms:Decrypt"),
        (400, "ThrottlingException", K::Throttled, "slow down"),
        (
            400,
            "ValidationException",
            K::InvalidInput,
            "names no secret",
        ),
        (
            500,
            "InternalServiceError",
            K::Unavailable,
            "InternalServiceError",
        ),
        (503, "ServiceUnavailable", K::Unavailable, "eu-central-1"),
    ] {
        vault.fail(status, code);
        let error = at(&server.uri(), Use::Signing, AN_HOUR).await.unwrap_err();
        let line = error.to_string();
        assert_eq!(error.kind(), kind, "{code}: {line}");
        assert!(
            line.starts_with(VARIABLE) && line.contains(advice),
            "{line}"
        );
        assert!(!format!("{line} {error:?}").contains(ID), "{error:?}");
    }
    let away = at("http://127.0.0.1:1", Use::Signing, AN_HOUR)
        .await
        .unwrap_err();
    assert_eq!(away.kind(), K::Unavailable);
    let line = away.to_string();
    assert!(
        line.contains("secrets.region") && line.contains("eu-central-1"),
        "{line}"
    );
    for (value, advice) in [
        ("short", "at least 32"),
        (" ", "is empty"),
        ("{\"a\":\"b\"}", "JSON"),
    ] {
        vault.put(value);
        let error = at(&server.uri(), Use::Signing, AN_HOUR).await.unwrap_err();
        assert_eq!(error.kind(), K::InvalidInput);
        assert!(error.to_string().contains(advice), "{error}");
    }
    vault.hold(json!({ "SecretBinary": "AAEC" }));
    let error = at(&server.uri(), Use::Header, AN_HOUR).await.unwrap_err();
    assert!(error.to_string().contains("binary"), "{error}");
}

#[tokio::test]
async fn a_file_is_read_again_when_it_is_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let put = |value: &str| {
        let beside = folder.path().join("new");
        std::fs::write(&beside, value).unwrap();
        std::fs::rename(&beside, &path).unwrap();
    };
    put("one\n");
    let source = Source::File(path.to_str().unwrap().into());
    let secret = Secret::open("AUTOOPS_T_FILE".to_owned(), Use::Header, source)
        .await
        .unwrap();
    assert_eq!(shown(&secret).await, "one");
    put("two\n");
    assert_eq!(shown(&secret).await, "two");
    for broken in ["", "two words"] {
        put(broken);
        assert_eq!(shown(&secret).await, "two");
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(shown(&secret).await, "two");
    put("six");
    assert_eq!(shown(&secret).await, "six");
    // What was held before still counts where it signed.
    assert!(secret.fits(|tried| tried.expose_secret() == "two").await);
}

#[tokio::test]
async fn nothing_shows_a_value() {
    let vault = Vault::default();
    vault.put("s3cret");
    let server = vault.serve().await;
    let secret = at(&server.uri(), Use::Header, AN_HOUR).await.unwrap();
    assert_eq!(format!("{secret:?}"), format!("Secret({VARIABLE:?})"));
    assert_eq!(format!("{:?}", Secret::from("s3cret")), "Secret(\"\")");
}
