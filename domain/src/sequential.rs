//! Wald's sequential probability ratio test (A. Wald, "Sequential Tests of Statistical Hypotheses",
//! Annals of Mathematical Statistics 16, 1945), in integers, so that every machine and every replay
//! decides alike.

/// A test of "bad ones come at the rate p0" against "they come at the rate p1", with the errors it
/// may make. All in percent.
///
/// Weighs `bad ln(p1/p0) + good ln((1-p1)/(1-p0))`: at [`Self::upper`] p1 is taken for true, at
/// [`Self::lower`] p0, and between them nothing is known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequentialTest {
    p0: usize,
    p1: usize,
    alpha: usize,
    beta: usize,
}

impl SequentialTest {
    /// Makes a test; `alpha` is how often p1 may be taken for true under p0, `beta` how often p0 under
    /// p1. Nothing when the rates do not differ, or one of the four is not from 1 to 99.
    #[must_use]
    pub const fn new(p0: usize, p1: usize, alpha: usize, beta: usize) -> Option<Self> {
        let rates = 0 < p0 && p0 < p1 && p1 < 100;
        if rates && 0 < alpha && 0 < beta && alpha + beta < 100 {
            Some(Self {
                p0,
                p1,
                alpha,
                beta,
            })
        } else {
            None
        }
    }

    /// Weighs what was seen, in thousandths of the natural logarithm.
    #[must_use]
    pub const fn weight(&self, good: u32, bad: u32) -> i64 {
        let for_bad = bad as i64 * (LN[self.p1] - LN[self.p0]);
        for_bad - good as i64 * (LN[100 - self.p0] - LN[100 - self.p1])
    }

    /// From this weight on, the bad rate is taken for true: `ln((1-beta)/alpha)`.
    #[must_use]
    pub const fn upper(&self) -> i64 {
        ln_ratio(100 - self.beta, self.alpha)
    }

    /// Down from this weight, the good rate is taken for true: `ln(beta/(1-alpha))`.
    #[must_use]
    pub const fn lower(&self) -> i64 {
        ln_ratio(self.beta, 100 - self.alpha)
    }
}

/// `1000 ln(over/under)`; in lowest terms, so that `ln(90/5)` is the `ln(18)` it is in books.
const fn ln_ratio(over: usize, under: usize) -> i64 {
    let (mut a, mut b) = (over, under);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    LN[over / a] - LN[under / a]
}

/// `1000 ln(k)`, rounded, for k from 1 to 100; the first entry is not used.
#[rustfmt::skip]
const LN: [i64; 101] = [
    0, 0, 693, 1_099, 1_386, 1_609, 1_792, 1_946, 2_079, 2_197, 2_303, 2_398,
    2_485, 2_565, 2_639, 2_708, 2_773, 2_833, 2_890, 2_944, 2_996, 3_045, 3_091, 3_135,
    3_178, 3_219, 3_258, 3_296, 3_332, 3_367, 3_401, 3_434, 3_466, 3_497, 3_526, 3_555,
    3_584, 3_611, 3_638, 3_664, 3_689, 3_714, 3_738, 3_761, 3_784, 3_807, 3_829, 3_850,
    3_871, 3_892, 3_912, 3_932, 3_951, 3_970, 3_989, 4_007, 4_025, 4_043, 4_060, 4_078,
    4_094, 4_111, 4_127, 4_143, 4_159, 4_174, 4_190, 4_205, 4_220, 4_234, 4_248, 4_263,
    4_277, 4_290, 4_304, 4_317, 4_331, 4_344, 4_357, 4_369, 4_382, 4_394, 4_407, 4_419,
    4_431, 4_443, 4_454, 4_466, 4_477, 4_489, 4_500, 4_511, 4_522, 4_533, 4_543, 4_554,
    4_564, 4_575, 4_585, 4_595, 4_605,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_logarithms() {
        for k in 1..=100_u8 {
            let exact = f64::from(k).ln() * 1000.0;
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let stored = LN[usize::from(k)] as f64;
            assert!((stored - exact).abs() <= 0.5, "{k}");
        }
    }

    #[test]
    fn its_bounds_are_those_of_wald() {
        let test = SequentialTest::new(5, 30, 5, 10).unwrap();
        assert_eq!((test.upper(), test.lower()), (2_890, -2_251));
        assert_eq!(test.weight(0, 1), 1_792);
        assert_eq!(test.weight(1, 0), -306);
    }

    #[test]
    fn rates_that_do_not_differ_make_no_test() {
        for (p0, p1, alpha, beta) in [(5, 5, 1, 1), (0, 5, 1, 1), (5, 100, 1, 1), (5, 9, 50, 50)] {
            assert_eq!(SequentialTest::new(p0, p1, alpha, beta), None);
        }
    }
}
