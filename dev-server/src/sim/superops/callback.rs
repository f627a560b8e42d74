//! How the script on a device posts its report.

use std::time::Duration;

use domain::script::{SIGNATURE_HEADER, ScriptReport, TIMESTAMP_HEADER};
use futures::future::BoxFuture;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::StatusCode;
use sha2::Sha256;

use super::{
    arguments::ScriptArgs,
    world::{LateReport, LogEntry, World},
};

/// Pauses between attempts: real time, as the receiver lives in it.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// One signed POST.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    pub(super) url: String,
    pub(super) timestamp: String,
    pub(super) signature: String,
    pub(super) body: String,
}

/// What the receiver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It took the report.
    Taken,
    /// It is too large, and would be the next time.
    TooLarge,
    /// Not taken, or not arrived.
    NotTaken,
}

/// Sends a signed report.
pub(super) trait Poster: Send + Sync {
    fn post(&self, request: Signed) -> BoxFuture<'_, Answer>;
}

/// Over HTTP.
#[derive(Debug)]
pub(super) struct HttpPoster(pub(super) reqwest::Client);

impl Poster for HttpPoster {
    fn post(&self, request: Signed) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let sent = self
                .0
                .post(&request.url)
                .header("content-type", "application/json")
                .header(TIMESTAMP_HEADER, request.timestamp)
                .header(SIGNATURE_HEADER, request.signature)
                .timeout(Duration::from_secs(10))
                .body(request.body)
                .send()
                .await;
            match sent {
                Ok(answer) if answer.status().is_success() => Answer::Taken,
                Ok(answer) if answer.status() == StatusCode::PAYLOAD_TOO_LARGE => Answer::TooLarge,
                Ok(answer) => {
                    tracing::debug!(status = answer.status().as_u16(), "a callback was refused");
                    Answer::NotTaken
                }
                Err(error) => {
                    tracing::debug!(error = %error.without_url(), "a callback did not arrive");
                    Answer::NotTaken
                }
            }
        })
    }
}

/// `v1=hex(HMAC-SHA256(token, timestamp + "." + body))`
pub(super) fn sign(token: &str, timestamp: &str, body: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(token.as_bytes()) else {
        return String::new();
    };
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    format!("v1={}", hex::encode(mac.finalize().into_bytes()))
}

fn signed(world: &World, report: &LateReport) -> Signed {
    let timestamp = world.now().as_second().to_string();
    Signed {
        url: report.url.clone(),
        signature: sign(&report.token, &timestamp, &report.body),
        timestamp,
        body: report.body.clone(),
    }
}

/// The report, with the evidence of its job in it.
fn body_of(world: &World, report: &ScriptReport) -> Option<String> {
    let mut body = serde_json::to_value(report).ok()?;
    let device = report.device.as_str();
    let evidence = {
        let inner = world.lock();
        let state = inner.state.devices.get(device);
        state.and_then(|state| state.evidence.get(&report.job_id).cloned())
    };
    if let Some(evidence) = evidence {
        body["evidence"] = evidence.into();
    }
    serde_json::to_string(&body).ok()
}

/// Tries five times and gives up. `last_breath` is the first attempt of a device that goes down for
/// a restart: the RMM shows it offline, its network still works.
pub(super) async fn report(
    world: &World,
    args: &ScriptArgs,
    report: &ScriptReport,
    last_breath: bool,
) {
    if args.callback_url.is_empty() {
        return;
    }
    let device = args.device.as_str();
    let Some(body) = body_of(world, report) else {
        return;
    };
    let mut mine = LateReport {
        url: args.callback_url.clone(),
        token: args.token.clone(),
        body,
    };
    let (dropped, late, twice, before) = world.change(|inner| {
        let before = inner.late.remove(device).unwrap_or_default();
        let dropped = inner.faults.take_dropped_callback(device);
        let late = !dropped && before.is_empty() && inner.faults.take_late_callback();
        if late {
            inner
                .late
                .entry(device.to_owned())
                .or_default()
                .push(mine.clone());
        }
        let twice = !late && inner.faults.take_duplicate_callback();
        (dropped, late, twice, before)
    });
    let mut sent = false;
    for attempt in 0..=PAUSES.len() {
        if attempt > 0 {
            let pause = PAUSES.get(attempt - 1).copied().unwrap_or_default();
            tokio::select! {
                () = world.stop.cancelled() => return,
                () = world.clock.sleep(pause) => {}
            }
        }
        let connected = (attempt == 0 && last_breath) || world.lock().is_online(device);
        if dropped || late || !connected {
            continue;
        }
        let request = signed(world, &mine);
        let answer = world.poster.post(request.clone()).await;
        if answer == Answer::TooLarge {
            // Once: without evidence it is small.
            let smaller = world.change(|inner| {
                let state = inner.state.devices.get_mut(device)?;
                state.evidence_was_too_large(&args.job_id)
            });
            if let Some(body) = smaller.and_then(|report| body_of(world, &report)) {
                mine.body = body;
            }
        }
        if answer == Answer::Taken {
            sent = true;
            if twice {
                let _second = world.poster.post(request).await;
            }
            for earlier in &before {
                let _late = world.poster.post(signed(world, earlier)).await;
            }
            break;
        }
    }
    let action = match (sent, dropped, late) {
        (true, ..) => "callback_sent",
        (false, true, _) => "callback_dropped",
        (false, false, true) => "callback_held_back",
        (false, false, false) => "callback_gave_up",
    };
    world.change(|inner| {
        inner.log(LogEntry {
            at: world.now(),
            device: device.to_owned(),
            action: action.to_owned(),
            job_id: Some(args.job_id.clone()),
            kb: None,
            detail: Some(report.mode.to_string()),
        });
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_signature_is_the_one_of_the_contract() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac key
        assert_eq!(
            super::sign("key", "1700000000", "{}"),
            "v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae"
        );
    }
}
