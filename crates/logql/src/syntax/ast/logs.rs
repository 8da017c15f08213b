//! Log queries: selectors and the stages behind them.

use timberyard_model::matcher::LabelMatcher;

/// Streams and what is done to their lines.
#[derive(Clone, Debug, PartialEq)]
pub struct LogExpression {
    /// Which streams.
    pub selector: Selector,
    /// What happens to each line, in this order.
    pub stages: Vec<PipelineStage>,
}

/// A stream selector, `{app="api", env=~"prod|test"}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    /// All of them must accept. In a query at least one refuses the empty value.
    pub matchers: Vec<LabelMatcher>,
}

/// One step of a log pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum PipelineStage {
    /// `|= "text"` and its kin.
    LineFilter(LineFilter),
    /// `| json` (no expressions: all fields) or `| json code="response.code"`.
    Json(Vec<LabelExtraction>),
    /// `| logfmt`
    Logfmt(LogfmtParser),
    /// `| pattern "<ip> <_> <method>"`
    Pattern(String),
    /// `| regexp "(?P<name>…)"`
    Regexp(String),
    /// `| unpack`
    Unpack,
    /// `| status >= 500 and method = "GET"`
    LabelFilter(LabelFilter),
    /// `| line_format "{{.status}} {{.method}}"`
    LineFormat(String),
    /// `| label_format a=b, c="{{.d}}"`. Each target occurs once.
    LabelFormat(Vec<LabelFormat>),
    /// `| drop level, app="api"`
    Drop(Vec<NamedMatcher>),
    /// `| keep level, app="api"`
    Keep(Vec<NamedMatcher>),
    /// `| decolorize`
    Decolorize,
}

/// One line filter. A chain of filters is several stages; `or` is several operands.
#[derive(Clone, Debug, PartialEq)]
pub struct LineFilter {
    /// How operands are compared with the line.
    pub operator: LineFilterOperator,
    /// One of them suffices. Never empty; exactly one when the operator is a negated one
    /// (the parser turns `!= "a" or "b"` into `!= "a" != "b"`, as Loki does).
    pub any_of: Vec<LineFilterOperand>,
}

/// How a line filter compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineFilterOperator {
    /// `|=`
    Contains,
    /// `!=`
    NotContains,
    /// `|~`
    Matches,
    /// `!~`
    NotMatches,
    /// `|>`
    MatchesPattern,
    /// `!>`
    NotMatchesPattern,
}

impl LineFilterOperator {
    /// Whether it keeps the lines in which nothing is found.
    pub fn is_negated(self) -> bool {
        matches!(self, Self::NotContains | Self::NotMatches | Self::NotMatchesPattern)
    }

    /// Its text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Contains => "|=",
            Self::NotContains => "!=",
            Self::Matches => "|~",
            Self::NotMatches => "!~",
            Self::MatchesPattern => "|>",
            Self::NotMatchesPattern => "!>",
        }
    }
}

/// What a line filter looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineFilterOperand {
    /// A literal, an expression or a pattern, as the operator says.
    Text(String),
    /// `ip("10.0.0.0/8")`; only with `|=` and `!=`.
    Ip(String),
}

/// `code="response.code"` behind `json` or `logfmt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelExtraction {
    /// The label to set.
    pub label: String,
    /// Where its value is found.
    pub expression: String,
}

/// The `logfmt` parser.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogfmtParser {
    /// `--strict`: stop at the first malformed pair.
    pub strict: bool,
    /// `--keep-empty`: keep keys without a value.
    pub keep_empty: bool,
    /// Which keys to take; all of them when empty.
    pub extractions: Vec<LabelExtraction>,
}

/// A condition on labels.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelFilter {
    /// `method="GET"`, `method=~"GET|PUT"`.
    Text(LabelMatcher),
    /// `status >= 500`
    Number(LabelComparison<f64>),
    /// `duration > 1s500ms`, in nanoseconds.
    Duration(LabelComparison<i64>),
    /// `size > 20MB`, in bytes.
    Bytes(LabelComparison<u64>),
    /// `client = ip("10.0.0.0/8")`, or `!=` when negated.
    Ip {
        /// The label.
        name: String,
        /// An address, a range `a-b` or a prefix `a/8`.
        range: String,
        /// `!=`
        negated: bool,
    },
    /// `a and b`, `a, b`, `a b`
    And(Box<LabelFilter>, Box<LabelFilter>),
    /// `a or b`
    Or(Box<LabelFilter>, Box<LabelFilter>),
}

/// A label whose value, read as a quantity, is compared with a constant.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelComparison<T> {
    /// The label.
    pub name: String,
    /// How.
    pub comparison: Comparison,
    /// With what.
    pub value: T,
}

/// `==`, `!=`, `<` and so on, on quantities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=` or `==`
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
}

impl Comparison {
    /// Its text in a label filter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
        }
    }

    /// Whether `left` compares with `right` so. NaN is unequal to everything, as in IEEE 754.
    pub fn holds<T: PartialOrd>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
        }
    }
}

/// One assignment of `label_format`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelFormat {
    /// The label to set.
    pub target: String,
    /// Where its value comes from.
    pub source: LabelFormatSource,
}

/// What a label is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelFormatSource {
    /// `a=b`: the label `b`, which is gone afterwards.
    Rename(String),
    /// `a="{{.b}}"`: what the template prints.
    Template(String),
}

/// What `drop` and `keep` select: a name, or a name with a certain value.
#[derive(Clone, Debug, PartialEq)]
pub enum NamedMatcher {
    /// The label, whatever its value.
    Name(String),
    /// The label when its value is accepted.
    Matcher(LabelMatcher),
}

impl NamedMatcher {
    /// The label it is about.
    pub fn name(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Matcher(matcher) => &matcher.name,
        }
    }
}
