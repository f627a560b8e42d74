//! How sure to be of the first candidate.

#[cfg(test)]
mod made;
#[cfg(test)]
mod tests;

/// What the confidence by measurements is computed from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence {
    /// Share of the first candidate of all suspicion, 0 to 1.
    share: f64,
    /// How many times as large as by chance the trouble is.
    strength: f64,
}

impl Evidence {
    pub(super) fn of(scores: &[f64], strength: f64) -> Self {
        let total: f64 = scores.iter().sum();
        let first = scores.iter().copied().fold(0.0, f64::max);
        let share = if total > 0.0 { first / total } else { 0.0 };
        Self { share, strength }
    }
}

// Fitted by logistic regression; the data and the fit are told in docs/alerts.md.
const BASE: f64 = -2.92;
const PER_SHARE: f64 = 2.46;
const PER_STRENGTH: f64 = 0.86;
const STRONGEST: f64 = 4.0;

/// Returns how likely the first candidate is the cause, in per mille.
pub(super) fn confidence(evidence: &Evidence) -> u16 {
    if evidence.share <= 0.0 || !evidence.strength.is_finite() {
        return 0;
    }
    let strength = evidence.strength.clamp(0.0, STRONGEST);
    let odds = BASE + PER_SHARE * evidence.share + PER_STRENGTH * strength;
    logistic(odds)
}

/// What the confidence by alerts is computed from.
#[derive(Debug, Clone, Copy)]
pub(super) struct AlertEvidence {
    /// Share of the first candidate of all suspicion, 0 to 1.
    pub(super) share: f64,
    /// Machines that have alerts.
    pub(super) machines: usize,
    /// Those of them that the first candidate explains: itself, and what depends on it.
    pub(super) explained: usize,
    /// Whether the first candidate has an alert of its own.
    pub(super) seen: bool,
    /// Whether the first candidate was changed shortly before.
    pub(super) changed: bool,
}

/// Figures of the curve.
const FEATURES: usize = 10;
// Fitted by logistic regression on incidents made at random (`made`); `tests` fits it anew. Told in
// docs/alerts.md.
const BY_ALERTS: [f64; FEATURES] = [
    -10.55, -1.48, 11.27, 2.55, -1.46, 2.48, 3.82, 1.59, -11.18, 10.18,
];

impl AlertEvidence {
    #[expect(clippy::cast_precision_loss, reason = "numbers of machines")]
    fn features(&self) -> [f64; FEATURES] {
        let machines = self.machines.max(1) as f64;
        let is = |yes: bool| f64::from(u8::from(yes));
        let explained = self.explained as f64 / machines;
        [
            1.0,
            self.share,
            explained,
            machines.ln(),
            is(self.seen),
            is(self.changed),
            // One or two machines tell less than a straight line through all numbers would say.
            is(self.machines == 1),
            is(self.machines == 2),
            // A large share counts for a node that shows something itself, less where it explains all.
            self.share * explained,
            self.share * is(self.seen),
        ]
    }
}

/// Returns how likely the first candidate is the cause of alerts, in per mille.
pub(super) fn by_alerts(evidence: &AlertEvidence) -> u16 {
    let features = evidence.features().into_iter();
    logistic(features.zip(BY_ALERTS).map(|(x, weight)| x * weight).sum())
}

/// Turns the logarithm of odds into per mille.
fn logistic(odds: f64) -> u16 {
    let likely = 1.0 / (1.0 + (-odds).exp());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 1000"
    )]
    let permille = (likely * 1_000.0).round() as u16;
    permille
}
