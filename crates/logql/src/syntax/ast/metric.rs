//! Metric queries: functions over ranges, aggregations, operators.

use std::time::Duration;

use timberyard_model::pattern::Pattern;

use super::{LabelFilter, LogExpression};

/// A query that returns numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricExpression {
    /// `rate({app="api"}[5m])`
    Range(Box<RangeAggregation>),
    /// `sum by (app) (…)`
    Vector(Box<VectorAggregation>),
    /// `a / b`. Never with literals on both sides: the parser computes those.
    Binary(Box<BinaryOperation>),
    /// `42`
    Literal(f64),
    /// `vector(42)`
    Constant(f64),
    /// `label_replace(…)`
    LabelReplace(Box<LabelReplace>),
}

/// A function over the entries of a time range.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeAggregation {
    /// Which function.
    pub operation: RangeOperation,
    /// The quantile of `quantile_over_time`, and of nothing else.
    pub parameter: Option<f64>,
    /// The entries.
    pub range: LogRange,
    /// `by` or `without` behind it; only where [`RangeOperation::takes_grouping`].
    pub grouping: Option<Grouping>,
}

/// Entries and the window of time behind each evaluation step.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRange {
    /// The entries.
    pub logs: LogExpression,
    /// The number taken from each entry. Last in the pipeline, wherever `[5m]` was written.
    pub unwrap: Option<Unwrap>,
    /// The width of the window.
    pub interval: Duration,
    /// How far the window lies back, in nanoseconds; negative looks ahead.
    pub offset_nanos: i64,
}

/// `| unwrap duration(latency) | __error__=""`
#[derive(Clone, Debug, PartialEq)]
pub struct Unwrap {
    /// The label that holds the number.
    pub label: String,
    /// How it is read.
    pub conversion: Conversion,
    /// Filters behind it; a sample has to pass all of them.
    pub post_filters: Vec<LabelFilter>,
}

/// How the text of a label becomes a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Conversion {
    /// As a decimal number.
    Number,
    /// `bytes(…)`: `5KiB` becomes 5120.
    Bytes,
    /// `duration(…)`: `1m` becomes 60 seconds.
    Duration,
    /// `duration_seconds(…)`: the same as `duration(…)`.
    DurationSeconds,
}

impl Conversion {
    /// The function's name; `None` for plain numbers.
    pub fn function(self) -> Option<&'static str> {
        match self {
            Self::Number => None,
            Self::Bytes => Some("bytes"),
            Self::Duration => Some("duration"),
            Self::DurationSeconds => Some("duration_seconds"),
        }
    }
}

/// Functions over a range of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RangeOperation {
    /// `count_over_time`
    Count,
    /// `rate`: entries a second, or with `unwrap` the sum of samples a second.
    Rate,
    /// `rate_counter`: growth a second of a counter that may restart.
    RateCounter,
    /// `bytes_over_time`
    Bytes,
    /// `bytes_rate`
    BytesRate,
    /// `avg_over_time`
    Average,
    /// `sum_over_time`
    Sum,
    /// `min_over_time`
    Minimum,
    /// `max_over_time`
    Maximum,
    /// `stdvar_over_time`
    Variance,
    /// `stddev_over_time`
    StandardDeviation,
    /// `quantile_over_time`
    Quantile,
    /// `first_over_time`
    First,
    /// `last_over_time`
    Last,
    /// `absent_over_time`
    Absent,
}

impl RangeOperation {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Count,
        Self::Rate,
        Self::RateCounter,
        Self::Bytes,
        Self::BytesRate,
        Self::Average,
        Self::Sum,
        Self::Minimum,
        Self::Maximum,
        Self::Variance,
        Self::StandardDeviation,
        Self::Quantile,
        Self::First,
        Self::Last,
        Self::Absent,
    ];

    /// The function's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count_over_time",
            Self::Rate => "rate",
            Self::RateCounter => "rate_counter",
            Self::Bytes => "bytes_over_time",
            Self::BytesRate => "bytes_rate",
            Self::Average => "avg_over_time",
            Self::Sum => "sum_over_time",
            Self::Minimum => "min_over_time",
            Self::Maximum => "max_over_time",
            Self::Variance => "stdvar_over_time",
            Self::StandardDeviation => "stddev_over_time",
            Self::Quantile => "quantile_over_time",
            Self::First => "first_over_time",
            Self::Last => "last_over_time",
            Self::Absent => "absent_over_time",
        }
    }

    /// Whether `by (…)` and `without (…)` may follow.
    pub fn takes_grouping(self) -> bool {
        matches!(
            self,
            Self::Average
                | Self::StandardDeviation
                | Self::Variance
                | Self::Quantile
                | Self::Maximum
                | Self::Minimum
                | Self::First
                | Self::Last
        )
    }

    /// Whether it can work on unwrapped samples.
    pub fn takes_unwrap(self) -> bool {
        !matches!(self, Self::Count | Self::Bytes | Self::BytesRate)
    }

    /// Whether it can work on entries alone, without `unwrap`.
    pub fn takes_entries(self) -> bool {
        matches!(self, Self::Bytes | Self::BytesRate | Self::Count | Self::Rate | Self::Absent)
    }
}

/// `by (a, b)` or `without (a, b)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grouping {
    /// `without` instead of `by`.
    pub without: bool,
    /// Label names as they were written.
    pub labels: Vec<String>,
}

/// An aggregation over series at one point in time.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorAggregation {
    /// Which.
    pub operation: VectorOperation,
    /// How many series `topk`, `bottomk` and `approx_topk` keep, at least 1; `None` for the others.
    pub parameter: Option<u64>,
    /// The series.
    pub inner: MetricExpression,
    /// `by` or `without`; without either all series fall into one group, as with `by ()`.
    /// Absent for `approx_topk`, without labels for `sort` and `sort_desc`.
    pub grouping: Option<Grouping>,
}

/// Aggregations over series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VectorOperation {
    /// `sum`
    Sum,
    /// `avg`
    Average,
    /// `count`
    Count,
    /// `max`
    Maximum,
    /// `min`
    Minimum,
    /// `stddev`
    StandardDeviation,
    /// `stdvar`
    Variance,
    /// `bottomk`
    BottomK,
    /// `topk`
    TopK,
    /// `approx_topk`
    ApproximateTopK,
    /// `sort`
    Sort,
    /// `sort_desc`
    SortDescending,
}

impl VectorOperation {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Sum,
        Self::Average,
        Self::Count,
        Self::Maximum,
        Self::Minimum,
        Self::StandardDeviation,
        Self::Variance,
        Self::BottomK,
        Self::TopK,
        Self::ApproximateTopK,
        Self::Sort,
        Self::SortDescending,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Average => "avg",
            Self::Count => "count",
            Self::Maximum => "max",
            Self::Minimum => "min",
            Self::StandardDeviation => "stddev",
            Self::Variance => "stdvar",
            Self::BottomK => "bottomk",
            Self::TopK => "topk",
            Self::ApproximateTopK => "approx_topk",
            Self::Sort => "sort",
            Self::SortDescending => "sort_desc",
        }
    }

    /// Whether it keeps a number of series that must be given.
    pub fn takes_parameter(self) -> bool {
        matches!(self, Self::BottomK | Self::TopK | Self::ApproximateTopK)
    }
}

/// Two expressions and what joins them.
#[derive(Clone, Debug, PartialEq)]
pub struct BinaryOperation {
    /// Left of the operator.
    pub left: MetricExpression,
    /// The operator.
    pub operator: BinaryOperator,
    /// `bool`: comparisons answer 0 or 1 instead of filtering.
    pub returns_bool: bool,
    /// How series of both sides find each other.
    pub matching: VectorMatching,
    /// Right of the operator.
    pub right: MetricExpression,
}

/// Operators between expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOperator {
    /// `or`
    Or,
    /// `and`
    And,
    /// `unless`
    Unless,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Modulo,
    /// `^`
    Power,
}

impl BinaryOperator {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Or,
        Self::And,
        Self::Unless,
        Self::Equal,
        Self::NotEqual,
        Self::Greater,
        Self::GreaterOrEqual,
        Self::Less,
        Self::LessOrEqual,
        Self::Add,
        Self::Subtract,
        Self::Multiply,
        Self::Divide,
        Self::Modulo,
        Self::Power,
    ];

    /// Its text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Or => "or",
            Self::And => "and",
            Self::Unless => "unless",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Power => "^",
        }
    }

    /// How tightly it binds: higher binds tighter. `^` is right-associative, all others left.
    pub fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Equal
            | Self::NotEqual
            | Self::Greater
            | Self::GreaterOrEqual
            | Self::Less
            | Self::LessOrEqual => 3,
            Self::Add | Self::Subtract => 4,
            Self::Multiply | Self::Divide | Self::Modulo => 5,
            Self::Power => 6,
        }
    }

    /// `==`, `!=`, `>`, `>=`, `<`, `<=`
    pub fn is_comparison(self) -> bool {
        self.precedence() == 3
    }

    /// `and`, `or`, `unless`
    pub fn is_set(self) -> bool {
        matches!(self, Self::Or | Self::And | Self::Unless)
    }

    /// The value of `left operator right` for two numbers; comparisons answer 1 or 0.
    /// Division and modulo by zero are NaN, as in Loki. `None` for the set operators.
    pub fn compute(self, left: f64, right: f64) -> Option<f64> {
        let truth = |holds: bool| if holds { 1.0 } else { 0.0 };
        Some(match self {
            Self::Or | Self::And | Self::Unless => return None,
            Self::Equal => truth(left == right),
            Self::NotEqual => truth(left != right),
            Self::Greater => truth(left > right),
            Self::GreaterOrEqual => truth(left >= right),
            Self::Less => truth(left < right),
            Self::LessOrEqual => truth(left <= right),
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide | Self::Modulo if right == 0.0 => f64::NAN,
            Self::Divide => left / right,
            Self::Modulo => left % right,
            Self::Power => left.powf(right),
        })
    }
}

/// How series of the two sides of an operator find each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VectorMatching {
    /// Which labels have to agree.
    pub labels: MatchingLabels,
    /// How many series of one side may match one series of the other.
    pub cardinality: Cardinality,
    /// Labels that `group_left (…)` or `group_right (…)` take over from the side that is "one".
    pub include: Vec<String>,
}

/// Which labels have to agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MatchingLabels {
    /// `on (…)`: these.
    On(Vec<String>),
    /// `ignoring (…)`, or nothing said: all but these.
    Ignoring(Vec<String>),
}

impl Default for MatchingLabels {
    fn default() -> Self {
        Self::Ignoring(Vec::new())
    }
}

/// How many series of one side may match one series of the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cardinality {
    /// Pairs only.
    #[default]
    OneToOne,
    /// `group_left`: many on the left.
    ManyToOne,
    /// `group_right`: many on the right.
    OneToMany,
}

/// `label_replace(inner, target, replacement, source, pattern)`
#[derive(Clone, Debug, PartialEq)]
pub struct LabelReplace {
    /// The series.
    pub inner: MetricExpression,
    /// The label to set.
    pub target: String,
    /// Its value, with `$1` and `${name}` for captures.
    pub replacement: String,
    /// The label to look at.
    pub source: String,
    /// What all of its value has to match.
    pub pattern: Pattern,
}

impl MetricExpression {
    /// Calls `visit` with every range aggregation in it, from left to right.
    pub fn for_each_range<'a>(&'a self, visit: &mut impl FnMut(&'a RangeAggregation)) {
        match self {
            Self::Range(range) => visit(range),
            Self::Vector(vector) => vector.inner.for_each_range(visit),
            Self::Binary(binary) => {
                binary.left.for_each_range(visit);
                binary.right.for_each_range(visit);
            }
            Self::LabelReplace(replace) => replace.inner.for_each_range(visit),
            Self::Literal(_) | Self::Constant(_) => {}
        }
    }
}
