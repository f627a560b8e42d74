//! The bench of campaigns apart from its runs: what it found, and what must hold.

use serde::Serialize;

use super::{MOST_EVENTS, MOST_MB};

/// What a step of a campaign came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Its name.
    pub name: &'static str,
    /// From its first activity to the end of its last one.
    pub seconds: f64,
    /// Activities of its kind.
    pub activities: u32,
    /// CPU seconds of all workers meanwhile, as far as looks have seen the step.
    pub worker_cpu: Option<f64>,
    /// Most memory that a worker had taken until the last look at the step.
    pub peak_mb: Option<f64>,
}

/// What one campaign came to. CPU seconds are from its start to its end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CampaignRun {
    /// Size of the fleet.
    pub devices: u32,
    /// From its start to its end.
    pub seconds: f64,
    /// CPU seconds of all workers.
    pub worker_cpu: f64,
    /// CPU seconds of the Temporal server.
    pub server_cpu: f64,
    /// CPU seconds of simulators and bench.
    pub bench_cpu: f64,
    /// Peak resident memory of each worker process.
    pub peak_mb: Vec<f64>,
    /// Events of each run of the campaign, as they followed.
    pub events: Vec<i64>,
    /// Pairs of device and update in its plans, and left out.
    pub pairs: (u64, u64),
    /// Plans that were drafted, and started.
    pub plans: (u32, u32),
    /// Steps as they follow.
    pub steps: Vec<Step>,
}

/// Says what does not hold; nothing when all is well.
#[must_use]
pub fn broken(runs: &[CampaignRun]) -> Vec<String> {
    let mut broken = Vec::new();
    for run in runs {
        let devices = run.devices;
        for events in run.events.iter().filter(|events| **events > MOST_EVENTS) {
            broken.push(format!(
                "{devices} devices: a run has {events} events, more than {MOST_EVENTS}"
            ));
        }
        for peak in run.peak_mb.iter().filter(|peak| **peak >= MOST_MB) {
            broken.push(format!(
                "{devices} devices: a worker took {peak:.0} MB, not under {MOST_MB}"
            ));
        }
    }
    broken
}

/// The tables of all runs: each as a whole, then by step.
#[must_use]
pub fn table(runs: &[CampaignRun]) -> String {
    let mut table = String::from(
        "| Devices | Seconds | Runs | Events of a run, at most | of all | CPU seconds: workers | Temporal | Peak MB of the workers | Plans | started | Pairs | left out |\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for run in runs {
        let peaks: Vec<_> = run.peak_mb.iter().map(|mb| format!("{mb:.0}")).collect();
        table += &format!(
            "| {} | {:.0} | {} | {} | {} | {:.0} | {:.0} | {} | {} | {} | {} | {} |\n",
            run.devices,
            run.seconds,
            run.events.len(),
            run.events.iter().max().unwrap_or(&0),
            run.events.iter().sum::<i64>(),
            run.worker_cpu,
            run.server_cpu,
            peaks.join(", "),
            run.plans.0,
            run.plans.1,
            run.pairs.0,
            run.pairs.1,
        );
    }
    table += "\n| Devices | Step | Seconds | Activities | CPU seconds of the workers | Peak MB until then |\n| ---: | --- | ---: | ---: | ---: | ---: |\n";
    for run in runs {
        for step in &run.steps {
            // A step may be over between two looks.
            let seen = |value: Option<f64>| value.map_or("–".to_owned(), |v| format!("{v:.0}"));
            table += &format!(
                "| {} | {} | {:.1} | {} | {} | {} |\n",
                run.devices,
                step.name,
                step.seconds,
                step.activities,
                seen(step.worker_cpu),
                seen(step.peak_mb),
            );
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(events: Vec<i64>, peak_mb: Vec<f64>) -> CampaignRun {
        CampaignRun {
            devices: 10_000,
            seconds: 300.0,
            worker_cpu: 60.0,
            server_cpu: 200.0,
            bench_cpu: 30.0,
            peak_mb,
            events,
            pairs: (9000, 1000),
            plans: (50, 1),
            steps: vec![Step {
                name: "drafting",
                seconds: 1.25,
                activities: 1,
                worker_cpu: Some(2.0),
                peak_mb: None,
            }],
        }
    }

    #[test]
    fn each_limit_that_is_passed_is_named() {
        let fine = run(vec![4100, 300], vec![90.0, 299.9]);
        assert_eq!(broken(std::slice::from_ref(&fine)), Vec::<String>::new());
        let bad = run(vec![10_001, 300], vec![300.0, 80.0]);
        assert_eq!(
            broken(&[fine, bad]),
            [
                "10000 devices: a run has 10001 events, more than 10000",
                "10000 devices: a worker took 300 MB, not under 300",
            ]
        );
    }

    #[test]
    fn the_tables_have_a_line_for_each_run_and_each_step() {
        let table = table(&[run(vec![4100, 300], vec![90.0, 80.0])]);
        let first = "| 10000 | 300 | 2 | 4100 | 4400 | 60 | 200 | 90, 80 | 50 | 1 | 9000 | 1000 |";
        assert!(table.contains(first), "{table}");
        assert!(
            table.contains("| 10000 | drafting | 1.2 | 1 | 2 | – |"),
            "{table}"
        );
    }
}
