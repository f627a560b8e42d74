use std::{
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
};

use proptest::prelude::*;

use super::*;

fn tally(bad: u32, of: u32) -> Tally {
    Tally {
        good: of - bad,
        bad,
    }
}

fn verdict(bad: u32, of: u32) -> &'static str {
    judge(tally(bad, of), None).as_str()
}

#[test]
fn what_an_outcome_says_about_an_update() {
    use DeviceOutcome as D;
    let (good, bad) = (Some(Evidence::Good), Some(Evidence::Bad));
    for (outcome, said, said_in_trouble) in [
        (D::Verified, good, good),
        (D::VerifiedByScript, None, None),
        (D::AlreadyInstalled, None, None),
        (D::NotApplicable, None, None),
        (D::Superseded, None, None),
        (D::RolledBack, bad, bad),
        (D::Failed, bad, bad),
        (D::ReportedMissing, bad, bad),
        (D::NeedsHuman, None, bad),
        (D::Deferred, None, None),
        (D::Unreached, None, None),
        (D::Forbidden, None, None),
        (D::Aborted, None, None),
    ] {
        assert_eq!(Evidence::of(outcome, false), said, "{outcome:?}");
        assert_eq!(Evidence::of(outcome, true), said_in_trouble, "{outcome:?}");
    }
}

#[test]
fn few_devices_are_enough_to_stop_a_bad_update() {
    for (bad, of) in [(3, 6), (4, 26), (5, 46)] {
        assert_eq!(verdict(bad, of), "stop", "{bad} of {of}");
        assert_eq!(verdict(bad, of + 1), "hold", "{bad} of {}", of + 1);
    }
    assert_eq!(verdict(2, 2), "hold");
}

#[test]
fn one_failure_holds_nobody_up() {
    for of in 1..60 {
        assert_eq!(verdict(1, of), "go");
    }
    assert_eq!(verdict(0, 0), "go");
}

#[test]
fn enough_good_ones_end_a_hold() {
    assert_eq!(verdict(2, 66), "hold");
    assert_eq!(verdict(2, 67), "go");
}

#[test]
fn a_verdict_says_counts_and_bounds() {
    assert_eq!(
        judge(tally(3, 4), None).reason(),
        "3 of 4 devices failed, no accident (weight 4.74, good from -2.29 down, bad from 4.50 up)"
    );
}

#[test]
fn a_stop_is_final() {
    let before = "3 of 4 devices failed";
    let now = judge(tally(3, 10_000), Some(before));
    assert_eq!((now.as_str(), now.reason()), ("stop", before));
}

#[test]
fn a_build_on_which_it_fails_stops_it_although_the_others_are_fine() {
    let now = judge_both("10.0.19045", tally(3, 4), tally(3, 500), None);
    assert_eq!(now.as_str(), "stop");
    assert!(now.reason().starts_with("on OS build 10.0.19045 3 of 4"));
    let all = judge_both("10.0.19045", tally(2, 2), tally(3, 4), None);
    assert!(all.reason().starts_with("3 of 4"), "{all:?}");
}

#[test]
fn a_build_is_digits_and_never_what_somebody_wrote() {
    for (reported, build) in [
        ("10.0.19045", "10.0.19045"),
        (" 10.0.19045.3930 ", "10.0.19045"),
        ("10.0", "10.0"),
        ("Windows 11 of Dr. Miller", UNKNOWN_BUILD),
        ("10", UNKNOWN_BUILD),
        ("10..1", UNKNOWN_BUILD),
        ("", UNKNOWN_BUILD),
        ("123456789.1", UNKNOWN_BUILD),
    ] {
        assert_eq!(build_of(reported), build, "{reported}");
    }
}

#[test]
fn a_key_names_nobody_and_is_of_one_device_and_update() {
    let kb: KbId = "KB5034441".parse().unwrap();
    let (plan, device): (PlanId, DeviceId) = ("plan".parse().unwrap(), "81".parse().unwrap());
    let key = key_of(&plan, &device, &kb);
    assert_eq!(key.len(), 64);
    assert_eq!(key, key_of(&plan, &device, &kb));
    assert_ne!(key, key_of(&plan, &"82".parse().unwrap(), &kb));
    assert_ne!(key, key_of(&plan, &device, &"KB5034442".parse().unwrap()));
}

#[test]
fn a_flag_says_who_has_set_it() {
    assert_eq!(reason_of(&flagged("3 of 4")), Some("3 of 4"));
    assert_eq!(reason_of("lee: blue screens"), None);
    assert_eq!(reason_of("ledgers: blue screens"), None);
}

fn evidence() -> impl Strategy<Value = Vec<Evidence>> {
    (0.0..1.0_f64, 0_usize..120).prop_flat_map(|(rate, size)| {
        let one = prop::bool::weighted(rate);
        let one = one.prop_map(|bad| if bad { Evidence::Bad } else { Evidence::Good });
        prop::collection::vec(one, size)
    })
}

/// As the activity does it: each device is counted, then it is judged, and a stop is kept.
fn told(all: &[Evidence]) -> (Tally, Option<String>) {
    let (mut tally, mut stopped) = (Tally::default(), None);
    for one in all {
        tally.add(*one);
        if let Verdict::Stop { reason } = judge(tally, stopped.as_deref()) {
            stopped = Some(reason);
        }
    }
    (tally, stopped)
}

proptest! {
    #[test]
    fn the_order_matters_only_in_that_a_stop_is_final(
        (these, those) in evidence().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        let ((one, once), (other, again)) = (told(&these), told(&those));
        prop_assert_eq!(one, other);
        prop_assert_eq!(judge(one, None), judge(other, None));
        if once.is_none() && again.is_none() {
            prop_assert!(judge(one, None).as_str() != "stop");
        }
    }

    #[test]
    fn a_stop_stays(all in evidence(), more in evidence()) {
        let (_, stopped) = told(&all);
        if stopped.is_some() {
            let (_, later) = told(&[all, more].concat());
            prop_assert_eq!(stopped, later);
        }
    }

    #[test]
    fn more_failures_never_make_it_better(good in 0_u32..3000, bad in 0_u32..500, more in 0_u32..500) {
        let before = judge(Tally { good, bad }, None);
        let after = judge(Tally { good, bad: bad + more }, None);
        prop_assert!(after.strictness() >= before.strictness());
        let both = judge_both("10.0", Tally { good: 0, bad }, Tally { good, bad }, None);
        prop_assert!(both.strictness() >= before.strictness());
    }

    #[test]
    fn more_successes_never_make_it_worse(good in 0_u32..3000, bad in 0_u32..500, more in 0_u32..500) {
        let before = judge(Tally { good, bad }, None);
        let after = judge(Tally { good: good + more, bad }, None);
        prop_assert!(after.strictness() <= before.strictness());
    }
}

/// splitmix64: the same numbers on every machine.
struct Dice(u64);

impl Dice {
    fn fails(&mut self, percent: u64) -> bool {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 32) * 100 < percent << 32
    }
}

const RUNS: u32 = 2000;
/// Devices of a run; by then, each run under one of the two rates is decided.
const DEVICES: u32 = 2000;

/// Of all runs at a failure rate: those that were stopped, those that came to the lower bound before,
/// both in per mille, and the devices that had failed at the stop, on the mean, in tenths.
fn simulated(percent: u64) -> (u32, u32, u32) {
    let mut dice = Dice(20_260_101 + percent);
    let (mut stopped, mut good_first, mut broken) = (0, 0, 0);
    for _ in 0..RUNS {
        let (mut tally, mut was_good) = (Tally::default(), false);
        for _ in 0..DEVICES {
            let evidence = if dice.fails(percent) {
                Evidence::Bad
            } else {
                Evidence::Good
            };
            tally.add(evidence);
            // What `judge` asks, without its words.
            let weight = TEST.weight(tally.good, tally.bad);
            was_good |= weight <= TEST.lower();
            if weight >= TEST.upper() {
                assert_eq!(judge(tally, None).as_str(), "stop");
                stopped += 1;
                broken += tally.bad;
                break;
            }
        }
        good_first += u32::from(was_good);
    }
    let permille = |count: u32| count * 1000 / RUNS;
    (
        permille(stopped),
        permille(good_first),
        broken * 10 / stopped.max(1),
    )
}

#[test]
fn it_errs_as_rarely_as_it_says() {
    let mut table = String::from(
        "| Fail | Stopped | Taken for good first | Broken at the stop |\n| ---: | ---: | ---: | ---: |\n",
    );
    for percent in [1, 2, 5, 10, 20, 50] {
        let (stopped, good_first, broken) = simulated(percent);
        if percent <= 2 {
            // 1.1 % by Ville, and three standard errors.
            assert!(stopped <= 18, "{percent} %: {stopped} ‰ were stopped");
        }
        if percent >= 10 {
            assert!(stopped == 1000, "{percent} %: {stopped} ‰ were stopped");
            // 10.1 % by Wald, and three standard errors of so many runs.
            assert!(good_first <= 122, "{percent} %: {good_first} ‰");
        }
        let tenths = |value: u32| format!("{}.{}", value / 10, value % 10);
        table += &format!(
            "| {percent} % | {} % | {} % | {} |\n",
            tenths(stopped),
            tenths(good_first),
            if stopped == 0 {
                "–".to_owned()
            } else {
                tenths(broken)
            },
        );
    }
    holds("errors", &table);
}

#[test]
fn the_boundaries_are_those_of_the_document() {
    let mut table = String::from(
        "| Failed | Stop: of at most | Hold: of at most | Go: of |\n| ---: | ---: | ---: | ---: |\n",
    );
    for bad in 1..=8 {
        let last = |word: &str| (bad..2000).rev().find(|of| verdict(bad, *of) == word);
        let shown = |of: Option<u32>| of.map_or("–".to_owned(), |of| of.to_string());
        let from = (bad..2000).find(|of| verdict(bad, *of) == "go");
        table += &format!(
            "| {bad} | {} | {} | {} or more |\n",
            shown(last("stop")),
            shown(last("hold")),
            shown(from)
        );
    }
    holds("bounds", &table);
}

/// Two tests write side by side.
static WRITING: Mutex<()> = Mutex::new(());

/// Holds a table of docs/ledger.md against the document, or writes it if asked to.
fn holds(name: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ledger.md");
    let _mine = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let text = fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- table:{name} -->\n"), "<!-- /table -->");
    let (before, rest) = text.split_once(&begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let changed = format!("{before}{begin}{table}{end}{after}");
    if std::env::var_os("AUTOOPS_WRITE_DOCS").is_some() {
        fs::write(&path, changed).unwrap();
    } else {
        assert!(
            text == changed,
            "docs/ledger.md is stale in {name}:\n{table}"
        );
    }
}
