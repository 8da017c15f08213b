//! Drawing from distributions that logs have: a few things are frequent and most are rare.

use fastrand::Rng;

/// Draws the frequent ones often: item `i` of `n` has the weight `1 / (i + 1)^exponent`.
#[derive(Clone, Debug)]
pub(super) struct Skewed {
    /// Sums of weights up to and with each item, scaled to end at 1.
    sums: Vec<f64>,
}

impl Skewed {
    pub(super) fn new(items: usize, exponent: f64) -> Self {
        Self::weighted(&(0..items).map(|i| 1.0 / ((i + 1) as f64).powf(exponent)).collect::<Vec<_>>())
    }

    pub(super) fn weighted(weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let sums = weights
            .iter()
            .map(|weight| {
                sum += weight / total;
                sum
            })
            .collect();
        Self { sums }
    }

    /// An index below the number of items.
    pub(super) fn draw(&self, rng: &mut Rng) -> usize {
        let wanted = rng.f64();
        self.sums.partition_point(|sum| *sum < wanted).min(self.sums.len() - 1)
    }
}

/// One of a few, each as likely as the others.
pub(super) fn pick<'a, T: ?Sized>(rng: &mut Rng, from: &[&'a T]) -> &'a T {
    from[rng.usize(0..from.len())]
}

/// A size: its logarithm is as good as normal, with this mean and spread.
pub(super) fn log_normal(rng: &mut Rng, mean: f64, spread: f64) -> f64 {
    // Six uniform draws have a variance of one half together.
    let normal = ((0..6).map(|_| rng.f64()).sum::<f64>() - 3.0) * std::f64::consts::SQRT_2;
    (mean + spread * normal).exp()
}

/// Milliseconds that something took, to a hundredth: most are short, a few are very long.
pub(super) fn duration_ms(rng: &mut Rng) -> f64 {
    (log_normal(rng, 2.7, 1.3) * 100.0).round() / 100.0
}

/// An address of a machine in a cluster.
pub(super) fn private_address(rng: &mut Rng) -> String {
    format!("10.42.{}.{}", rng.u8(0..32), rng.u8(1..255))
}

/// An address from anywhere.
pub(super) fn public_address(rng: &mut Rng) -> String {
    format!("{}.{}.{}.{}", rng.u8(11..220), rng.u8(..), rng.u8(..), rng.u8(1..255))
}
