use super::*;
use proptest::prelude::*;

fn graph(nodes: usize, calls: &[(u32, u32)]) -> Graph {
    Graph::new(nodes, calls.iter().map(|(a, b)| (Node(*a), Node(*b)))).unwrap()
}

/// Two calm samples, then two of trouble; every node has 400 requests a sample.
fn samples(measure: Measure, nodes: &[(f64, f64)]) -> Metrics {
    let values = nodes.iter().map(|(before, during)| {
        [before, before, during, during]
            .map(|value| Some(*value))
            .to_vec()
    });
    Metrics {
        measure,
        times: vec![0.0, 300.0, 600.0, 900.0],
        values: values.collect(),
        requests: vec![vec![Some(400.0); 4]; nodes.len()],
    }
}

const NOTICED: i64 = 700;

fn first(causes: &Causes) -> u32 {
    causes.candidates[0].node.0
}

#[test]
fn the_deepest_node_that_became_slow_by_itself_is_first() {
    let calls = graph(4, &[(0, 1), (1, 2), (1, 3)]);
    let metrics = samples(
        Measure::Latency,
        &[(0.3, 0.8), (0.2, 0.7), (0.1, 0.6), (0.1, 0.1)],
    );
    let causes = by_metrics(&calls, &metrics, Node(0), NOTICED, &[]);
    assert_eq!(first(&causes), 2);
    assert!(!causes.abstain, "{causes:?}");
    let texts: Vec<_> = causes.candidates[0]
        .because
        .iter()
        .map(|b| b.text.as_str())
        .collect();
    assert_eq!(
        texts[0],
        "latency went from 0.1000 to 0.6000 s per request; 100 % of it is its own"
    );
    assert_eq!(texts[1], "where it was noticed depends on it, 2 steps away");
}

#[test]
fn a_node_in_the_middle_is_first_when_what_it_calls_is_well() {
    let calls = graph(3, &[(0, 1), (1, 2)]);
    let metrics = samples(Measure::Latency, &[(0.3, 0.8), (0.2, 0.7), (0.1, 0.1)]);
    assert_eq!(
        first(&by_metrics(&calls, &metrics, Node(0), NOTICED, &[])),
        1
    );
}

#[test]
fn failures_are_followed_to_where_they_start() {
    let calls = graph(3, &[(0, 1), (1, 2)]);
    let metrics = samples(
        Measure::Availability,
        &[(100.0, 90.0), (100.0, 90.0), (100.0, 90.0)],
    );
    assert_eq!(
        first(&by_metrics(&calls, &metrics, Node(0), NOTICED, &[])),
        2
    );
}

#[test]
fn nodes_that_the_noticed_one_does_not_depend_on_are_no_candidates() {
    let calls = graph(3, &[(0, 1), (2, 0)]);
    let metrics = samples(Measure::Latency, &[(0.3, 0.8), (0.2, 0.7), (0.1, 9.0)]);
    let causes = by_metrics(&calls, &metrics, Node(0), NOTICED, &[]);
    assert!(
        causes
            .candidates
            .iter()
            .all(|candidate| candidate.node != Node(2))
    );
}

#[test]
fn without_trouble_there_is_no_cause() {
    let calls = graph(2, &[(0, 1)]);
    let calm = samples(Measure::Latency, &[(0.3, 0.3), (0.2, 0.2)]);
    let causes = by_metrics(&calls, &calm, Node(0), NOTICED, &[]);
    assert!(causes.abstain && causes.candidates.is_empty());
    let unknown = by_metrics(&calls, &calm, Node(9), NOTICED, &[]);
    assert!(unknown.abstain && unknown.candidates.is_empty());
}

#[test]
fn a_recent_change_decides_between_equals_and_is_told_first() {
    let calls = graph(3, &[(0, 1), (0, 2)]);
    let metrics = samples(Measure::Latency, &[(0.3, 1.1), (0.1, 0.5), (0.1, 0.48)]);
    let change = RecentChange {
        node: Node(2),
        at: NOTICED - 600,
        what: "KB5031234 was installed".to_owned(),
        evidence: "change:7".to_owned(),
    };
    assert_eq!(
        first(&by_metrics(&calls, &metrics, Node(0), NOTICED, &[])),
        1
    );
    let causes = by_metrics(
        &calls,
        &metrics,
        Node(0),
        NOTICED,
        std::slice::from_ref(&change),
    );
    assert_eq!(first(&causes), 2);
    let told = &causes.candidates[0].because[0];
    assert_eq!(
        (told.evidence.as_str(), told.text.as_str()),
        ("change:7", "KB5031234 was installed 10 min before")
    );
    let long_ago = RecentChange {
        at: NOTICED - 7 * 3_600,
        ..change
    };
    assert_eq!(
        first(&by_metrics(&calls, &metrics, Node(0), NOTICED, &[long_ago])),
        1
    );
}

fn anomaly(node: u32, at: i64) -> Anomaly {
    Anomaly {
        node: Node(node),
        at,
        points: 500,
        evidence: format!("alert:{node}"),
        what: "agent went silent".to_owned(),
    }
}

#[test]
fn a_dead_switch_is_the_cause_of_silent_devices_behind_it() {
    // 0 is the router, 1 and 2 are switches, the rest are devices behind them.
    let behind = (3..8)
        .map(|n| (n, 1))
        .chain((8..13).map(|n| (n, 2)))
        .chain([(1, 0), (2, 0)]);
    let network = graph(13, &behind.collect::<Vec<_>>());
    let mut alerts: Vec<_> = (3..8).map(|n| anomaly(n, 60)).collect();
    alerts.push(anomaly(1, 100));
    let causes = by_alerts(&network, &alerts, &[]);
    assert_eq!(first(&causes), 1);
    let because = &causes.candidates[0].because;
    assert_eq!(
        because[0].text,
        "agent went silent, 0 min after the first alert"
    );
    assert_eq!(because[1].text, "5 devices that depend on it have alerts");
}

#[test]
fn a_switch_that_tells_nothing_is_suspected_when_all_behind_it_fell_silent() {
    let behind: Vec<_> = (1..9).map(|n| (n, 0)).collect();
    let network = graph(9, &behind);
    let alerts: Vec<_> = (1..9).map(|n| anomaly(n, 0)).collect();
    assert_eq!(first(&by_alerts(&network, &alerts, &[])), 0);
    // One silent device says nothing about its switch.
    assert_eq!(first(&by_alerts(&network, &alerts[..1], &[])), 1);
}

#[test]
fn what_failed_clearly_later_is_not_the_cause() {
    let network = graph(2, &[(1, 0)]);
    let alerts = [anomaly(1, 0), anomaly(0, 3_600)];
    assert_eq!(first(&by_alerts(&network, &alerts, &[])), 1);
    assert!(by_alerts(&network, &[], &[]).abstain);
}

#[test]
fn a_graph_that_does_not_hold_together_is_refused() {
    let error = Graph::new(2, [(Node(0), Node(2))]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "node 2 is not allowed in a dependency: there are 2"
    );
    assert!(matches!(
        Graph::new(1 << 20, []),
        Err(GraphError::TooLarge { .. })
    ));
}

fn cell() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        3 => (0.0..1e3_f64).prop_map(Some),
        1 => Just(None),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, -1e300, 1e300, 0.0]).prop_map(Some),
    ]
}

proptest! {
    #[test]
    fn any_measurements_have_an_answer_that_holds_together(
        calls in prop::collection::vec((0..12_u32, 0..12_u32), 0..40),
        values in prop::collection::vec(prop::collection::vec(cell(), 0..7), 0..14),
        requests in prop::collection::vec(prop::collection::vec(cell(), 0..7), 0..14),
        availability in any::<bool>(),
        noticed in -10..2_000_i64,
    ) {
        let measure = if availability { Measure::Availability } else { Measure::Latency };
        let times = (0..6_u32).map(|n| f64::from(n * 300)).collect();
        let metrics = Metrics { measure, times, values, requests };
        let causes = by_metrics(&graph(12, &calls), &metrics, Node(0), noticed, &[]);
        prop_assert!(causes.confidence_permille <= 1_000 && causes.candidates.len() <= CANDIDATES);
        let scores: Vec<f64> = causes.candidates.iter().map(|candidate| candidate.score).collect();
        prop_assert!(scores.windows(2).all(|pair| pair[0] >= pair[1]), "{:?}", scores);
        prop_assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{:?}", scores);
        prop_assert!(causes.candidates.iter().all(|candidate| !candidate.because.is_empty()));
        prop_assert!(causes.abstain || !causes.candidates.is_empty());
    }

    #[test]
    fn any_alerts_have_an_answer_that_holds_together(
        uses in prop::collection::vec((0..12_u32, 0..12_u32), 0..40),
        alerts in prop::collection::vec((0..14_u32, 0..5_000_i64), 0..30),
    ) {
        let alerts: Vec<_> = alerts.into_iter().map(|(node, at)| anomaly(node, at)).collect();
        let causes = by_alerts(&graph(12, &uses), &alerts, &[]);
        let known = alerts.iter().any(|alert| alert.node.0 < 12);
        prop_assert_eq!(!causes.candidates.is_empty(), known);
        let told = causes.candidates.iter().flat_map(|candidate| &candidate.because);
        let evidence: Vec<_> = alerts.iter().map(|alert| alert.evidence.as_str()).collect();
        for because in told {
            prop_assert!(evidence.contains(&because.evidence.as_str()));
        }
    }
}
