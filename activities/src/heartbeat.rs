//! Long work that says that it is alive.

use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio::sync::Notify;

use crate::failure::{Failed, bug_because};

/// Does work to its end; each notice of progress becomes a heartbeat. Work that is cancelled, because nobody
/// waits for it any more or the worker has to go, stops where it waits: what it did is as good as done by a
/// worker that died.
pub(crate) async fn during<T, E: Into<Failed>>(
    work: impl Future<Output = Result<T, E>>,
    progress: &Notify,
    ctx: &ActivityContext,
) -> Result<T, ActivityError> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done.map_err(|error| error.into().into()),
            () = ctx.cancelled() => return Err(ActivityError::cancelled()),
            () = progress.notified() => {
                let beaten = ctx.record_heartbeat(()).await;
                beaten.map_err(|error| bug_because("a heartbeat cannot be written", error))?;
            }
        }
    }
}
