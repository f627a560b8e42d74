//! Incidents with a known cause, made at random: what the confidence by alerts is derived from and
//! checked on. Networks, spreading and noise are assumptions, so that this tells how sure to be if the
//! world were like that; `docs/alerts.md` says what was assumed.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "small figures of a test"
)]

use super::super::{Anomaly, Graph, Node, RecentChange};

/// What is assumed of the world.
#[derive(Debug, Clone, Copy)]
pub(super) struct Assumed {
    /// How likely trouble spreads to what depends on it, for each step.
    pub(super) spreads: f64,
    /// How likely the cause has an alert of its own.
    pub(super) shows: f64,
    /// Share of dependencies that nobody has stated.
    pub(super) unstated: f64,
    /// How likely an alert that has nothing to do with it is among the others.
    pub(super) noise: f64,
    /// Share of incidents that have no common cause.
    pub(super) chance: f64,
}

/// What the constants are derived under.
pub(super) const USUAL: Assumed = Assumed {
    spreads: 0.7,
    shows: 0.8,
    unstated: 0.3,
    noise: 0.4,
    chance: 0.3,
};

/// An incident, and its cause if it has one.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) graph: Graph,
    pub(super) anomalies: Vec<Anomaly>,
    pub(super) changes: Vec<RecentChange>,
    pub(super) cause: Option<Node>,
}

/// A generator of chance that is the same everywhere (`SplitMix64`, Steele et al., OOPSLA 2014).
#[derive(Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn share(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).unwrap()) / 4_294_967_296.0
    }

    fn happens(&mut self, likely: f64) -> bool {
        self.share() < likely
    }

    fn of(&mut self, count: u32) -> u32 {
        u32::try_from(self.next() % u64::from(count)).unwrap()
    }

    fn secs(&mut self, from: i64, to: i64) -> i64 {
        from + i64::from(self.of(u32::try_from(to - from).unwrap()))
    }

    /// Waiting time of this mean.
    fn wait(&mut self, mean: f64) -> i64 {
        (-mean * (1.0 - self.share()).ln()) as i64
    }
}

const BEGUN: i64 = 1_795_000_000;
/// Alerts are polled.
const POLL_SECS: i64 = 300;

impl Made {
    /// Makes the next one.
    pub(super) fn of(dice: &mut Dice, assumed: &Assumed) -> Self {
        loop {
            let made = Self::try_of(dice, assumed);
            if !made.anomalies.is_empty() {
                return made;
            }
        }
    }

    fn try_of(dice: &mut Dice, assumed: &Assumed) -> Self {
        let (nodes, real) = network(dice);
        let stated = real.iter().filter(|_| !dice.happens(assumed.unstated));
        let stated: Vec<_> = stated.copied().collect();
        let truth = Graph::new(nodes as usize, real).unwrap();
        let mut made = Self {
            graph: Graph::new(nodes as usize, stated).unwrap(),
            anomalies: Vec::new(),
            changes: Vec::new(),
            cause: None,
        };
        if dice.happens(assumed.chance) {
            for _ in 0..2 + dice.of(5) {
                let at = dice.secs(0, 900);
                made.alert(dice, nodes, None, at);
            }
        } else {
            let cause = pick(dice, &truth, nodes);
            made.cause = Some(cause);
            for (node, steps) in truth.reaching(cause) {
                let likely = if steps == 0 {
                    assumed.shows
                } else {
                    assumed.spreads.powi(steps as i32)
                };
                let spread: i64 = (0..steps).map(|_| dice.wait(180.0)).sum();
                if dice.happens(likely) {
                    made.alert(dice, nodes, Some(node), spread);
                }
            }
            if dice.happens(0.35) {
                made.wave(dice, nodes, Some(cause));
            }
        }
        if made.changes.is_empty() && dice.happens(0.15) {
            made.wave(dice, nodes, None);
        }
        if dice.happens(assumed.noise) {
            let at = dice.secs(-600, 900);
            made.alert(dice, nodes, None, at);
        }
        made
    }

    fn alert(&mut self, dice: &mut Dice, nodes: u32, node: Option<Node>, at: i64) {
        let node = node.unwrap_or_else(|| Node(dice.of(nodes)));
        let polled = dice.secs(0, POLL_SECS);
        let severity = dice.of(4);
        self.anomalies.push(Anomaly {
            node,
            at: BEGUN + at + polled,
            points: 10 << severity,
            evidence: format!("alert_{}", self.anomalies.len() + 1),
            what: "an alert".to_owned(),
        });
    }

    /// A patch wave reaches the cause and others, or others only.
    fn wave(&mut self, dice: &mut Dice, nodes: u32, cause: Option<Node>) {
        let at = BEGUN - dice.secs(60, 4 * 3_600);
        let others = (0..dice.of(4)).map(|_| Node(dice.of(nodes)));
        let mut reached: Vec<Node> = others.collect();
        reached.extend(cause);
        for node in reached {
            self.changes.push(RecentChange {
                node,
                at,
                what: "an update was installed".to_owned(),
                evidence: format!("wave_{}", self.changes.len() + 1),
            });
        }
    }
}

/// One to three sites; machines depend on the gateway, often on a server of the site, and servers on one
/// another.
fn network(dice: &mut Dice) -> (u32, Vec<(Node, Node)>) {
    let (mut nodes, mut edges, mut servers) = (0_u32, Vec::new(), Vec::<Node>::new());
    for _ in 0..=dice.of(3) {
        let (gateway, server) = (Node(nodes), Node(nodes + 1));
        edges.push((server, gateway));
        for place in 0..2 + dice.of(8) {
            let machine = Node(nodes + 2 + place);
            edges.push((machine, gateway));
            if dice.happens(0.5) {
                edges.push((machine, server));
            }
        }
        nodes = edges.iter().map(|(one, _)| one.0).max().unwrap() + 1;
        if let Some(other) = servers.first().filter(|_| dice.happens(0.5)) {
            edges.push((server, *other));
        }
        servers.push(server);
    }
    (nodes, edges)
}

/// Every second time something that others depend on, else anything.
fn pick(dice: &mut Dice, truth: &Graph, nodes: u32) -> Node {
    let used: Vec<Node> = (0..nodes)
        .map(Node)
        .filter(|node| !truth.used_by(*node).is_empty())
        .collect();
    match dice.happens(0.5) {
        true => used[dice.of(u32::try_from(used.len()).unwrap()) as usize],
        false => Node(dice.of(nodes)),
    }
}
