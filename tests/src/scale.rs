//! The scale bench apart from its runs: what it is asked for, what it found, and what must hold.

pub mod campaign;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;

/// What is measured.
pub const OF: &str = "AUTOOPS_BENCH_OF";
/// Sizes of the fleets, one run each.
pub const DEVICES: &str = "AUTOOPS_BENCH_DEVICES";
/// Worker processes.
pub const WORKERS: &str = "AUTOOPS_BENCH_WORKERS";
/// Where the figures are written as JSON.
pub const JSON: &str = "AUTOOPS_BENCH_JSON";
/// Simulated seconds per real one.
pub const SPEED: &str = "AUTOOPS_BENCH_SPEED";

/// The server warns here, and ends a run at five times as many.
const MOST_EVENTS: i64 = 10_000;
const MOST_MB: f64 = 300.0;
/// Least share of the workflow tasks that a worker must have done; an even share is one by their
/// number.
const LEAST_SHARE_PERCENT: f64 = 10.0;
/// How much more a device may cost in a larger fleet than in a smaller one.
const MOST_GROWTH_PERCENT: f64 = 20.0;
/// A figure of a run.
type Figure = fn(&Run) -> f64;

/// What may grow so: what a person waits for, and what we ask of workers and of Temporal. What an
/// event costs the server is shown, but it is the matter of that server: this one keeps all histories
/// in one SQLite in memory.
const GROWTHS: [(&str, Figure); 3] = [
    ("time", Run::wall_per_device),
    ("CPU of the workers", Run::worker_cpu_per_device),
    ("events", Run::events_per_device),
];

/// What the bench measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// One deployment over each fleet.
    Deployment,
    /// One campaign over each fleet.
    Campaign,
}

impl Of {
    /// Its name in files and sections.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deployment => "scale",
            Self::Campaign => "campaign",
        }
    }

    fn command(self) -> &'static str {
        match self {
            Self::Deployment => "make bench",
            Self::Campaign => "make bench-campaign",
        }
    }
}

/// What the bench is asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inputs {
    /// What it measures.
    pub of: Of,
    /// Sizes, ascending.
    pub devices: Vec<u32>,
    /// Worker processes.
    pub workers: usize,
    /// Simulated seconds per real one.
    pub speed: f64,
    /// Where the figures go.
    #[serde(skip)]
    pub json: PathBuf,
}

impl Inputs {
    /// Reads them from variables; figures go to a file of `folder` unless one says where.
    ///
    /// # Errors
    /// Names the variable, its value and what is allowed.
    pub fn read(variable: impl Fn(&str) -> Option<String>, folder: &Path) -> Result<Self, String> {
        let text = |name: &str, usual: &str| {
            let given = variable(name).filter(|text| !text.is_empty());
            given.unwrap_or_else(|| usual.to_owned())
        };
        let (of, usual) = match text(OF, "deployment").as_str() {
            "deployment" => (Of::Deployment, "100,1000,10000"),
            "campaign" => (Of::Campaign, "10000"),
            other => {
                let allowed = "deployment or campaign";
                return Err(format!("{OF}: `{other}` is not allowed: {allowed}"));
            }
        };
        let sizes = text(DEVICES, usual);
        let size = |text: &str| within(DEVICES, text, 5, 20_000);
        let mut devices = sizes.split(',').map(size).collect::<Result<Vec<_>, _>>()?;
        devices.sort_unstable();
        devices.dedup();
        let workers = within(WORKERS, &text(WORKERS, "2"), 1, 8)? as usize;
        let speed = f64::from(within(SPEED, &text(SPEED, "1000"), 1, 10_000)?);
        // A bench runs in the folder of its package; people mean that of the repository.
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let given = variable(JSON).filter(|text| !text.is_empty());
        let usual = || folder.join(format!("{}.json", of.name()));
        let json = given.map_or_else(usual, |path| root.join(path));
        Ok(Self {
            of,
            devices,
            workers,
            speed,
            json,
        })
    }

    /// The command line that asks for the same.
    #[must_use]
    pub fn command(&self) -> String {
        let sizes: Vec<_> = self.devices.iter().map(u32::to_string).collect();
        format!(
            "{DEVICES}={} {WORKERS}={} {SPEED}={} {}",
            sizes.join(","),
            self.workers,
            self.speed,
            self.of.command()
        )
    }
}

fn within(name: &str, text: &str, least: u32, most: u32) -> Result<u32, String> {
    let number = text.trim().parse().ok();
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| {
            format!("{name}: `{text}` is not allowed: whole numbers from {least} to {most}")
        })
}

/// Means per device, of a sample of device runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct PerDevice {
    /// Events of its history.
    pub events: f64,
    /// Workflow tasks.
    pub workflow_tasks: f64,
    /// Activities.
    pub activities: f64,
}

/// What one run came to. CPU seconds are from approval to the end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// Size of the fleet.
    pub devices: u32,
    /// From approval to the end.
    pub seconds: f64,
    /// CPU seconds of all workers.
    pub worker_cpu: f64,
    /// CPU seconds of the Temporal server.
    pub server_cpu: f64,
    /// CPU seconds of simulators and bench.
    pub bench_cpu: f64,
    /// Peak resident memory of each worker process.
    pub peak_mb: Vec<f64>,
    /// Longest history of a run of the deployment.
    pub longest_deployment: i64,
    /// Runs of the deployment, first one included.
    pub deployment_runs: usize,
    /// Events of all of them.
    pub deployment_events: i64,
    /// Longest history of a device run.
    pub longest_device: i64,
    /// Share of the workflow tasks that each worker did, its second life included.
    pub share_percent: Vec<f64>,
    /// Whether a worker was killed halfway.
    pub killed: bool,
    /// Script starts that were sent again because the answer was lost.
    pub starts_again: usize,
    /// What a device costs.
    pub per_device: PerDevice,
}

impl Run {
    /// CPU seconds of the workers for one device.
    #[must_use]
    pub fn worker_cpu_per_device(&self) -> f64 {
        self.worker_cpu / f64::from(self.devices)
    }

    /// Events of histories for one device: of its own, and its part of the deployment's.
    #[must_use]
    pub fn events_per_device(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "histories are far shorter")]
        let of_deployment = self.deployment_events as f64;
        self.per_device.events + of_deployment / f64::from(self.devices)
    }

    /// Real seconds for one device.
    #[must_use]
    pub fn wall_per_device(&self) -> f64 {
        self.seconds / f64::from(self.devices)
    }
}

/// Says what does not hold; nothing when all is well. That devices are verified once is checked
/// where they are.
#[must_use]
pub fn broken(runs: &[Run]) -> Vec<String> {
    let mut broken = Vec::new();
    for run in runs {
        let mut must = |holds: bool, what: &dyn fmt::Display| {
            if !holds {
                broken.push(format!("{} devices: {what}", run.devices));
            }
        };
        let longest = run.longest_deployment.max(run.longest_device);
        must(
            longest <= MOST_EVENTS,
            &format_args!("a history has {longest} events, more than {MOST_EVENTS}"),
        );
        for peak in &run.peak_mb {
            must(
                *peak < MOST_MB,
                &format_args!("a worker took {peak:.0} MB, not under {MOST_MB}"),
            );
        }
        for share in &run.share_percent {
            must(
                *share >= LEAST_SHARE_PERCENT,
                &format_args!(
                    "a worker did {share:.0} % of the workflow tasks, less than {LEAST_SHARE_PERCENT}"
                ),
            );
        }
        let smaller = runs.iter().filter(|other| other.devices < run.devices);
        for other in smaller {
            for (what, of) in GROWTHS {
                let growth = (of(run) / of(other) - 1.0) * 100.0;
                must(
                    growth <= MOST_GROWTH_PERCENT,
                    &format_args!(
                        "a device takes {growth:.0} % more {what} than with {} devices, more than {MOST_GROWTH_PERCENT}",
                        other.devices
                    ),
                );
            }
        }
    }
    broken
}

/// The table of all runs.
#[must_use]
pub fn table(runs: &[Run]) -> String {
    let mut table = String::from(
        "| Devices | Seconds | Devices a second | Wall ms a device | Events a device | CPU ms a device: workers | Temporal | Temporal an event | Peak MB of the workers | Longest history: deployment | device | Runs of the deployment | Workflow tasks by worker | A worker killed |\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n",
    );
    for run in runs {
        let n = f64::from(run.devices);
        let joined = |values: &[f64], unit: &str| {
            let texts: Vec<_> = values.iter().map(|v| format!("{v:.0}{unit}")).collect();
            texts.join(", ")
        };
        table += &format!(
            "| {} | {:.0} | {:.2} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} | {} | {} | {} | {} | {} | {} |\n",
            run.devices,
            run.seconds,
            n / run.seconds,
            run.wall_per_device() * 1000.0,
            run.events_per_device(),
            run.worker_cpu_per_device() * 1000.0,
            run.server_cpu / n * 1000.0,
            run.server_cpu / n * 1000.0 / run.events_per_device(),
            joined(&run.peak_mb, ""),
            run.longest_deployment,
            run.longest_device,
            run.deployment_runs,
            joined(&run.share_percent, " %"),
            if run.killed { "halfway" } else { "" },
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(name: &str, value: &str) -> Result<Inputs, String> {
        let variable = |asked: &str| (asked == name).then(|| value.to_owned());
        Inputs::read(variable, Path::new("usual"))
    }

    #[test]
    fn without_variables_three_sizes_run_under_two_workers() {
        let inputs = given("", "").unwrap();
        assert_eq!(inputs.devices, [100, 1000, 10_000]);
        assert_eq!((inputs.workers, inputs.speed), (2, 1000.0));
        assert_eq!(inputs.json, PathBuf::from("usual/scale.json"));
        let elsewhere = given(JSON, "/elsewhere.json").unwrap();
        assert_eq!(elsewhere.json, PathBuf::from("/elsewhere.json"));
        assert_eq!(
            inputs.command(),
            "AUTOOPS_BENCH_DEVICES=100,1000,10000 AUTOOPS_BENCH_WORKERS=2 AUTOOPS_BENCH_SPEED=1000 make bench"
        );
    }

    #[test]
    fn a_campaign_is_measured_over_the_largest_fleet() {
        let inputs = given(OF, "campaign").unwrap();
        assert_eq!(
            (inputs.of, inputs.devices.as_slice()),
            (Of::Campaign, [10_000].as_slice())
        );
        assert_eq!(inputs.json, PathBuf::from("usual/campaign.json"));
        assert!(inputs.command().ends_with(" make bench-campaign"));
        let error = given(OF, "alerts").unwrap_err();
        assert_eq!(
            error,
            "AUTOOPS_BENCH_OF: `alerts` is not allowed: deployment or campaign"
        );
    }

    #[test]
    fn sizes_are_sorted_and_each_runs_once() {
        let inputs = given(DEVICES, "1000, 100,100").unwrap();
        assert_eq!(inputs.devices, [100, 1000]);
    }

    #[test]
    fn a_bad_value_is_named_with_what_is_allowed() {
        for (name, value) in [
            (DEVICES, "100,many"),
            (DEVICES, "4"),
            (WORKERS, "0"),
            (SPEED, "fast"),
        ] {
            let error = given(name, value).unwrap_err();
            let bad = value.rsplit(',').next().unwrap();
            assert!(
                error.starts_with(&format!(
                    "{name}: `{bad}` is not allowed: whole numbers from "
                )),
                "{error}"
            );
        }
    }

    fn run(devices: u32) -> Run {
        Run {
            devices,
            seconds: f64::from(devices) * 0.1,
            worker_cpu: f64::from(devices) * 0.1,
            server_cpu: f64::from(devices) * 0.1,
            bench_cpu: 1.0,
            peak_mb: vec![90.0, 80.0],
            longest_deployment: 4000,
            deployment_runs: 1,
            deployment_events: i64::from(devices) * 10,
            longest_device: 200,
            share_percent: vec![60.0, 40.0],
            killed: false,
            starts_again: 0,
            per_device: PerDevice {
                events: 150.0,
                ..PerDevice::default()
            },
        }
    }

    #[test]
    fn a_fleet_that_costs_the_same_per_device_passes() {
        assert_eq!(broken(&[run(100), run(1000)]), Vec::<String>::new());
    }

    #[test]
    fn each_limit_that_is_passed_is_named() {
        let bad = Run {
            seconds: 130.0,
            worker_cpu: 150.0,
            deployment_events: 100_000,
            server_cpu: 1000.0,
            peak_mb: vec![301.0],
            longest_device: 10_001,
            share_percent: vec![99.0, 1.0],
            ..run(1000)
        };
        let broken = broken(&[run(100), bad]);
        assert_eq!(
            broken,
            [
                "1000 devices: a history has 10001 events, more than 10000",
                "1000 devices: a worker took 301 MB, not under 300",
                "1000 devices: a worker did 1 % of the workflow tasks, less than 10",
                "1000 devices: a device takes 30 % more time than with 100 devices, more than 20",
                "1000 devices: a device takes 50 % more CPU of the workers than with 100 devices, more than 20",
                "1000 devices: a device takes 56 % more events than with 100 devices, more than 20",
            ]
        );
    }
}
