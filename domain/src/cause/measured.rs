//! What is measured on one machine: whether it became worse than chance makes it, by the same
//! comparison as [`super::by_metrics`].

use serde::{Deserialize, Serialize};

use super::{Measure, Metrics, Node};

/// Something that is measured, before the trouble and in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Its name, of the configuration.
    pub name: String,
    /// Which side is the worse one.
    pub measure: Measure,
    /// Mean before the trouble, in thousandths of its unit.
    pub before_milli: i64,
    /// Mean of the samples of the trouble, those that are worse weighing more; in thousandths.
    pub during_milli: i64,
    /// How much worse that is, over what chance makes; 1000 is what chance makes.
    pub over_chance_permille: u32,
}

/// More than a hundred times what chance makes is not told apart.
const MOST_PERMILLE: f64 = 100_000.0;

impl Measured {
    /// Tells whether it is worse than chance makes it.
    #[must_use]
    pub fn is_unusual(&self) -> bool {
        self.over_chance_permille > 1_000
    }

    /// Says it in one line.
    #[must_use]
    pub fn words(&self) -> String {
        format!(
            "{} went from {} to {}, {}.{} times what chance makes",
            self.name,
            decimal(self.before_milli),
            decimal(self.during_milli),
            self.over_chance_permille / 1_000,
            self.over_chance_permille % 1_000 / 100,
        )
    }
}

/// Writes thousandths with one digit behind the point, small ones with three.
fn decimal(milli: i64) -> String {
    let (sign, all) = (if milli < 0 { "-" } else { "" }, milli.unsigned_abs());
    let (whole, rest) = (all / 1_000, all % 1_000);
    match whole {
        0 => format!("{sign}0.{rest:03}"),
        _ => format!("{sign}{whole}.{}", rest / 100),
    }
}

/// Compares what a machine shows since trouble was noticed with what it showed before; none when one
/// of both is not known.
#[must_use]
pub fn measured(name: &str, metrics: &Metrics, node: Node, noticed: i64) -> Option<Measured> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds of this millennium are exact"
    )]
    let (before, during) = metrics.split(noticed as f64);
    let known = |samples: &[usize]| {
        let values = metrics.values.get(node.index());
        let mut values = samples
            .iter()
            .filter_map(|sample| values.and_then(|values| values.get(*sample).copied().flatten()));
        values.any(f64::is_finite)
    };
    if !known(&before) || !known(&during) {
        return None;
    }
    let weights = metrics.weights(node, &before, &during);
    let excess = metrics.excess(node, &before, &weights);
    let over = (1_000.0 * excess.amount.max(0.0) / excess.chance.max(1e-9)).min(MOST_PERMILLE);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "held in bounds"
    )]
    let (milli, over_chance_permille) =
        (|value: f64| (value * 1_000.0).round() as i64, over as u32);
    Some(Measured {
        name: name.to_owned(),
        measure: metrics.measure,
        before_milli: milli(excess.before),
        during_milli: milli(excess.during),
        over_chance_permille,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(measure: Measure, values: &[Option<f64>]) -> Metrics {
        let times = (0_i32..).map(|minute| f64::from(minute * 60));
        Metrics {
            measure,
            times: times.take(values.len()).collect(),
            values: vec![values.to_vec()],
            requests: vec![],
        }
    }

    fn of(measure: Measure, before: f64, during: f64) -> Measured {
        let values: Vec<_> = [[Some(before); 10], [Some(during); 10]].concat();
        measured("cpu", &samples(measure, &values), Node(0), 600).unwrap()
    }

    #[test]
    fn what_became_much_worse_is_unusual_and_says_so() {
        let found = of(Measure::Latency, 12.0, 97.0);
        assert!(found.is_unusual());
        assert_eq!(
            found.words(),
            "cpu went from 12.0 to 97.0, 6.4 times what chance makes"
        );
        assert!(of(Measure::Availability, 100.0, 0.0).is_unusual());
        assert_eq!(
            of(Measure::Latency, 0.002, 0.5).words(),
            "cpu went from 0.002 to 0.500, 100.0 times what chance makes"
        );
    }

    #[test]
    fn what_varies_as_ever_or_became_better_is_not() {
        assert!(!of(Measure::Latency, 50.0, 60.0).is_unusual());
        assert_eq!(of(Measure::Latency, 90.0, 10.0).over_chance_permille, 0);
        assert_eq!(
            of(Measure::Availability, 99.0, 99.9).over_chance_permille,
            0
        );
    }

    #[test]
    fn without_samples_on_both_sides_nothing_is_said() {
        for values in [
            vec![],
            vec![None; 20],
            [vec![Some(1.0); 10], vec![None; 10]].concat(),
            [vec![None; 10], vec![Some(1.0); 10]].concat(),
            [vec![Some(f64::NAN); 10], vec![Some(1.0); 10]].concat(),
        ] {
            let metrics = samples(Measure::Latency, &values);
            assert_eq!(measured("cpu", &metrics, Node(0), 600), None, "{values:?}");
        }
        let metrics = samples(Measure::Latency, &[Some(1.0); 20]);
        assert_eq!(measured("cpu", &metrics, Node(3), 600), None);
    }

    #[test]
    fn absurd_values_stay_in_bounds() {
        let found = of(Measure::Latency, -1e11, 1e11);
        assert_eq!(found.over_chance_permille, 1_818);
        let zero = of(Measure::Latency, 0.0, 1e-3);
        assert_eq!(zero.over_chance_permille, 100_000);
    }
}
