//! What a gate is worth: deployments are simulated under the gate of the product, asked after each
//! report, and under one that judges a ring by its success rate when the ring is finished.
//!
//! The table of docs/rings.md comes from here: `AUTOOPS_WRITE_DOCS=1` writes it.

use std::{fmt, fs, path::Path, sync::LazyLock};

use autoops_domain::{
    device::{Basis, Criticality, Device, Exposure, Known, Platform},
    plan::{GateSpec, RingSpec},
    rings::{GateState, RingCounts, assign, gate},
};
use jiff::Timestamp;

const SEED: u64 = 20_260_101;
const RUNS: u32 = 1000;
/// Percent of devices that fail under a good update, and under a bad one.
const GOOD: [u32; 2] = [1, 2];
const BAD: [u32; 4] = [10, 20, 33, 60];
/// From here on an update must be stopped in every run.
const CLEARLY_BAD: u32 = 20;
/// More do not fit into one night's window.
const PER_DAY: usize = 200;
/// A good update may be stopped in so many more percent of runs than under the fixed rate.
const BOUND_PERCENT: u32 = 5;

/// A way to roll out; rings as percent of the fleet and percent that must succeed.
struct Plan {
    name: &'static str,
    rings: &'static [(u8, u8)],
    in_flight: usize,
    fleets: &'static [u32],
}

const FIVE: Plan = Plan {
    name: "five rings",
    rings: &[(1, 95), (5, 95), (15, 95), (30, 95), (49, 95)],
    in_flight: 50,
    fleets: &[100, 500, 2000],
};
const ONE: Plan = Plan {
    name: "one ring",
    rings: &[(100, 95)],
    in_flight: 50,
    fleets: &[500],
};
const FEW_AT_ONCE: Plan = Plan {
    name: "five rings, 10 in flight",
    in_flight: 10,
    fleets: &[2000],
    ..FIVE
};
const LENIENT: Plan = Plan {
    name: "five rings, the first three at 80 %",
    rings: &[(1, 80), (5, 80), (15, 80), (30, 95), (49, 95)],
    fleets: &[100],
    ..FIVE
};
const PLANS: [Plan; 4] = [FIVE, ONE, FEW_AT_ONCE, LENIENT];

/// splitmix64: the same numbers on every machine.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// The reports of a ring in the order they come in, true for a failure.
    fn reports(&mut self, devices: usize, percent: u32) -> Vec<bool> {
        (0..devices)
            .map(|_| (self.next() >> 32) * 100 < u64::from(percent) << 32)
            .collect()
    }
}

#[derive(Clone, Copy)]
enum Judge {
    /// The gate of the product, after each report.
    Sequential,
    /// The success rate, when the ring is finished.
    FixedRate,
}

impl Judge {
    /// Returns the report after which the ring is stopped.
    fn stops_at(self, success_percent: u8, reports: &[bool]) -> Option<usize> {
        let size = number(reports.len());
        match self {
            Self::Sequential => {
                let spec = GateSpec {
                    success_percent,
                    ..GateSpec::default()
                };
                let mut counts = RingCounts::default();
                (1..=reports.len()).find(|attempted| {
                    counts.attempted += 1;
                    counts.failed += u32::from(reports[attempted - 1]);
                    let finished = *attempted == reports.len();
                    match gate(&spec, size, &counts, finished) {
                        GateState::Open => false,
                        GateState::Failed { .. } => true,
                        GateState::Undecided => finished,
                    }
                })
            }
            Self::FixedRate => {
                let succeeded = size - number(failures(reports));
                let reached = succeeded * 100 >= u32::from(success_percent) * size;
                (!reached).then_some(reports.len())
            }
        }
    }
}

/// What many runs came to.
#[derive(Default)]
struct Tally {
    broken: usize,
    days: usize,
    stopped: u32,
}

impl Tally {
    /// Rings as devices and percent that must succeed.
    fn of(rings: &[(usize, u8)], in_flight: usize, percent: u32, judge: Judge) -> Self {
        let mut tally = Self::default();
        for run in 0..RUNS {
            // Both judges see the same devices fail.
            let seed = Dice(SEED ^ (u64::from(percent) << 32) ^ u64::from(run)).next();
            tally.deploy(rings, in_flight, percent, Dice(seed), judge);
        }
        tally
    }

    fn deploy(
        &mut self,
        rings: &[(usize, u8)],
        in_flight: usize,
        percent: u32,
        mut dice: Dice,
        judge: Judge,
    ) {
        for &(devices, success_percent) in rings {
            let reports = dice.reports(devices, percent);
            let Some(last) = judge.stops_at(success_percent, &reports) else {
                self.broken += failures(&reports);
                // And a day of soak.
                self.days += devices.div_ceil(PER_DAY) + 1;
                continue;
            };
            // What is in flight then still ends; what has its turn tomorrow does not begin.
            let day = last.div_ceil(PER_DAY);
            let begun = (last - 1 + in_flight).min(day * PER_DAY).min(devices);
            self.broken += failures(&reports[..begun]);
            self.days += day;
            self.stopped += 1;
            return;
        }
    }
}

/// One row of the table.
struct Row {
    plan: &'static str,
    fleet: u32,
    percent: u32,
    sequential: Tally,
    fixed_rate: Tally,
}

impl Row {
    fn is_good(&self) -> bool {
        GOOD.contains(&self.percent)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ours, theirs) = (&self.sequential, &self.fixed_rate);
        let share = |runs: u32| format!("{} %", tenths(runs as usize * 100));
        let stopped = format!("{} / {}", share(ours.stopped), share(theirs.stopped));
        let through = format!(
            "{} / {}",
            share(RUNS - ours.stopped),
            share(RUNS - theirs.stopped)
        );
        let none = String::from("–");
        let (wrongly, through) = if self.is_good() {
            (stopped, none)
        } else {
            (none, through)
        };
        write!(
            f,
            "| {} | {} | {} % | {} / {} | {} / {} | {wrongly} | {through} |",
            self.plan,
            self.fleet,
            self.percent,
            tenths(ours.broken),
            tenths(theirs.broken),
            tenths(ours.days),
            tenths(theirs.days),
        )
    }
}

/// Mean over the runs, rounded.
fn tenths(sum: usize) -> String {
    let runs = RUNS as usize;
    let tenths = (sum * 10 + runs / 2) / runs;
    format!("{}.{}", tenths / 10, tenths % 10)
}

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let mut rows = Vec::new();
    for plan in PLANS {
        for fleet in plan.fleets {
            let rings = ring_sizes(&plan, *fleet);
            for percent in GOOD.into_iter().chain(BAD) {
                let tally = |judge| Tally::of(&rings, plan.in_flight, percent, judge);
                rows.push(Row {
                    plan: plan.name,
                    fleet: *fleet,
                    percent,
                    sequential: tally(Judge::Sequential),
                    fixed_rate: tally(Judge::FixedRate),
                });
            }
        }
    }
    rows
});

fn ring_sizes(plan: &Plan, fleet: u32) -> Vec<(usize, u8)> {
    let specs: Vec<_> = plan
        .rings
        .iter()
        .map(|(percent, _)| RingSpec {
            percent: Some(*percent),
            ..RingSpec::default()
        })
        .collect();
    let devices: Vec<_> = (0..fleet).map(device).collect();
    let planned = assign(&devices.iter().collect::<Vec<_>>(), &specs).expect("no ring is empty");
    let size = |ring| planned.iter().filter(|d| d.ring as usize == ring).count();
    plan.rings
        .iter()
        .enumerate()
        .map(|(ring, (_, success_percent))| (size(ring), *success_percent))
        .collect()
}

fn device(number: u32) -> Device {
    Device {
        id: format!("{}", 1000 + number).parse().expect("an id"),
        client: "7".parse().expect("an id"),
        site: None,
        name: String::new(),
        platform: Platform::WindowsWorkstation,
        os_version: String::new(),
        tags: [].into(),
        criticality: Known {
            value: Criticality::Normal,
            basis: Basis::Inferred,
        },
        exposure: Known {
            value: Exposure::Internal,
            basis: Basis::Inferred,
        },
        time_zone: None,
        online: true,
        last_communicated_at: None,
        last_reported_at: None,
        seen_at: Timestamp::UNIX_EPOCH,
    }
}

fn failures(reports: &[bool]) -> usize {
    reports.iter().filter(|failed| **failed).count()
}

fn number(devices: usize) -> u32 {
    u32::try_from(devices).expect("a fleet")
}

fn clearly_bad() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(|row| row.percent >= CLEARLY_BAD)
}

#[test]
fn the_sequential_gate_never_breaks_more_nor_takes_longer() {
    for row in ROWS.iter() {
        assert!(row.sequential.broken <= row.fixed_rate.broken, "{row}");
        assert!(row.sequential.days <= row.fixed_rate.days, "{row}");
    }
}

#[test]
fn the_sequential_gate_breaks_fewer_devices_under_a_bad_update() {
    let broken = |plan: &Plan| {
        clearly_bad()
            .filter(|row| row.plan == plan.name)
            .map(|row| (row.sequential.broken, row.fixed_rate.broken))
            .fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1))
    };
    let (ours, theirs) = broken(&FIVE);
    assert!(ours < theirs, "five rings: {ours}, {theirs}");
    let (ours, theirs) = broken(&FEW_AT_ONCE);
    assert!(ours * 4 < theirs * 3, "few at once: {ours}, {theirs}");
    let (ours, theirs) = broken(&ONE);
    assert!(ours * 5 < theirs, "one ring: {ours}, {theirs}");
}

#[test]
fn a_clearly_bad_update_never_gets_through() {
    for row in clearly_bad() {
        assert_eq!(row.sequential.stopped, RUNS, "{row}");
    }
}

#[test]
fn the_sequential_gate_stops_hardly_more_good_updates() {
    for row in ROWS.iter().filter(|row| row.is_good()) {
        let more = row.sequential.stopped - row.fixed_rate.stopped;
        assert!(more * 100 <= BOUND_PERCENT * RUNS, "{row}");
    }
}

#[test]
fn the_table_in_the_documentation_is_fresh() {
    const BEGIN: &str = "<!-- table:rings -->\n";
    const END: &str = "<!-- /table -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rings.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("a begin mark");
    let (table, after) = rest.split_once(END).expect("an end mark");
    let mut fresh = String::from(
        "| Plan | Devices | Fail | Broken | Days | Good, stopped | Bad, got through |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for row in ROWS.iter() {
        fresh.push_str(&format!("{row}\n"));
    }
    if std::env::var_os("AUTOOPS_WRITE_DOCS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{fresh}{END}{after}")).unwrap();
    } else {
        assert_eq!(
            table, fresh,
            "docs/rings.md is stale; set AUTOOPS_WRITE_DOCS=1 and run again"
        );
    }
}
