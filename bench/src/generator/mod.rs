//! Deterministic log lines: the same workload, seed and count always give the same bytes.
//!
//! One file a kind of lines. Lines come one after the other in the order of time and are never all in memory.
//! Each workload plants a few texts at known places, for the questions that look for them. Every line is this
//! project's own writing; the names of systems say whose style it is in.

mod adversarial;
mod arrivals;
mod draw;
mod loghub;
mod loghub_styles;
mod micro;
mod nginx;
mod phrase;
mod stack_trace;
mod wide_json;

use std::fmt;

use fastrand::Rng;

use self::arrivals::Arrivals;
pub(crate) use self::arrivals::{SPAN_NS, START_NS};
pub(crate) use self::micro::{APP_NEEDLE, APP_OF_NEEDLE};

/// An id of 32 hex digits that stands in [`NEEDLE_LINES`] lines of every workload.
pub(crate) const NEEDLE: &str = "9be1c6d2f04a4e7f8d35a7c0e21b64f3";
/// How many lines hold [`NEEDLE`].
pub(crate) const NEEDLE_LINES: usize = 7;
/// A word in one of ten thousand lines.
pub(crate) const RARE_WORD: &str = "quokkaberry";
/// A word that no line holds.
pub(crate) const ABSENT_WORD: &str = "zzyvanowhere";

/// Label pairs of one stream, in the order of their names.
pub(crate) type StreamLabels = Vec<(&'static str, String)>;

/// A kind of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Workload {
    /// JSON, logfmt and plain lines of microservices, with unique hex ids.
    Micro,
    /// Lines in the styles of the 16 systems of the Loghub collection, of many templates.
    Loghub,
    /// Combined access log.
    Nginx,
    /// JSON of 60 keys a line.
    WideJson,
    /// Java stack traces, many lines in one.
    StackTrace,
    /// Every line its own template.
    Adversarial,
}

/// One line on its way to the server.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Index into [`Workload::streams`].
    pub(crate) stream: usize,
    pub(crate) timestamp_ns: i64,
    pub(crate) text: String,
}

/// Where a line stands in its workload.
#[derive(Clone, Copy, Debug)]
struct Place {
    index: usize,
    count: usize,
    timestamp_ns: i64,
}

/// What every kind of lines can do.
trait Generator {
    /// The labels of every stream.
    fn streams(&self) -> Vec<StreamLabels>;
    /// Writes the line of this place and says which stream it is of.
    fn write(&mut self, place: Place, text: &mut String) -> usize;
}

impl Workload {
    pub(crate) const ALL: [Self; 6] =
        [Self::Micro, Self::Loghub, Self::Nginx, Self::WideJson, Self::StackTrace, Self::Adversarial];

    /// How many lines a run takes whose microservices have `base` lines: long lines are fewer.
    pub(crate) fn line_count(self, base: usize) -> usize {
        let share = match self {
            Self::Micro | Self::Nginx | Self::Loghub => base,
            Self::Adversarial => base / 2,
            Self::WideJson | Self::StackTrace => base / 10,
        };
        share.max(NEEDLE_LINES * 2)
    }

    /// The labels of every stream.
    pub(crate) fn streams(self) -> Vec<StreamLabels> {
        self.generator(0).streams()
    }

    /// The lines, one after the other in the order of time.
    pub(crate) fn lines(self, count: usize, seed: u64) -> impl Iterator<Item = Line> {
        let mut generator = self.generator(seed);
        let arrivals = Arrivals::new(count, Rng::with_seed(seed ^ 0x7157_BEA2_D000));
        arrivals.enumerate().map(move |(index, timestamp_ns)| {
            let mut text = String::with_capacity(320);
            let stream = generator.write(Place { index, count, timestamp_ns }, &mut text);
            Line { stream, timestamp_ns, text }
        })
    }

    fn generator(self, seed: u64) -> Box<dyn Generator> {
        let rng = Rng::with_seed(seed ^ ((self as u64 + 1) << 32));
        match self {
            Self::Micro => Box::new(micro::Micro::new(rng)),
            Self::Loghub => Box::new(loghub::Loghub::new(rng)),
            Self::Nginx => Box::new(nginx::Nginx::new(rng)),
            Self::WideJson => Box::new(wide_json::WideJson::new(rng)),
            Self::StackTrace => Box::new(stack_trace::StackTrace::new(rng)),
            Self::Adversarial => Box::new(adversarial::Adversarial::new(rng)),
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Micro => "micro",
            Self::Loghub => "loghub",
            Self::Nginx => "nginx",
            Self::WideJson => "wide-json",
            Self::StackTrace => "stack-trace",
            Self::Adversarial => "adversarial",
        })
    }
}

impl Place {
    /// Whether [`NEEDLE`] belongs here: seven places, spread over all lines.
    fn has_needle(self) -> bool {
        let cell = self.count / NEEDLE_LINES;
        cell > 0 && self.index % cell == cell / 2 && self.index / cell < NEEDLE_LINES
    }

    /// Whether [`RARE_WORD`] belongs here.
    fn has_rare_word(self) -> bool {
        self.index % 10_000 == 5_003
    }

    /// Whole milliseconds since the first timestamp.
    fn milliseconds(self) -> i64 {
        (self.timestamp_ns - START_NS) / 1_000_000
    }

    /// Time of day to the second, `HH:MM:SS`; all lines are of one day.
    fn time_of_day(self) -> String {
        let s = self.milliseconds() / 1000;
        format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    }

    /// Milliseconds within the second.
    fn millisecond(self) -> i64 {
        self.milliseconds() % 1000
    }

    /// Microseconds within the second.
    fn microsecond(self) -> i64 {
        (self.timestamp_ns - START_NS) / 1_000 % 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: usize = 20_000;

    #[test]
    fn the_same_seed_gives_the_same_lines_and_another_gives_others() {
        let texts = |w: Workload, seed| w.lines(500, seed).map(|l| l.text).collect::<Vec<_>>();
        for workload in Workload::ALL {
            assert_eq!(texts(workload, 1), texts(workload, 1), "{workload}");
            assert_ne!(texts(workload, 1), texts(workload, 2), "{workload}");
        }
    }

    #[test]
    fn timestamps_grow_within_the_span_and_miss_whole_seconds() {
        for workload in Workload::ALL {
            let mut before = START_NS;
            for line in workload.lines(LINES, 1) {
                assert!(line.timestamp_ns > before && line.timestamp_ns < START_NS + SPAN_NS, "{workload}");
                assert_ne!(line.timestamp_ns % 1_000_000_000, 0, "{workload}");
                before = line.timestamp_ns;
            }
        }
    }

    #[test]
    fn planted_texts_stand_where_they_should_and_nowhere_else() {
        for workload in Workload::ALL {
            let count = |needle: &str| workload.lines(LINES, 1).filter(|l| l.text.contains(needle)).count();
            assert_eq!(count(NEEDLE), NEEDLE_LINES, "{workload}");
            assert_eq!(count(RARE_WORD), LINES / 10_000, "{workload}");
            assert_eq!(count(ABSENT_WORD), 0, "{workload}");
        }
    }

    #[test]
    fn every_line_is_of_a_stream_and_most_streams_have_lines() {
        for workload in Workload::ALL {
            let streams = workload.streams();
            let mut seen = vec![false; streams.len()];
            for line in workload.lines(LINES, 1) {
                seen[line.stream] = true;
            }
            assert!(seen.iter().filter(|s| **s).count() * 2 > streams.len(), "{workload}");
        }
    }
}
