use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
struct Step {
    wait: i64,
    title: &'static str,
    device: &'static str,
    lasting: bool,
    clear: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let title = prop::sample::select(vec![
        "disk is failing",
        "backup failed",
        "agent went silent",
        "login 7",
        "",
    ]);
    let device = prop::sample::select(vec!["A", "B", "C", ""]);
    let wait = prop_oneof![Just(0_i64), 0..20_000_i64, 0..4_000_000_i64];
    (
        wait,
        title,
        device,
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.15),
    )
        .prop_map(|(wait, title, device, lasting, clear)| Step {
            wait,
            title,
            device,
            lasting,
            clear,
        })
}

/// Plays steps; returns which incident each alert went to, and all incidents in the end.
fn play(steps: &[Step]) -> (Vec<(i64, IncidentId)>, Vec<Incident>, i64) {
    play_with(steps, |correlator| correlator)
}

/// Plays steps; something happens to the correlator before each.
fn play_with(
    steps: &[Step],
    between: impl Fn(Correlator) -> Correlator,
) -> (Vec<(i64, IncidentId)>, Vec<Incident>, i64) {
    let mut correlator = Correlator::new();
    let (mut now, mut placed, mut ended) = (0, Vec::new(), Vec::new());
    let mut last = BTreeMap::new();
    for step in steps {
        correlator = between(correlator);
        now += step.wait;
        if step.clear {
            if let Some(id) = last.get(&(step.title, step.device)) {
                correlator.clear(now, *id, step.title, step.device);
            }
            continue;
        }
        let alert = Alert {
            at_ms: now,
            title: step.title,
            device: step.device,
            address: "",
            lasting: step.lasting,
            routine_from: Some(ROUTINE_PER_DAY),
        };
        let id = correlator.observe(&alert);
        last.insert((step.title, step.device), id);
        placed.push((now, id));
        ended.extend(correlator.take_finished());
    }
    ended.extend(correlator.finish());
    (placed, ended, now)
}

proptest! {
    #[test]
    fn every_alert_is_in_exactly_one_incident(steps in prop::collection::vec(step(), 1..120)) {
        let (placed, ended, _) = play(&steps);
        let mut counted: BTreeMap<IncidentId, u64> = BTreeMap::new();
        for (_, id) in &placed {
            *counted.entry(*id).or_default() += 1;
        }
        let ids: BTreeSet<_> = ended.iter().map(|incident| incident.id).collect();
        prop_assert_eq!(ids.len(), ended.len(), "an incident ends once");
        let told: BTreeMap<_, _> = ended.iter().map(|incident| (incident.id, incident.alerts)).collect();
        prop_assert_eq!(told, counted);
    }

    #[test]
    fn every_incident_is_ranked_half_an_hour_after_it_opened(steps in prop::collection::vec(step(), 1..120)) {
        for incident in play(&steps).1 {
            let priority = incident.priority.clone().unwrap();
            prop_assert_eq!(priority.ranked_at_ms, incident.opened_ms + RANKED_AFTER_SECS * 1_000);
            let sum: u32 = priority.reasons.iter().map(|reason| reason.points).sum();
            prop_assert_eq!(priority.points, sum);
        }
    }

    #[test]
    fn a_rank_never_depends_on_what_comes_after_it(
        steps in prop::collection::vec(step(), 2..120),
        share in 0.0..1.0_f64,
    ) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "an index")]
        let cut = (steps.len() as f64 * share) as usize;
        let (_, early, until) = play(&steps[..cut]);
        let (_, all, _) = play(&steps);
        let all: BTreeMap<_, _> = all.into_iter().map(|incident| (incident.id, incident.priority)).collect();
        for incident in early {
            let ranked_at = incident.priority.clone().unwrap().ranked_at_ms;
            if ranked_at < until {
                prop_assert_eq!(&incident.priority, &all[&incident.id]);
            }
        }
    }

    #[test]
    fn a_restart_at_any_moment_changes_nothing(steps in prop::collection::vec(step(), 1..30)) {
        let restart = |correlator: Correlator| {
            let stored = serde_json::to_string(&correlator).unwrap();
            serde_json::from_str(&stored).unwrap()
        };
        let (placed, mut ended, _) = play(&steps);
        let (placed_again, mut ended_again, _) = play_with(&steps, restart);
        prop_assert_eq!(placed, placed_again);
        ended.sort_by_key(|incident| incident.id);
        ended_again.sort_by_key(|incident| incident.id);
        prop_assert_eq!(ended, ended_again);
    }
}
