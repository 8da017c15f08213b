//! Random selectors that fit what [`crate::harness::BatchSource`] sends.

use timberyard_model::matcher::{LabelMatcher, LineFilter, LinePattern, ValueTest};
use timberyard_model::pattern::Pattern;
use timberyard_model::{RowCondition, RowSelector, TimeRange, Timestamp};
use timberyard_store::DeletionRequest;

use crate::conditions;
use crate::harness::BatchSource;
use crate::simulated_disk::Random;

/// Something to delete; now and then nothing fits it.
pub(crate) fn deletion(random: &mut Random, now: Timestamp) -> DeletionRequest {
    let mut line_filters = line_filters(random);
    if random.chance(40) {
        line_filters.clear();
    }
    DeletionRequest {
        tenant: BatchSource::tenants()[usize::from(random.chance(20))].clone(),
        selector: RowSelector {
            matchers: matchers(random),
            range: range(random, now),
            line_filters,
            condition: condition(random),
        },
        text: format!("deletion {}", random.below(3)),
    }
}

/// Nothing, or a condition on metadata and perhaps the line.
fn condition(random: &mut Random) -> Option<RowCondition> {
    let texts =
        ["trace=value-1", "trace=value-2+row 1", "detected_level=info", "detected_level=+word", "none="];
    random.chance(40).then(|| conditions::condition(texts[random.below(texts.len())]))
}

pub(crate) fn matchers(random: &mut Random) -> Vec<LabelMatcher> {
    let service = format!("service-{}", random.below(4));
    let test = match random.below(5) {
        0 => return Vec::new(),
        1 => ValueTest::NotEqual(service.into()),
        2 => ValueTest::Matches(Pattern::whole("service-[01]").expect("valid")),
        _ => ValueTest::Equal(service.into()),
    };
    let mut matchers = vec![LabelMatcher { name: "service_name".into(), test }];
    if random.chance(40) {
        matchers.push(LabelMatcher::equal("pod", "pod-1"));
    }
    matchers
}

pub(crate) fn line_filters(random: &mut Random) -> Vec<LineFilter> {
    let patterns = ["word word word", "row 3", "batch 1", "nowhere to be found", "the same"];
    let mut filters = Vec::new();
    while random.chance(40) {
        let text = patterns[random.below(patterns.len())];
        let pattern = if random.chance(30) {
            LinePattern::Regex(Pattern::anywhere(&text.replace(' ', "[ _]")).expect("valid"))
        } else {
            LinePattern::Literal(text.as_bytes().into())
        };
        filters.push(LineFilter { negated: random.chance(30), any_of: vec![pattern] });
    }
    filters
}

pub(crate) fn range(random: &mut Random, now: Timestamp) -> TimeRange {
    if random.chance(30) {
        return TimeRange::ALL;
    }
    let mut point = || {
        let hours = random.below(72) as i64 - 48;
        now.saturating_add_nanos(hours * 3_600_000_000_000 + random.below(1000) as i64)
    };
    let (a, b) = (point(), point());
    TimeRange::new(a.min(b), a.max(b))
}
