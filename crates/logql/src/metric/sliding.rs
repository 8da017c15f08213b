//! The values of all windows over the stretches of one series.
//!
//! Windows that overlap share stretches. Adding every stretch to every window would cost the product of
//! their numbers; two stacks, as for a queue made of stacks, make it one merge or two a stretch and
//! window, and never subtract, so that nothing is lost to rounding.

use super::accumulator::Accumulator;
use super::grid::WindowSpan;

/// Samples that lie in the same windows.
#[derive(Clone, Debug)]
pub(super) struct Stretch<A> {
    pub(super) span: WindowSpan,
    pub(super) samples: A,
}

/// Calls `emit` with each window that holds samples, in the order of steps. Stretches are sorted by span.
pub(super) fn for_each_window<A: Accumulator>(stretches: &[Stretch<A>], mut emit: impl FnMut(u32, &A)) {
    // The window holds stretches `begin..end`. `front` holds, for those before `middle`, what each
    // and all after it up to `middle` come to, the first one on top; `back` is what the rest comes to.
    let (mut begin, mut middle, mut end) = (0, 0, 0);
    let mut front: Vec<A> = Vec::new();
    let mut back: Option<A> = None;
    let Some(mut step) = stretches.first().map(|stretch| stretch.span.first) else { return };
    loop {
        while let Some(stretch) = stretches.get(end)
            && stretch.span.first <= step
        {
            match &mut back {
                Some(back) => back.merge(&stretch.samples),
                None => back = Some(stretch.samples.clone()),
            }
            end += 1;
        }
        while begin < end
            && let Some(stretch) = stretches.get(begin)
            && stretch.span.last < step
        {
            if begin >= middle {
                refill(&mut front, &stretches[begin..end]);
                middle = end;
                back = None;
            }
            front.pop();
            begin += 1;
        }
        match (front.last(), &back) {
            (Some(front), Some(back)) => {
                let mut both = front.clone();
                both.merge(back);
                emit(step, &both);
            }
            (Some(one), None) | (None, Some(one)) => emit(step, one),
            (None, None) => match stretches.get(end) {
                Some(next) => {
                    step = next.span.first;
                    continue;
                }
                None => return,
            },
        }
        step += 1;
    }
}

fn refill<A: Accumulator>(front: &mut Vec<A>, stretches: &[Stretch<A>]) {
    for stretch in stretches.iter().rev() {
        let mut all = stretch.samples.clone();
        if let Some(later) = front.last() {
            all.merge(later);
        }
        front.push(all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::accumulator::{First, Last, Sum};

    #[test]
    fn each_window_holds_the_stretches_that_reach_into_it() {
        // Spans as of windows three steps wide, with gaps.
        let spans = [(0, 0), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (9, 9), (9, 11), (11, 13)];
        fn windows<A: Accumulator>(spans: &[(u32, u32)]) -> Vec<(u32, f64)> {
            let stretches: Vec<Stretch<A>> = spans
                .iter()
                .enumerate()
                .map(|(index, (first, last))| Stretch {
                    span: WindowSpan { first: *first, last: *last },
                    samples: A::of(index as i64, f64::from(1_u32 << index)),
                })
                .collect();
            let mut found = Vec::new();
            for_each_window(&stretches, |step, samples| found.push((step, samples.value())));
            found
        }
        let inside = |step: u32| {
            spans.iter().enumerate().filter(move |(_, span)| span.0 <= step && step <= span.1).map(|(i, _)| i)
        };
        let expected = |value: &dyn Fn(u32) -> Option<f64>| -> Vec<(u32, f64)> {
            (0..20).filter_map(|step| value(step).map(|value| (step, value))).collect()
        };
        let number = |index: usize| f64::from(1_u32 << index);
        let sums = expected(&|step| inside(step).next().map(|_| inside(step).map(number).sum()));
        assert_eq!(windows::<Sum>(&spans), sums);
        assert_eq!(windows::<First>(&spans), expected(&|step| inside(step).min().map(number)));
        assert_eq!(windows::<Last>(&spans), expected(&|step| inside(step).max().map(number)));
    }
}
