//! The real Temporal server on this machine: where its binary comes from, and a running one.

mod fetch;
mod find;
mod server;

pub use find::{FindError, FindOptions, Source, TemporalCli, find, version_of};
pub(crate) use server::free_or;
pub use server::{DevTemporal, DevTemporalOptions};

/// Finds a Temporal server with the settings of this process, telling `say` what takes time.
///
/// # Errors
/// With the choices a person has, when there is none.
pub async fn find_here(say: &(dyn Fn(&str) + Sync)) -> Result<TemporalCli, FindError> {
    find(&FindOptions::from_env(), say).await
}
