//! What `/proc` says of a process.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Parts of a second in which Linux counts CPU time; the same on every machine.
const TICKS: f64 = 100.0;
const START: Duration = Duration::from_secs(10);

/// Finds the program that runs in a process group, beside its guard.
pub(crate) fn of_group(group: i32, program: &Path) -> u32 {
    let program = program.canonicalize().unwrap();
    let begin = Instant::now();
    loop {
        let pids = fs::read_dir("/proc").expect("/proc: this bench needs Linux");
        let pids = pids.flatten().filter_map(|entry| {
            let name = entry.file_name();
            name.to_str()?.parse::<u32>().ok()
        });
        let is_it = |pid: &u32| {
            let runs = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_else(|_| PathBuf::new());
            runs == program && fields(*pid).get(2) == Some(&group.to_string())
        };
        if let Some(pid) = pids.into_iter().find(is_it) {
            return pid;
        }
        assert!(
            begin.elapsed() < START,
            "{} did not start",
            program.display()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The fields of its `stat` from the state on, which is the third.
fn fields(pid: u32) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().map(str::to_owned).collect()
}

/// CPU seconds so far.
pub(crate) fn cpu(pid: u32) -> f64 {
    let fields = fields(pid);
    let ticks = |at: usize| fields[at - 3].parse::<f64>().unwrap();
    (ticks(14) + ticks(15)) / TICKS
}

/// Most memory it ever had, in MB.
pub(crate) fn peak_mb(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kb.unwrap().trim().parse::<f64>().unwrap() / 1024.0
}
