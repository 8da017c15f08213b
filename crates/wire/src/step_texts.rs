//! The times of a range query's steps as text: the series of an answer have mostly the same, and copying one costs a
//! fraction of writing it.

use timberyard_model::Timestamp;

use crate::prometheus_text::write_seconds;

/// Times with what stands for them, in the order of time.
#[derive(Debug, Default)]
pub(crate) struct StepTexts {
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    time: Timestamp,
    text: Text,
    len: usize,
}

/// No time in milliseconds is longer, with its sign and its point; copied as a whole.
type Text = [u8; 24];

impl StepTexts {
    /// Appends a time of a series whose times come in order. `place` is 0 for its first one, and kept by whoever asks.
    #[inline]
    pub(crate) fn append(&mut self, time: Timestamp, place: &mut usize, out: &mut Vec<u8>) {
        while self.steps.get(*place).is_some_and(|step| step.time < time) {
            *place += 1;
        }
        let start = out.len();
        match self.steps.get(*place) {
            Some(step) if step.time == time => {
                out.extend_from_slice(&step.text);
                out.truncate(start + step.len);
            }
            behind => {
                write_seconds(out, time);
                let written = out.get(start..).unwrap_or_default();
                let mut text: Text = [0; size_of::<Text>()];
                // A time that only later series have goes nowhere: the others stay in order.
                if let (None, Some(room)) = (behind, text.get_mut(..written.len())) {
                    room.copy_from_slice(written);
                    self.steps.push(Step { time, text, len: written.len() });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_they_always_are_whatever_series_had_before() {
        let mut texts = StepTexts::default();
        let series: [&[i64]; 5] =
            [&[0, 60_000, 120_500], &[60_000], &[-1_500, 30_000, 120_500, 180_001], &[], &[180_001]];
        for times in series {
            let mut place = 0;
            for millis in times {
                let time = Timestamp::from_nanos(millis * 1_000_000);
                let (mut out, mut expected) = (b"x".to_vec(), b"x".to_vec());
                texts.append(time, &mut place, &mut out);
                write_seconds(&mut expected, time);
                assert_eq!(out, expected, "{millis}");
            }
        }
        for time in [Timestamp::MIN, Timestamp::MAX] {
            let mut out = Vec::new();
            write_seconds(&mut out, time);
            assert!(out.len() <= size_of::<Text>());
        }
    }
}
