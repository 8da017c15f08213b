//! Properties of parser and printer together: what is printed reads back as the same tree, and no
//! text makes the parser panic.

use std::time::Duration;

use proptest::prelude::*;
use timberyard_model::limits::QueryLimits;
use timberyard_model::matcher::{LabelMatcher, ValueTest};
use timberyard_model::pattern::Pattern;

use super::ast::*;
use super::{parse, pretty};
use crate::quantity::bytes;

fn name() -> impl Strategy<Value = String> {
    // None of these is a keyword; some are names of functions.
    prop::sample::select(vec![
        "app",
        "env",
        "a",
        "_b9",
        "rate",
        "sum",
        "duration",
        "__error__",
        "ip",
        "vector",
    ])
    .prop_map(str::to_owned)
}

fn names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(name(), 0..3)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,8}", "\\PC{0,4}", any::<String>(), Just("a\"b\\`\n\t\u{0}".to_owned())]
}

fn expression_text() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a|b", ".*", ".+", "a.b+", "(x|y)z", "`", "\\d\"", "(?i)err"])
        .prop_map(str::to_owned)
}

fn matcher() -> impl Strategy<Value = LabelMatcher> {
    let pattern = || expression_text().prop_map(|text| Pattern::whole(&text).expect("compiles"));
    let test = prop_oneof![
        text().prop_map(|text| ValueTest::Equal(text.into())),
        text().prop_map(|text| ValueTest::NotEqual(text.into())),
        pattern().prop_map(ValueTest::Matches),
        pattern().prop_map(ValueTest::NotMatches),
    ];
    (name(), test).prop_map(|(name, test)| LabelMatcher { name: name.into(), test })
}

fn comparison() -> impl Strategy<Value = Comparison> {
    prop::sample::select(vec![
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
        Comparison::Less,
        Comparison::LessOrEqual,
    ])
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<i32>().prop_map(f64::from),
        -1e9f64..1e9,
        prop::sample::select(vec![0.0, 1.0, 1e300, 1e-300, 0.1, 1e21, 12345.678]),
    ]
}

fn compare<T: Clone + std::fmt::Debug>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = LabelComparison<T>> {
    (name(), comparison(), value).prop_map(|(name, comparison, value)| LabelComparison {
        name,
        comparison,
        value,
    })
}

fn label_filter() -> impl Strategy<Value = LabelFilter> {
    let leaf = prop_oneof![
        matcher().prop_map(LabelFilter::Text),
        compare(number()).prop_map(LabelFilter::Number),
        compare(-(1i64 << 60)..(1 << 60)).prop_map(LabelFilter::Duration),
        compare(
            // Nothing is printed as `0B`, as by Loki, and read by neither.
            prop_oneof![1..(1u64 << 50), (1u64..999).prop_map(|n| n * 1_000_000)].prop_map(bytes::rounded)
        )
        .prop_map(LabelFilter::Bytes),
        (name(), text(), any::<bool>()).prop_map(|(name, range, negated)| LabelFilter::Ip {
            name,
            range,
            negated
        }),
    ];
    leaf.prop_recursive(4, 12, 2, |inner| {
        (inner.clone(), inner, any::<bool>()).prop_map(|(left, right, and)| {
            let (left, right) = (Box::new(left), Box::new(right));
            if and { LabelFilter::And(left, right) } else { LabelFilter::Or(left, right) }
        })
    })
}

fn line_filter() -> impl Strategy<Value = LineFilter> {
    let operand =
        || prop_oneof![text().prop_map(LineFilterOperand::Text), text().prop_map(LineFilterOperand::Ip)];
    let positive = prop::sample::select(vec![
        LineFilterOperator::Contains,
        LineFilterOperator::Matches,
        LineFilterOperator::MatchesPattern,
    ]);
    let negated = prop::sample::select(vec![
        LineFilterOperator::NotContains,
        LineFilterOperator::NotMatches,
        LineFilterOperator::NotMatchesPattern,
    ]);
    prop_oneof![
        (positive, prop::collection::vec(operand(), 1..4))
            .prop_map(|(operator, any_of)| LineFilter { operator, any_of }),
        (negated, operand()).prop_map(|(operator, operand)| LineFilter { operator, any_of: vec![operand] }),
    ]
}

fn extractions(least: usize) -> impl Strategy<Value = Vec<LabelExtraction>> {
    let one = (name(), text()).prop_map(|(label, expression)| LabelExtraction { label, expression });
    prop::collection::vec(one, least..3)
}

fn stage() -> impl Strategy<Value = PipelineStage> {
    let format = (
        name(),
        prop_oneof![name().prop_map(LabelFormatSource::Rename), text().prop_map(LabelFormatSource::Template)],
    )
        .prop_map(|(target, source)| LabelFormat { target, source });
    let named = || {
        prop::collection::vec(
            prop_oneof![name().prop_map(NamedMatcher::Name), matcher().prop_map(NamedMatcher::Matcher)],
            1..3,
        )
    };
    prop_oneof![
        3 => line_filter().prop_map(PipelineStage::LineFilter),
        1 => extractions(0).prop_map(PipelineStage::Json),
        1 => (any::<bool>(), any::<bool>(), extractions(0)).prop_map(|(strict, keep_empty, extractions)| {
            PipelineStage::Logfmt(LogfmtParser { strict, keep_empty, extractions })
        }),
        1 => Just(PipelineStage::Pattern("<a> \"<b>".to_owned())),
        1 => Just(PipelineStage::Regexp("(?P<n>\\w+)`".to_owned())),
        1 => prop_oneof![Just(PipelineStage::Unpack), Just(PipelineStage::Decolorize)],
        2 => label_filter().prop_map(PipelineStage::LabelFilter),
        1 => text().prop_map(PipelineStage::LineFormat),
        1 => prop::collection::vec(format, 1..3).prop_map(PipelineStage::LabelFormat),
        1 => named().prop_map(PipelineStage::Drop),
        1 => named().prop_map(PipelineStage::Keep),
    ]
}

fn logs() -> impl Strategy<Value = LogExpression> {
    (prop::collection::vec(matcher(), 0..2), prop::collection::vec(stage(), 0..5)).prop_map(
        |(mut matchers, mut stages)| {
            matchers.push(LabelMatcher::equal("app", "x"));
            stages.dedup_by(|next, stage| takes_for_matcher(stage, next));
            LogExpression { selector: Selector { matchers }, stages }
        },
    )
}

/// `| drop a` cannot be followed by `!= "x"`: that would be a matcher on `a`.
fn takes_for_matcher(stage: &PipelineStage, next: &PipelineStage) -> bool {
    let ends_with_name = match stage {
        PipelineStage::Drop(labels) | PipelineStage::Keep(labels) => {
            matches!(labels.last(), Some(NamedMatcher::Name(_)))
        }
        _ => false,
    };
    let is_operator_of_matchers = match next {
        PipelineStage::LineFilter(filter) => {
            matches!(filter.operator, LineFilterOperator::NotContains | LineFilterOperator::NotMatches)
        }
        _ => false,
    };
    ends_with_name && is_operator_of_matchers
}

fn grouping() -> impl Strategy<Value = Grouping> {
    (any::<bool>(), names()).prop_map(|(without, labels)| Grouping { without, labels })
}

fn range() -> impl Strategy<Value = MetricExpression> {
    let conversion = prop::sample::select(vec![
        Conversion::Number,
        Conversion::Bytes,
        Conversion::Duration,
        Conversion::DurationSeconds,
    ]);
    let unwrap = (name(), conversion, prop::collection::vec(label_filter(), 0..2))
        .prop_map(|(label, conversion, post_filters)| Unwrap { label, conversion, post_filters });
    (
        prop::sample::select(RangeOperation::ALL.to_vec()),
        logs(),
        unwrap,
        any::<bool>(),
        prop::option::of(grouping()),
        1u64..100_000_000,
        prop_oneof![Just(0), any::<i32>().prop_map(i64::from)],
        number(),
    )
        .prop_map(|(operation, logs, unwrap, wants_unwrap, grouping, millis, offset_nanos, number)| {
            let unwraps = operation.takes_unwrap() && (wants_unwrap || !operation.takes_entries());
            MetricExpression::Range(Box::new(RangeAggregation {
                operation,
                parameter: (operation == RangeOperation::Quantile).then_some(number.abs()),
                range: LogRange {
                    logs,
                    unwrap: unwraps.then_some(unwrap),
                    interval: Duration::from_millis(millis),
                    offset_nanos,
                },
                grouping: grouping.filter(|_| operation.takes_grouping()),
            }))
        })
}

fn vector(
    inner: MetricExpression,
    operation: VectorOperation,
    count: u64,
    grouping: Option<Grouping>,
) -> MetricExpression {
    let grouping = match operation {
        VectorOperation::ApproximateTopK => None,
        VectorOperation::Sort | VectorOperation::SortDescending => None,
        // `by ()` says the same as nothing and is not printed.
        _ => grouping.filter(|grouping| grouping.without || !grouping.labels.is_empty()),
    };
    let parameter = operation.takes_parameter().then_some(count);
    MetricExpression::Vector(Box::new(VectorAggregation { operation, parameter, inner, grouping }))
}

fn matching() -> impl Strategy<Value = VectorMatching> {
    (any::<bool>(), names(), 0..3, names()).prop_map(|(on, labels, cardinality, include)| {
        let labels = if on { MatchingLabels::On(labels) } else { MatchingLabels::Ignoring(labels) };
        match cardinality {
            0 => VectorMatching { labels, cardinality: Cardinality::OneToOne, include: Vec::new() },
            1 => VectorMatching { labels, cardinality: Cardinality::ManyToOne, include },
            _ => VectorMatching { labels, cardinality: Cardinality::OneToMany, include },
        }
    })
}

fn metric() -> impl Strategy<Value = MetricExpression> {
    let leaf = prop_oneof![3 => range(), 1 => number().prop_map(|n| MetricExpression::Constant(n.abs()))];
    leaf.prop_recursive(4, 10, 2, |inner| {
        prop_oneof![
            (
                inner.clone(),
                prop::sample::select(VectorOperation::ALL.to_vec()),
                1u64..1000,
                prop::option::of(grouping())
            )
                .prop_map(|(inner, operation, count, grouping)| vector(inner, operation, count, grouping)),
            (
                inner.clone(),
                inner.clone(),
                prop::sample::select(BinaryOperator::ALL.to_vec()),
                any::<bool>(),
                matching()
            )
                .prop_map(|(left, right, operator, returns_bool, matching)| {
                    MetricExpression::Binary(Box::new(BinaryOperation {
                        left,
                        operator,
                        returns_bool,
                        matching,
                        right,
                    }))
                }),
            (inner.clone(), number()).prop_map(|(left, number)| {
                MetricExpression::Binary(Box::new(BinaryOperation {
                    left,
                    operator: BinaryOperator::Divide,
                    returns_bool: false,
                    matching: VectorMatching::default(),
                    right: MetricExpression::Literal(number),
                }))
            }),
            (inner, text(), text(), text(), expression_text()).prop_map(
                |(inner, target, replacement, source, pattern)| {
                    let pattern = Pattern::whole(&pattern).expect("compiles");
                    MetricExpression::LabelReplace(Box::new(LabelReplace {
                        inner,
                        target,
                        replacement,
                        source,
                        pattern,
                    }))
                }
            ),
        ]
    })
}

fn query() -> impl Strategy<Value = Expression> {
    prop_oneof![logs().prop_map(Expression::Logs), metric().prop_map(Expression::Metric)]
}

/// Parses anything; what parses must print and read back.
fn fuzz_parse(data: &[u8]) {
    let limits = QueryLimits::default();
    if let Ok(expression) = parse(&String::from_utf8_lossy(data), &limits) {
        let printed = expression.to_string();
        // Literals such as NaN have no text of their own, and printing adds parentheses.
        if let Ok(again) = parse(&printed, &limits) {
            assert_eq!(again.to_string(), printed);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_printed_query_reads_back_as_itself(expression in query()) {
        let limits = QueryLimits::default();
        let printed = expression.to_string();
        prop_assert_eq!(&parse(&printed, &limits).expect(&printed), &expression);
        let formatted = pretty(&expression);
        prop_assert_eq!(&parse(&formatted, &limits).expect(&formatted), &expression, "{}", formatted);
    }

    #[test]
    fn a_damaged_query_is_read_or_refused_but_never_panics(
        expression in query(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), "[ -~]{0,3}"), 1..4),
    ) {
        let mut bytes = expression.to_string().into_bytes();
        for (from, to, insert) in cuts {
            let (a, b) = (from.index(bytes.len() + 1), to.index(bytes.len() + 1));
            let (a, b) = (a.min(b), a.max(b).min(a.min(b) + 5));
            bytes.splice(a..b, insert.into_bytes());
        }
        fuzz_parse(&bytes);
    }

    #[test]
    fn random_bytes_never_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz_parse(&data);
    }
}
