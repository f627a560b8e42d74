//! How the script on a device posts its report.

use std::time::Duration;

use domain::script::{SIGNATURE_HEADER, ScriptReport, TIMESTAMP_HEADER};
use futures::future::BoxFuture;
use hmac::{Hmac, KeyInit, Mac};
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

/// Sends a signed report; true when the receiver took it.
pub(super) trait Poster: Send + Sync {
    fn post(&self, request: Signed) -> BoxFuture<'_, bool>;
}

/// Over HTTP.
#[derive(Debug)]
pub(super) struct HttpPoster(pub(super) reqwest::Client);

impl Poster for HttpPoster {
    fn post(&self, request: Signed) -> BoxFuture<'_, bool> {
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
                Ok(answer) if answer.status().is_success() => true,
                Ok(answer) => {
                    tracing::debug!(status = answer.status().as_u16(), "a callback was refused");
                    false
                }
                Err(error) => {
                    tracing::debug!(error = %error.without_url(), "a callback did not arrive");
                    false
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
    let Ok(body) = serde_json::to_string(report) else {
        return;
    };
    let mine = LateReport {
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
        if world.poster.post(request.clone()).await {
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
