//! How sure to be of the first candidate.

/// What the confidence is computed from.
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
    let likely = 1.0 / (1.0 + (-odds).exp());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 1000"
    )]
    let permille = (likely * 1_000.0).round() as u16;
    permille
}
