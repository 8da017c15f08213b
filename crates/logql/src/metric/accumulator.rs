//! What is kept of the samples of a stretch of time, so that the samples themselves need not be.
//!
//! An accumulator of one stretch and that of the next merge into that of both; a window's value
//! comes from the stretches it consists of.

/// What is kept of some samples.
pub(super) trait Accumulator: Clone {
    /// What is kept of a first sample.
    fn of(nanos: i64, value: f64) -> Self;
    /// Adds a sample, in whatever order of time.
    fn add(&mut self, nanos: i64, value: f64);
    /// Adds what was kept of later samples.
    fn merge(&mut self, later: &Self);
    /// The value.
    fn value(&self) -> f64;
}

/// How many samples.
#[derive(Clone, Debug)]
pub(super) struct Count(u64);

impl Accumulator for Count {
    fn of(_: i64, _: f64) -> Self {
        Self(1)
    }

    fn add(&mut self, _: i64, _: f64) {
        self.0 += 1;
    }

    fn merge(&mut self, later: &Self) {
        self.0 += later.0;
    }

    fn value(&self) -> f64 {
        self.0 as f64
    }
}

/// Their sum.
#[derive(Clone, Debug)]
pub(super) struct Sum(f64);

impl Accumulator for Sum {
    fn of(_: i64, value: f64) -> Self {
        Self(value)
    }

    fn add(&mut self, _: i64, value: f64) {
        self.0 += value;
    }

    fn merge(&mut self, later: &Self) {
        self.0 += later.0;
    }

    fn value(&self) -> f64 {
        self.0
    }
}

/// The smallest. NaN only when all are.
#[derive(Clone, Debug)]
pub(super) struct Minimum(f64);

impl Accumulator for Minimum {
    fn of(_: i64, value: f64) -> Self {
        Self(value)
    }

    fn add(&mut self, _: i64, value: f64) {
        self.0 = self.0.min(value);
    }

    fn merge(&mut self, later: &Self) {
        self.0 = self.0.min(later.0);
    }

    fn value(&self) -> f64 {
        self.0
    }
}

/// The largest. NaN only when all are.
#[derive(Clone, Debug)]
pub(super) struct Maximum(f64);

impl Accumulator for Maximum {
    fn of(_: i64, value: f64) -> Self {
        Self(value)
    }

    fn add(&mut self, _: i64, value: f64) {
        self.0 = self.0.max(value);
    }

    fn merge(&mut self, later: &Self) {
        self.0 = self.0.max(later.0);
    }

    fn value(&self) -> f64 {
        self.0
    }
}

/// Their mean.
#[derive(Clone, Debug)]
pub(super) struct Mean {
    count: f64,
    mean: f64,
}

impl Accumulator for Mean {
    fn of(_: i64, value: f64) -> Self {
        Self { count: 1.0, mean: value }
    }

    fn add(&mut self, _: i64, value: f64) {
        self.count += 1.0;
        // An infinite mean stays: to correct it would take infinity from infinity.
        let same_sign = value.is_infinite() && (value > 0.0) == (self.mean > 0.0);
        if !(self.mean.is_infinite() && (same_sign || value.is_finite())) {
            self.mean += value / self.count - self.mean / self.count;
        }
    }

    fn merge(&mut self, later: &Self) {
        let count = self.count + later.count;
        // Weighted, not added up: the sum of large numbers may be infinite where their mean is not.
        self.mean = self.mean * (self.count / count) + later.mean * (later.count / count);
        self.count = count;
    }

    fn value(&self) -> f64 {
        self.mean
    }
}

/// Their variance, by the updates of Welford and, for merging, of Chan, Golub and LeVeque
/// ("Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979).
#[derive(Clone, Debug)]
pub(super) struct Variance {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Accumulator for Variance {
    fn of(_: i64, value: f64) -> Self {
        // An infinite sample has no variance; zero times infinity says so.
        Self { count: 1.0, mean: value, squares: value * 0.0 }
    }

    fn add(&mut self, _: i64, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }

    fn merge(&mut self, later: &Self) {
        let count = self.count + later.count;
        let delta = later.mean - self.mean;
        self.squares += later.squares + delta * delta * (self.count * later.count / count);
        self.mean += delta * (later.count / count);
        self.count = count;
    }

    fn value(&self) -> f64 {
        self.squares / self.count
    }
}

/// The earliest; of equal times the one that came first.
#[derive(Clone, Debug)]
pub(super) struct First {
    nanos: i64,
    value: f64,
}

impl Accumulator for First {
    fn of(nanos: i64, value: f64) -> Self {
        Self { nanos, value }
    }

    fn add(&mut self, nanos: i64, value: f64) {
        if nanos < self.nanos {
            *self = Self { nanos, value };
        }
    }

    fn merge(&mut self, _: &Self) {}

    fn value(&self) -> f64 {
        self.value
    }
}

/// The latest; of equal times the one that came last.
#[derive(Clone, Debug)]
pub(super) struct Last {
    nanos: i64,
    value: f64,
}

impl Accumulator for Last {
    fn of(nanos: i64, value: f64) -> Self {
        Self { nanos, value }
    }

    fn add(&mut self, nanos: i64, value: f64) {
        if nanos >= self.nanos {
            *self = Self { nanos, value };
        }
    }

    fn merge(&mut self, later: &Self) {
        self.clone_from(later);
    }

    fn value(&self) -> f64 {
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFINITY: f64 = f64::INFINITY;

    /// The value of all samples, however they are divided into two stretches.
    fn check<A: Accumulator>(samples: &[f64], expected: f64) {
        for cut in 1..=samples.len() {
            let stretch = |part: &[f64], start: usize| {
                let mut all: Option<A> = None;
                for (index, value) in part.iter().enumerate() {
                    let nanos = (start + index) as i64;
                    match &mut all {
                        Some(all) => all.add(nanos, *value),
                        None => all = Some(A::of(nanos, *value)),
                    }
                }
                all
            };
            let (left, right) = samples.split_at(cut);
            let mut all = stretch(left, 0).expect("not empty");
            if let Some(later) = stretch(right, cut) {
                all.merge(&later);
            }
            let close = (all.value() - expected).abs() <= 1e-9 * expected.abs();
            let same = all.value() == expected || all.value().is_nan() && expected.is_nan();
            assert!(close || same, "{samples:?} cut at {cut}: {} instead of {expected}", all.value());
        }
    }

    #[test]
    fn values_do_not_depend_on_how_samples_were_divided() {
        let samples = [4.0, 2.0, 9.0, 5.0];
        check::<Count>(&samples, 4.0);
        check::<Sum>(&samples, 20.0);
        check::<Minimum>(&samples, 2.0);
        check::<Maximum>(&samples, 9.0);
        check::<Mean>(&samples, 5.0);
        check::<Variance>(&samples, 6.5);
        check::<First>(&samples, 4.0);
        check::<Last>(&samples, 5.0);
    }

    #[test]
    fn what_is_not_a_number_does_not_hide_one() {
        check::<Minimum>(&[f64::NAN, 3.0, 1.0], 1.0);
        check::<Maximum>(&[2.0, f64::NAN, 3.0], 3.0);
        check::<Mean>(&[1.0, INFINITY, 3.0], INFINITY);
        check::<Mean>(&[INFINITY, -INFINITY, 1.0], f64::NAN);
        check::<Mean>(&[f64::MAX, f64::MAX], f64::MAX);
        check::<Variance>(&[INFINITY], f64::NAN);
    }

    #[test]
    fn first_and_last_go_by_time_then_by_arrival() {
        let mut first = First::of(5, 1.0);
        first.add(5, 2.0);
        first.add(3, 3.0);
        let mut last = Last::of(5, 1.0);
        last.add(5, 2.0);
        last.add(3, 3.0);
        assert_eq!((first.value(), last.value()), (3.0, 2.0));
    }
}
