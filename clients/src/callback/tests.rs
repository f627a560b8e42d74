use secrecy::ExposeSecret;

use super::*;

const BODY: &str = r#"{"jobId":"first-plan/4100000000000000001/install-5034441-0","device":"4100000000000000001","mode":"install","kb":"5034441","outcome":"succeeded","finishedAt":"2024-11-12T10:00:00Z"}"#;
const SENT: &str = "1731405600";
// Made with `openssl dgst -sha256 -hmac`, once for the token and once for the signature.
const TOKEN: &str = "bd8bd0ad6b1b87fb42a446139e6e3e658146e58ef81cf16e6b1ce48e59e207c4";
const SIGNATURE: &str = "v1=748a80bde1b0df6ff35da3de8a73a561af8715d9e5db616601a1518b2d18557a";

fn master() -> SecretString {
    "master key".into()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_731_405_600 + seconds).unwrap()
}

async fn signed_report(body: &str) -> Result<Posted, CallbackError> {
    let claim: Claim = serde_json::from_str(body).unwrap();
    let token = device_token(&master(), &claim.job_id, &claim.device);
    verify(
        &master().into(),
        SENT,
        &sign(&token, SENT, body.as_bytes()),
        body.as_bytes(),
        at(0),
    )
    .await
}

#[test]
fn token_and_signature_are_those_another_tool_computes() {
    let job = "first-plan/4100000000000000001/install-5034441-0"
        .parse()
        .unwrap();
    let token = device_token(&master(), &job, &"4100000000000000001".parse().unwrap());
    assert_eq!(token.expose_secret(), TOKEN);
    assert_eq!(sign(&token, SENT, BODY.as_bytes()), SIGNATURE);
    assert!(!format!("{token:?}").contains(TOKEN));
}

#[tokio::test]
async fn only_a_fresh_report_signed_for_its_own_job_is_accepted() {
    use CallbackError as E;
    let other_job = BODY.replace("install-5034441-0", "install-5034441-1");
    let other_device = BODY.replace(
        r#""device":"4100000000000000001""#,
        r#""device":"4100000000000000002""#,
    );
    let huge = format!("{BODY}{}", " ".repeat(MAX_BODY_WITH_EVIDENCE_BYTES));
    let cut = &SIGNATURE[..SIGNATURE.len() - 2];
    let table = [
        ("as sent", SENT, SIGNATURE, BODY, 0, Ok(())),
        ("at the edge", SENT, SIGNATURE, BODY, 300, Ok(())),
        (
            "clock of the device ahead",
            SENT,
            SIGNATURE,
            BODY,
            -300,
            Ok(()),
        ),
        ("too late", SENT, SIGNATURE, BODY, 301, Err(E::Old)),
        ("from the future", SENT, SIGNATURE, BODY, -301, Err(E::Old)),
        ("no timestamp", "", SIGNATURE, BODY, 0, Err(E::Old)),
        (
            "absurd timestamp",
            "-9223372036854775808",
            SIGNATURE,
            BODY,
            0,
            Err(E::Old),
        ),
        (
            "another timestamp",
            "1731405601",
            SIGNATURE,
            BODY,
            0,
            Err(E::BadSignature),
        ),
        ("no signature", SENT, "", BODY, 0, Err(E::BadSignature)),
        (
            "without its version",
            SENT,
            &SIGNATURE[3..],
            BODY,
            0,
            Err(E::BadSignature),
        ),
        ("cut short", SENT, cut, BODY, 0, Err(E::BadSignature)),
        ("not hex", SENT, "v1=zz", BODY, 0, Err(E::BadSignature)),
        (
            "another job",
            SENT,
            SIGNATURE,
            &other_job,
            0,
            Err(E::BadSignature),
        ),
        (
            "another device",
            SENT,
            SIGNATURE,
            &other_device,
            0,
            Err(E::BadSignature),
        ),
        ("not JSON", SENT, SIGNATURE, "{", 0, Err(E::BadSignature)),
        ("too large", SENT, SIGNATURE, &huge, 0, Err(E::TooLarge)),
    ];
    for (case, timestamp, signature, body, seconds, expected) in table {
        let answer = verify(
            &master().into(),
            timestamp,
            signature,
            body.as_bytes(),
            at(seconds),
        )
        .await;
        assert_eq!(answer.map(|_| ()), expected, "{case}");
    }
    let stranger = verify(&"other".into(), SENT, SIGNATURE, BODY.as_bytes(), at(0)).await;
    assert_eq!(stranger, Err(E::BadSignature));
}

#[tokio::test]
async fn a_signed_body_that_is_no_report_names_what_is_wrong() {
    let error = signed_report(r#"{"jobId":"p/1/x","device":"1","mode":"format"}"#)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("format"), "{error}");
}

#[tokio::test]
async fn the_log_comes_back_short_and_harmless() {
    let log = format!("{}\\u001b[31mred\\u0000\\u202e\\ttab\\nä", "x".repeat(9000));
    let body = BODY.replace(r#""finishedAt""#, &format!(r#""log":"{log}","finishedAt""#));
    let report = signed_report(&body).await.unwrap().report;
    assert!(
        report.log.len() <= MAX_LOG_BYTES && report.log.ends_with("[31mred tab\nä"),
        "{}",
        report.log
    );
}

#[test]
fn a_character_is_never_cut_in_two() {
    assert_eq!(tail("äöü", 3), "ü");
    assert_eq!(tail("abc", 9), "abc");
}

const EVIDENCE_JOB: &str = "first-plan/4100000000000000001/evidence-all-0";

fn packed(bytes: &[u8]) -> String {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packer, bytes).unwrap();
    STANDARD.encode(packer.finish().unwrap())
}

fn document(line: &str) -> String {
    serde_json::json!({
        "format": 1, "jobId": EVIDENCE_JOB, "device": "4100000000000000001", "takenAt": "2024-11-12T10:00:00Z",
        "sections": [{ "name": "processes", "truncated": false, "lines": [line] }],
    })
    .to_string()
}

fn with_evidence(mode: &str, evidence: serde_json::Value) -> String {
    serde_json::json!({
        "jobId": EVIDENCE_JOB, "device": "4100000000000000001", "mode": mode, "kb": "5034441",
        "outcome": "succeeded", "finishedAt": "2024-11-12T10:00:00Z", "evidence": evidence,
    })
    .to_string()
}

#[tokio::test]
async fn evidence_comes_back_as_the_device_wrote_it() {
    let document = document("4 System\u{202e}");
    let body = with_evidence("evidence", packed(document.as_bytes()).into());
    let posted = signed_report(&body).await.unwrap();
    assert_eq!(posted.evidence.as_deref(), Some(document.as_bytes()));
    assert_eq!(posted.report.evidence, None);
    let none = with_evidence("evidence", serde_json::Value::Null);
    assert_eq!(signed_report(&none).await.unwrap().evidence, None);
}

#[tokio::test]
async fn evidence_that_is_too_large_as_sent_or_unpacked_is_refused() {
    let at_the_edge = "x".repeat(MAX_ENCODED_BYTES + 1);
    let bomb = packed(&vec![b' '; MAX_DOCUMENT_BYTES + 1]);
    assert!(bomb.len() < 64 * 1024);
    for evidence in [at_the_edge, bomb] {
        let error = signed_report(&with_evidence("evidence", evidence.into())).await;
        assert_eq!(error, Err(CallbackError::EvidenceTooLarge));
    }
    // The rest of a report has its own limit, with evidence and without.
    let large = BODY.replace(
        r#""finishedAt""#,
        &format!(r#""log":"{}","finishedAt""#, "x".repeat(MAX_BODY_BYTES)),
    );
    assert_eq!(signed_report(&large).await, Err(CallbackError::TooLarge));
}

#[tokio::test]
async fn what_is_no_evidence_is_not_taken_for_one() {
    let good = packed(document("x").as_bytes());
    let other = document("x").replace("evidence-all-0", "evidence-all-1");
    for (mode, evidence, said) in [
        ("install", good.clone().into(), "not of mode install"),
        (
            "evidence",
            serde_json::json!({ "key": "logs/x", "sha256": "0", "bytes": 1 }),
            "not a text",
        ),
        ("evidence", "%%".into(), "evidence"),
        ("evidence", STANDARD.encode("plain").into(), "evidence"),
        ("evidence", packed(b"{}").into(), "format"),
        ("evidence", packed(other.as_bytes()).into(), "jobId"),
    ] {
        let error = signed_report(&with_evidence(mode, evidence))
            .await
            .unwrap_err();
        assert!(error.to_string().contains(said), "{said}: {error}");
    }
}
