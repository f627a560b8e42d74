//! The worker processes, and what they cost; one may die and come back.

use autoops_tests::ground::Ground;
use dev_server::links::beside_us;

use crate::process;

/// A worker: the processes it has been, the last one alive.
#[derive(Debug)]
struct Slot {
    pids: Vec<u32>,
    /// CPU seconds and peak memory of those that are gone.
    gone_cpu: f64,
    gone_peaks: Vec<f64>,
}

#[derive(Debug)]
pub(crate) struct Crew(Vec<Slot>);

impl Crew {
    pub(crate) fn of(ground: &Ground) -> Self {
        let workers = [&ground.worker].into_iter().chain(&ground.other_workers);
        let slot = |worker: &dev_server::process::Guarded| Slot {
            pids: vec![pid_of(worker.group())],
            gone_cpu: 0.0,
            gone_peaks: Vec::new(),
        };
        Self(workers.map(slot).collect())
    }

    /// Kills the first worker and starts it again at once.
    pub(crate) async fn kill_one(&mut self, ground: &mut Ground) {
        let slot = &mut self.0[0];
        let pid = slot.alive();
        slot.gone_cpu += process::cpu(pid);
        slot.gone_peaks.push(process::peak_mb(pid));
        ground.kill_worker().await;
        ground.start_worker();
        slot.pids.push(pid_of(ground.worker.group()));
    }

    pub(crate) fn cpu(&self) -> f64 {
        let of_slot = |slot: &Slot| slot.gone_cpu + process::cpu(slot.alive());
        self.0.iter().map(of_slot).sum()
    }

    /// Peak memory of each process.
    pub(crate) fn peaks(&self) -> Vec<f64> {
        let of_slot = |slot: &Slot| {
            let mut peaks = slot.gone_peaks.clone();
            peaks.push(process::peak_mb(slot.alive()));
            peaks
        };
        self.0.iter().flat_map(of_slot).collect()
    }

    /// Percent of the tasks that each worker did. Who does them says so as `{pid}@{host}`.
    pub(crate) fn shares<'a>(
        &self,
        tasks: impl Iterator<Item = (&'a String, &'a u32)>,
    ) -> Vec<f64> {
        let mut done = vec![0_u32; self.0.len()];
        for (who, count) in tasks {
            let pid = who.split('@').next().and_then(|pid| pid.parse().ok());
            let slot = self
                .0
                .iter()
                .position(|slot| pid.is_some_and(|pid| slot.pids.contains(&pid)));
            done[slot.unwrap_or_else(|| panic!("`{who}` is no worker of ours: {self:?}"))] += count;
        }
        let all: u32 = done.iter().sum();
        done.iter()
            .map(|done| f64::from(*done) * 100.0 / f64::from(all.max(1)))
            .collect()
    }
}

impl Slot {
    fn alive(&self) -> u32 {
        *self.pids.last().unwrap()
    }
}

fn pid_of(group: i32) -> u32 {
    process::of_group(group, &beside_us("autoops-worker").unwrap())
}
