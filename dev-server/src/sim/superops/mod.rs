//! A simulated `SuperOps` tenant on the real wire: `POST /msp` with the service's GraphQL schema and
//! its documented traps, devices that play our script, and handles to make trouble.
//!
//! What is true on a device and what the RMM knows of it are two things: the patch list follows
//! only with the next patch scan, as in life.

mod admin;
mod alerts;
mod arguments;
mod callback;
pub(in crate::sim) mod catalog;
mod clock;
mod device;
mod evidence;
mod faults;
mod fleet;
mod lists;
mod programs;
mod rows;
mod runner;
mod scenarios;
mod schema;
mod types;
mod wire;
mod world;

#[cfg(test)]
mod tests;

use std::{fmt, path::PathBuf, sync::Arc};

use domain::input::InvalidInput;

pub use admin::DeviceChange;
pub use alerts::{AlertCause, AlertState, Burst};
pub use device::{Activity, Actual, DeviceState, PatchEntry};
pub use faults::{
    AmbiguousWrites, Breaks, DeviceFault, DropCallbacks, FailNext, FailWith, Faults, KbFault,
};
pub use fleet::{
    ClientSpec, DeviceKind, DeviceSpec, FleetSpec, PatchSpec, ProgramSpec, SiteSpec, Timing,
};
pub use world::{LogEntry, SCRIPT_ID};

use super::{RunningSim, serve};
use callback::HttpPoster;
use clock::Clock;
use world::World;

/// How to start a simulated tenant.
pub struct SuperOpsSimOptions {
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// API token it accepts.
    pub token: String,
    /// Sub-domain it accepts.
    pub subdomain: String,
    /// Its rate limit; none if left out.
    pub requests_per_minute: Option<u32>,
    /// Simulated seconds per real second: shortens script runs, restarts and scan intervals. The
    /// devices' clocks show real time.
    pub speed: f64,
    /// What it simulates.
    pub fleet: FleetSpec,
    /// Where the state of the devices survives a restart.
    pub state_file: Option<PathBuf>,
}

impl fmt::Debug for SuperOpsSimOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SuperOpsSimOptions")
            .field("port", &self.port)
            .field("subdomain", &self.subdomain)
            .field("speed", &self.speed)
            .field("state_file", &self.state_file)
            .finish_non_exhaustive()
    }
}

/// A simulated tenant that is listening.
#[derive(Debug)]
pub struct SuperOpsSim {
    /// The server.
    pub sim: RunningSim,
    handle: SuperOpsHandle,
}

/// Handles into a running simulator, for tests in the same process. Cheap to copy.
#[derive(Debug, Clone)]
pub struct SuperOpsHandle {
    world: Arc<World>,
}

/// Starts the simulator, and goes on from its state file if there is one.
///
/// # Errors
/// When the fleet is impossible, the state file unreadable, or no port can be opened.
pub async fn start(options: SuperOpsSimOptions) -> anyhow::Result<SuperOpsSim> {
    let poster = Arc::new(HttpPoster(reqwest::Client::builder().build()?));
    let world = World::new(
        options.fleet,
        options.speed,
        Clock::System,
        poster,
        options.state_file,
    )?;
    let endpoint = wire::Endpoint {
        world: Arc::clone(&world),
        schema: schema::build(Arc::clone(&world)),
        token: options.token,
        subdomain: options.subdomain,
        requests_per_minute: options.requests_per_minute,
    };
    let sim = serve(
        wire::router(endpoint).merge(admin::router(Arc::clone(&world))),
        options.port,
    )
    .await?;
    runner::start(&world);
    Ok(SuperOpsSim {
        sim,
        handle: SuperOpsHandle { world },
    })
}

impl SuperOpsSim {
    /// Address for the client: ends in `/msp`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/msp", self.sim.url)
    }

    /// Base address of `/faults`, `/devices` and `/log`.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.sim.url.clone()
    }

    /// Handles for tests.
    #[must_use]
    pub fn handle(&self) -> SuperOpsHandle {
        self.handle.clone()
    }

    /// Stops listening and every device, and saves the state. Open runs go on at the next start.
    pub async fn stop(self) {
        self.handle.world.stop.cancel();
        self.sim.stop().await;
        self.handle.world.tasks.wait().await;
        self.handle.world.save().await;
    }
}

impl SuperOpsHandle {
    /// The simulator's own log, oldest first.
    #[must_use]
    pub fn log(&self) -> Vec<LogEntry> {
        self.world.lock().state.log.iter().cloned().collect()
    }

    /// Keeps so many lines of the log from now on, for fleets that fill it.
    pub fn keep_log(&self, lines: usize) {
        self.world.lock().log_lines = Some(lines);
    }

    /// A device as it truly is.
    #[must_use]
    pub fn device(&self, id: &str) -> Option<DeviceState> {
        self.world.lock().state.devices.get(id).cloned()
    }

    /// All alerts, oldest first.
    #[must_use]
    pub fn alerts(&self) -> Vec<AlertState> {
        self.world.lock().state.alerts.clone()
    }

    /// Raises many alerts as `POST /alerts` does; returns how many.
    ///
    /// # Errors
    /// Names what is not allowed.
    pub fn burst(&self, burst: &Burst) -> Result<u32, InvalidInput> {
        self.world.burst(burst)
    }

    /// Changes a device as `POST /devices/{id}` does; nothing when it is unknown.
    pub fn change_device(&self, id: &str, change: DeviceChange) -> Option<DeviceState> {
        self.world.change_device(id, change)
    }

    /// Sets faults as `POST /faults` does: named parts are replaced, others stay.
    ///
    /// # Errors
    /// When a field is unknown or of the wrong shape.
    pub fn set_faults(&self, change: &serde_json::Value) -> Result<Faults, InvalidInput> {
        self.world.set_faults(change)
    }

    /// Waits until a line of the log fits; false when the simulator stops first.
    pub async fn wait_for_log(&self, fits: impl Fn(&LogEntry) -> bool) -> bool {
        self.world
            .wait_until(|inner| inner.state.log.iter().any(&fits))
            .await
    }
}
