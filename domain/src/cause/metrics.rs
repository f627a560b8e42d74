//! Causes by measurements.

use serde::{Deserialize, Serialize};

use super::{
    Because, Causes, RecentChange, changes_on,
    confidence::{Evidence, confidence},
    graph::{Graph, Node},
};

/// What was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Time per request: more is worse.
    Latency,
    /// Share of requests that succeed, in percent: less is worse.
    Availability,
}

/// Samples of one measure. Gaps are allowed everywhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    /// What is measured.
    pub measure: Measure,
    /// When each sample begins, Unix seconds, ascending.
    pub times: Vec<f64>,
    /// Per node, the values of the samples; empty when nothing is known of a node.
    pub values: Vec<Vec<Option<f64>>>,
    /// Per node, the requests of the samples.
    pub requests: Vec<Vec<Option<f64>>>,
}

/// A mean of few requests varies by chance: by this share whatever their number, and by this share
/// over the square root of their number.
const DRIFT: f64 = 0.1;
const SCATTER: f64 = 1.0;
/// An availability of one is not believed: this share fails now and then.
const SELDOM: f64 = 0.002;
const HALF_A_REQUEST: f64 = 0.5;
/// Larger figures are no measurements; they count as gaps, as what is no number does.
const ABSURD: f64 = 1e12;

/// What a node shows while its caller suffers, over what it showed before: seconds or requests.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Excess {
    pub(super) amount: f64,
    /// How large it would be by chance.
    pub(super) chance: f64,
    /// Requests in the samples that count.
    requests: f64,
    pub(super) before: f64,
    pub(super) during: f64,
}

impl Metrics {
    fn value(&self, node: Node, sample: usize) -> Option<f64> {
        let values = self.values.get(node.index())?;
        values
            .get(sample)
            .copied()
            .flatten()
            .filter(|value| value.abs() < ABSURD)
    }

    fn requests(&self, node: Node, sample: usize) -> Option<f64> {
        let requests = self.requests.get(node.index())?;
        let known = requests.get(sample).copied().flatten();
        known.filter(|requests| (0.0..ABSURD).contains(requests))
    }

    /// How much worse a value is than another.
    fn worse(&self, value: f64, than: f64) -> f64 {
        match self.measure {
            Measure::Latency => value - than,
            Measure::Availability => (than - value) / 100.0,
        }
    }

    /// Returns the mean of the samples before, or what is normal when there are none.
    fn before(&self, node: Node, before: &[usize]) -> Option<f64> {
        let (mut sum, mut count) = (0.0, 0.0);
        for value in before.iter().filter_map(|sample| self.value(node, *sample)) {
            sum += value;
            count += 1.0;
        }
        match self.measure {
            _ if count > 0.0 => Some(sum / count),
            Measure::Availability => Some(100.0),
            Measure::Latency => None,
        }
    }

    /// Returns the samples before the trouble was noticed, and those it may show in.
    pub(super) fn split(&self, noticed: f64) -> (Vec<usize>, Vec<usize>) {
        let mut steps: Vec<f64> = self
            .times
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .collect();
        steps.sort_by(f64::total_cmp);
        let step = steps.get(steps.len() / 2).copied().unwrap_or(0.0);
        let (mut before, during): (Vec<usize>, Vec<usize>) =
            (0..self.times.len()).partition(|at| self.times[*at] + step <= noticed);
        if before.is_empty() && !during.is_empty() {
            before.push(0);
        }
        (before, during)
    }

    /// Returns how much of the trouble each sample holds, by the node where it was noticed.
    pub(super) fn weights(
        &self,
        target: Node,
        before: &[usize],
        during: &[usize],
    ) -> Vec<(usize, f64)> {
        let known = during
            .iter()
            .filter_map(|at| Some((*at, self.value(target, *at)?)));
        let known: Vec<(usize, f64)> = known.collect();
        let lowest = known.iter().map(|(_, value)| *value).min_by(f64::total_cmp);
        let Some(normal) = self.before(target, before).or(lowest) else {
            return Vec::new();
        };
        let worse = known
            .iter()
            .map(|(at, value)| (*at, self.worse(*value, normal).max(0.0)));
        let worse: Vec<(usize, f64)> = worse.collect();
        let sum: f64 = worse.iter().map(|(_, worse)| worse).sum();
        if sum > 0.0 {
            return worse
                .into_iter()
                .map(|(at, worse)| (at, worse / sum))
                .collect();
        }
        let share = 1.0 / f64::from(u32::try_from(during.len().max(1)).unwrap_or(1));
        during.iter().map(|at| (*at, share)).collect()
    }

    pub(super) fn excess(&self, node: Node, before: &[usize], weights: &[(usize, f64)]) -> Excess {
        let Some(normal) = self.before(node, before) else {
            return Excess::default();
        };
        let mut excess = Excess {
            before: normal,
            during: normal,
            ..Excess::default()
        };
        let (mut weight, mut mean) = (0.0, 0.0);
        for (sample, share) in weights {
            let Some(value) = self.value(node, *sample) else {
                continue;
            };
            let requests = self
                .requests(node, *sample)
                .filter(|r| *r > 0.0)
                .unwrap_or(1.0);
            excess.amount += share * self.worse(value, normal) * requests;
            excess.requests += share * requests;
            weight += share;
            mean += share * value;
        }
        if weight <= 0.0 {
            return Excess::default();
        }
        excess.during = mean / weight;
        let known = before
            .iter()
            .filter_map(|sample| self.requests(node, *sample));
        let requests = excess.requests.min(known.sum()).max(1.0);
        excess.chance = match self.measure {
            Measure::Latency => {
                normal.abs() * (DRIFT + SCATTER / requests.sqrt()) * excess.requests
            }
            Measure::Availability => {
                let fails = (1.0 - normal / 100.0).clamp(SELDOM, 0.5);
                excess.requests * (fails * (1.0 - fails) / requests).sqrt() + HALF_A_REQUEST
            }
        };
        excess
    }

    /// Returns the most requests of a node in the samples that count.
    fn busiest(&self, node: Node, weights: &[(usize, f64)]) -> f64 {
        let requests = weights
            .iter()
            .filter_map(|(sample, _)| self.requests(node, *sample));
        requests.fold(0.0, f64::max)
    }

    fn unit(&self) -> &'static str {
        match self.measure {
            Measure::Latency => "s per request",
            Measure::Availability => "% of requests succeed",
        }
    }

    fn name(&self) -> &'static str {
        match self.measure {
            Measure::Latency => "latency",
            Measure::Availability => "availability",
        }
    }
}

/// Ranks the causes of what was noticed at one node, by measurements of the nodes it depends on.
#[must_use]
pub fn by_metrics(
    graph: &Graph,
    metrics: &Metrics,
    target: Node,
    noticed: i64,
    changes: &[RecentChange],
) -> Causes {
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds of this millennium are exact"
    )]
    let (before, during) = metrics.split(noticed as f64);
    let weights = metrics.weights(target, &before, &during);
    let reached = graph.reached_from(target);
    let mut excess = vec![Excess::default(); graph.len()];
    let mut busiest = vec![0.0; graph.len()];
    for (node, _) in &reached {
        excess[node.index()] = metrics.excess(*node, &before, &weights);
        busiest[node.index()] = metrics.busiest(*node, &weights);
    }
    // What is called by several shows in each of them by its share of the calls.
    let mut callers = vec![0.0; graph.len()];
    for (node, _) in &reached {
        for called in graph.uses(*node) {
            callers[called.index()] += busiest[node.index()];
        }
    }
    let mut suspects = Vec::new();
    for (node, steps) in &reached {
        let shown = excess[node.index()];
        let called = graph.uses(*node).iter().map(|called| {
            let all = callers[called.index()];
            let share = if all > 0.0 {
                busiest[node.index()] / all
            } else {
                1.0
            };
            share * excess[called.index()].amount.max(0.0)
        });
        let own = (shown.amount - called.sum::<f64>()).max(0.0);
        let mut because = Vec::new();
        let suspected = changes_on(*node, noticed, changes, &mut because);
        if own <= 0.0 && because.is_empty() {
            continue;
        }
        let sure = if shown.amount > shown.chance {
            1.0 - (shown.chance / shown.amount).powi(2)
        } else {
            0.0
        };
        if own > 0.0 {
            because.push(Because {
                evidence: format!("metric:{}:{}", node.0, metrics.name()),
                text: format!(
                    "{} went from {:.4} to {:.4} {}; {:.0} % of it is its own",
                    metrics.name(),
                    shown.before,
                    shown.during,
                    metrics.unit(),
                    (100.0 * own / shown.amount).min(100.0),
                ),
            });
        }
        if *steps > 0 {
            because.push(Because {
                evidence: format!("graph:{}:{}", target.0, node.0),
                text: format!(
                    "where it was noticed depends on it, {steps} {} away",
                    if *steps == 1 { "step" } else { "steps" }
                ),
            });
        }
        suspects.push((own * sure * suspected, *node, because));
    }
    let confidence = confidence(&Evidence::of(
        &suspects
            .iter()
            .map(|(score, ..)| *score)
            .collect::<Vec<_>>(),
        excess
            .get(target.index())
            .map_or(0.0, |target| target.amount / target.chance.max(1e-9)),
    ));
    Causes::of(suspects, confidence)
}
