//! The points of time at which a metric query has values, and the windows of rows behind them.
//!
//! As in Loki, a window is open at its start and closed at its end: `(step - range, step]`, moved back
//! by the offset; a range query's steps are multiples of the step width.

use timberyard_model::Timestamp;
use timberyard_model::counting::Cuts;

use crate::error::{LimitError, QueryError};
use crate::query_request::QueryRequest;

/// Evenly spaced points of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepGrid {
    first_ns: i64,
    step_ns: i64,
    count: u32,
}

impl StepGrid {
    /// The steps of a query; more than `points_max` are refused.
    pub(crate) fn new(request: &QueryRequest, points_max: usize) -> Result<Self, QueryError> {
        let (start, end) = (request.start.as_nanos(), request.end.as_nanos());
        let step = request.step_ns;
        if step == 0 {
            return Ok(Self { first_ns: end, step_ns: 1, count: 1 });
        }
        if step < 0 {
            return Err(QueryError::Invalid(
                "zero or negative query resolution step widths are not accepted. Try a positive integer"
                    .to_owned(),
            ));
        }
        if end < start {
            return Ok(Self { first_ns: start, step_ns: step, count: 0 });
        }
        let steps_between = (i128::from(end) - i128::from(start)) / i128::from(step);
        if steps_between > points_max as i128 {
            return Err(LimitError::Points { limit: points_max }.into());
        }
        let first_ns = start.saturating_sub(start.rem_euclid(step));
        let last_ns = end.saturating_add((step - end.rem_euclid(step)) % step);
        let count = (i128::from(last_ns) - i128::from(first_ns)) / i128::from(step) + 1;
        // At most two more than `points_max`, since both ends move by less than a step.
        let count = u32::try_from(count).map_err(|_| LimitError::Points { limit: points_max })?;
        Ok(Self { first_ns, step_ns: step, count })
    }

    /// How many steps there are.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// The time of a step.
    pub(crate) fn at(&self, step: u32) -> Timestamp {
        Timestamp::from_nanos(self.first_ns.saturating_add(self.step_ns.saturating_mul(i64::from(step))))
    }
}

/// The windows of one range aggregation.
#[derive(Clone, Debug)]
pub(crate) struct Windows {
    first_end: i128,
    step: i128,
    count: u32,
    range: i128,
    /// Where the last row was found: after `.0`, up to `.1`.
    found: Option<(i64, i64, WindowSpan)>,
}

/// The windows that hold a row, from the first to the last step. Rows with the same span need not be
/// told apart, and spans are ordered as their rows are in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WindowSpan {
    pub(crate) first: u32,
    pub(crate) last: u32,
}

impl Windows {
    /// Windows of `range_ns` nanoseconds, `offset_ns` before each step of the grid.
    pub(crate) fn new(grid: &StepGrid, range_ns: i64, offset_ns: i64) -> Self {
        Self {
            first_end: i128::from(grid.first_ns) - i128::from(offset_ns),
            step: i128::from(grid.step_ns),
            count: grid.count,
            range: i128::from(range_ns),
            found: None,
        }
    }

    /// The time that all windows together span, as a half-open range; `None` without windows.
    pub(crate) fn time_range(&self) -> Option<timberyard_model::TimeRange> {
        let last = self.count.checked_sub(1)?;
        let start = clamp(self.end_of(0) - self.range + 1);
        let end = clamp(self.end_of(last) + 1);
        Some(timberyard_model::TimeRange::new(Timestamp::from_nanos(start), Timestamp::from_nanos(end)))
    }

    /// The windows that hold a row of that time; `None` when it lies between windows.
    pub(crate) fn span_of(&mut self, time: Timestamp) -> Option<WindowSpan> {
        let nanos = time.as_nanos();
        if let Some((after, up_to, span)) = self.found
            && after < nanos
            && nanos <= up_to
        {
            return Some(span);
        }
        let time = i128::from(nanos);
        // Of windows that follow each other without a gap the next one is the most likely, and needs no division.
        if self.range == self.step
            && let Some((_, up_to, WindowSpan { last, .. })) = self.found
            && let next_end = i128::from(up_to) + self.step
            && up_to < nanos
            && time <= next_end
            && last + 1 < self.count
        {
            let span = WindowSpan { first: last + 1, last: last + 1 };
            self.found = Some((up_to, clamp(next_end), span));
            return Some(span);
        }
        let last_step = i128::from(self.count) - 1;
        let first = ceiling_division(time - self.first_end, self.step).max(0);
        let last = (ceiling_division(time + self.range - self.first_end, self.step) - 1).min(last_step);
        if first > last {
            return None;
        }
        let span = WindowSpan { first: u32::try_from(first).ok()?, last: u32::try_from(last).ok()? };
        // Rows share the span until the next window ends or begins.
        let mut after = self.end_of(span.last) - self.range;
        if span.first > 0 {
            after = after.max(self.end_of(span.first - 1));
        }
        let mut up_to = self.end_of(span.first);
        if span.last + 1 < self.count {
            up_to = up_to.min(self.end_of(span.last + 1) - self.range);
        }
        self.found = Some((clamp(after), clamp(up_to), span));
        Some(span)
    }

    /// Where windows end or begin, inside the time that they span together.
    pub(crate) fn cuts(&self) -> Cuts {
        if self.count < 2 {
            return Cuts::NONE;
        }
        let start = self.first_end - self.range;
        // A step is the difference of two times and fits; times are moved by whole steps until they do.
        let fitting = |nanos: i128| clamp(nanos.rem_euclid(self.step));
        Cuts::every(clamp(self.step), [fitting(self.first_end), fitting(start)])
    }

    /// The width of a window in seconds.
    pub(crate) fn range_seconds(&self) -> f64 {
        self.range as f64 / 1e9
    }

    /// The end of the window of a step.
    pub(crate) fn end_of(&self, step: u32) -> i128 {
        self.first_end + self.step * i128::from(step)
    }
}

/// How many windows there are that hold one of some rows at least, whose spans come in the order of time.
pub(crate) fn windows_covered(spans: impl Iterator<Item = WindowSpan>) -> usize {
    let (mut next, mut count) = (0, 0);
    for span in spans {
        let end = span.last.saturating_add(1);
        count += end.saturating_sub(span.first.max(next)) as usize;
        next = next.max(end);
    }
    count
}

fn ceiling_division(dividend: i128, divisor: i128) -> i128 {
    let narrow = (i64::try_from(-dividend), i64::try_from(divisor));
    match narrow {
        // Nearly always, and many times as fast.
        (Ok(dividend), Ok(divisor)) if dividend > i64::MIN => -i128::from(dividend.div_euclid(divisor)),
        _ => -(-dividend).div_euclid(divisor),
    }
}

fn clamp(nanos: i128) -> i64 {
    i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(first_ns: i64, step_ns: i64, count: u32) -> StepGrid {
        StepGrid { first_ns, step_ns, count }
    }

    fn span(first: u32, last: u32) -> Option<WindowSpan> {
        Some(WindowSpan { first, last })
    }

    fn at(nanos: i64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    #[test]
    fn windows_are_open_at_the_start_and_closed_at_the_end() {
        // Windows (80,100], (90,110], (100,120].
        let mut windows = Windows::new(&grid(100, 10, 3), 20, 0);
        for (time, expected) in [
            (80, None),
            (81, span(0, 0)),
            (90, span(0, 0)),
            (91, span(0, 1)),
            (100, span(0, 1)),
            (101, span(1, 2)),
            (110, span(1, 2)),
            (111, span(2, 2)),
            (120, span(2, 2)),
            (121, None),
        ] {
            assert_eq!(windows.span_of(at(time)), expected, "{time}");
        }
        let range = windows.time_range().expect("three windows");
        assert_eq!((range.start.as_nanos(), range.end.as_nanos()), (81, 121));
    }

    #[test]
    fn rows_between_windows_belong_to_none() {
        // Windows (95,100], (105,110], moved back by 50.
        let mut windows = Windows::new(&grid(150, 10, 2), 5, 50);
        for (time, expected) in
            [(95, None), (96, span(0, 0)), (100, span(0, 0)), (101, None), (106, span(1, 1)), (111, None)]
        {
            assert_eq!(windows.span_of(at(time)), expected, "{time}");
        }
    }

    #[test]
    fn the_remembered_span_is_that_of_the_row() {
        for (step, range) in [(7, 3), (7, 7), (7, 10), (3, 20), (1, 5)] {
            let mut remembering = Windows::new(&grid(50, step, 9), range, 2);
            for time in (0..150).chain((0..150).rev()) {
                let mut fresh = Windows::new(&grid(50, step, 9), range, 2);
                assert_eq!(remembering.span_of(at(time)), fresh.span_of(at(time)), "{step} {range} {time}");
            }
        }
    }

    #[test]
    fn windows_are_counted_once_however_many_rows_they_hold() {
        let spans = [(0, 2), (0, 2), (1, 3), (7, 7), (9, 11), (10, 12)];
        let spans = spans.map(|(first, last)| WindowSpan { first, last });
        assert_eq!(windows_covered(spans.into_iter()), 4 + 1 + 4);
        assert_eq!(windows_covered(std::iter::empty()), 0);
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        let mut windows = Windows::new(&grid(i64::MAX - 5, 1, 1), i64::MAX, -5);
        assert_eq!(windows.span_of(Timestamp::MAX), span(0, 0));
        assert_eq!(windows.span_of(Timestamp::MIN), None);
        assert_eq!(windows.time_range().expect("one window").end, Timestamp::MAX);
    }
}
