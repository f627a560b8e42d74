//! Long work that says that it is alive.

use temporalio_sdk::activities::ActivityContext;
use tokio::sync::Notify;

use crate::failure::{Failed, Outcome, bug_because};

/// Does work to its end; each notice of progress becomes a heartbeat.
pub(crate) async fn during<T, E: Into<Failed>>(
    work: impl Future<Output = Result<T, E>>,
    progress: &Notify,
    ctx: &ActivityContext,
) -> Outcome<T> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done.map_err(Into::into),
            () = progress.notified() => {
                let beaten = ctx.record_heartbeat(()).await;
                beaten.map_err(|error| bug_because("a heartbeat cannot be written", error))?;
            }
        }
    }
}
