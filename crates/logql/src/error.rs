//! Why a query has no result. Few kinds, each of which tells the caller what to do; which HTTP status
//! each becomes is the server's business.

use timberyard_model::Labels;
use timberyard_model::cancellation::CancelReason;
use timberyard_model::scan::ScanError;

use crate::stage::StageError;
use crate::stage::row::ERROR_LABEL;
use crate::syntax::SyntaxError;

/// Why a query has no result.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum QueryError {
    /// The text is not LogQL, or makes no sense.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// The query is wrong in itself, such as an expression that does not compile.
    #[error("{0}")]
    Invalid(String),
    /// A stage of a pipeline does not compile.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// It would exceed a limit; narrow it.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A sample of a metric query carries an error that no filter took away.
    #[error(
        "pipeline error: '{error}' for series: '{series}'.\n\
         Use a label filter to intentionally skip this error. (e.g | __error__!=\"{error}\").\n\
         To skip all potential errors you can match empty errors.(e.g __error__=\"\")\n\
         The label filter can also be specified after unwrap. (e.g | unwrap latency | __error__=\"\" )\n"
    )]
    Pipeline {
        /// The kind of error: the value of `__error__`.
        error: String,
        /// The labels of the sample.
        series: Labels,
    },
    /// The series do not fit together, such as two matches where one is allowed.
    #[error("{0}")]
    Execution(String),
    /// Nobody waits for the result any longer.
    #[error("query was cancelled: {0:?}")]
    Cancelled(CancelReason),
    /// The store could not answer.
    #[error(transparent)]
    Source(ScanError),
}

/// A limit that a query ran into, with its value. The words are Loki's where Loki has the limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// More lines were asked for than one log query may return.
    #[error("max entries limit per query exceeded, limit > max_entries_limit_per_query ({asked} > {limit})")]
    Entries {
        /// Lines asked for.
        asked: usize,
        /// The most allowed.
        limit: usize,
    },
    /// The result has too many series.
    #[error(
        "maximum number of series ({limit}) reached for a single query; consider reducing query cardinality by \
         adding more specific stream selectors, reducing the time range, or aggregating results with functions \
         like sum(), count() or topk()"
    )]
    Series {
        /// The most allowed.
        limit: usize,
    },
    /// The range has too many steps.
    #[error(
        "exceeded maximum resolution of {} points per time series. Try increasing the value of the step parameter",
        thousands(*.limit)
    )]
    Points {
        /// The most allowed.
        limit: usize,
    },
    /// Rows and intermediate states need too much memory.
    #[error(
        "query needs more than {limit} bytes of memory; narrow its selector or time range, or aggregate fewer labels"
    )]
    Memory {
        /// The most allowed, in bytes.
        limit: usize,
    },
}

impl QueryError {
    /// The error of a sample whose labels hold `__error__`.
    pub(crate) fn pipeline(series: Labels) -> Self {
        let error = series.get(ERROR_LABEL).unwrap_or_default().to_owned();
        Self::Pipeline { error, series }
    }
}

impl From<ScanError> for QueryError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Cancelled(reason) => Self::Cancelled(reason),
            ScanError::Memory { limit } => Self::Limit(LimitError::Memory { limit }),
            other => Self::Source(other),
        }
    }
}

/// `11000` as `11,000`.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_named_with_their_value() {
        assert_eq!(
            LimitError::Points { limit: 11_000 }.to_string(),
            "exceeded maximum resolution of 11,000 points per time series. \
             Try increasing the value of the step parameter"
        );
        let series = LimitError::Series { limit: 500 }.to_string();
        assert!(
            series.starts_with("maximum number of series (500) reached for a single query; "),
            "{series}"
        );
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }

    #[test]
    fn a_pipeline_error_names_the_series_and_the_way_out() {
        let error =
            QueryError::pipeline(Labels::from_pairs([("__error__", "JSONParserErr"), ("app", "api")]));
        let text = error.to_string();
        assert!(text.starts_with(
            "pipeline error: 'JSONParserErr' for series: '{__error__=\"JSONParserErr\", app=\"api\"}'.\n"
        ));
        assert!(text.contains("(e.g | __error__!=\"JSONParserErr\")"), "{text}");
    }
}
