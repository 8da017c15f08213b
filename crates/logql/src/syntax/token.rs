//! The words of LogQL.

use super::ast::{RangeOperation, VectorOperation};
use super::error::Position;

/// A word and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Located {
    pub(super) token: Token,
    pub(super) position: Position,
}

/// One word of a query.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A label name.
    Identifier(String),
    /// A string without its quotes.
    Text(String),
    /// A number as it was written; only a few places need its value.
    Number(String),
    /// `1h30m`, `-5m`: nanoseconds.
    Duration(i64),
    /// `5KB`
    Bytes(u64),
    /// `[5m]`: nanoseconds, never negative.
    Range(i64),
    /// `rate` and its like before `(`.
    RangeFunction(RangeOperation),
    /// `sum` and its like before `(`, `by (` or `without (`.
    VectorFunction(VectorOperation),
    /// A keyword, an operator or a bracket.
    Symbol(Symbol),
    /// A character that begins nothing.
    Stray,
    /// What cannot be read, and why.
    Broken(String),
    /// The end of the text.
    End,
}

impl Token {
    /// What Loki's messages call it.
    pub(super) fn describe(&self) -> String {
        let name = match self {
            Self::Identifier(_) | Self::Stray | Self::Broken(_) => "IDENTIFIER",
            Self::Text(_) => "STRING",
            Self::Number(_) => "NUMBER",
            Self::Duration(_) => "DURATION",
            Self::Bytes(_) => "BYTES",
            Self::Range(_) => "RANGE",
            Self::RangeFunction(operation) => return operation.as_str().to_uppercase(),
            Self::VectorFunction(operation) => return operation.as_str().to_uppercase(),
            Self::Symbol(symbol) => symbol.as_str(),
            Self::End => "$end",
        };
        name.to_owned()
    }
}

macro_rules! symbols {
    ($(#[$doc:meta])* $($name:ident = $text:literal),* $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Symbol {
            $(#[doc = $text] $name,)*
        }

        impl Symbol {
            /// All of them.
            const ALL: &'static [Self] = &[$(Self::$name),*];

            /// How it is written.
            pub(super) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

symbols! {
    /// Keywords, operators and brackets.
    Comma = ",",
    Dot = ".",
    OpenBrace = "{",
    CloseBrace = "}",
    OpenParenthesis = "(",
    CloseParenthesis = ")",
    CloseBracket = "]",
    Assign = "=",
    NotEqual = "!=",
    Matches = "=~",
    NotMatches = "!~",
    NotPattern = "!>",
    PipeExact = "|=",
    PipeMatch = "|~",
    PipePattern = "|>",
    Pipe = "|",
    Equal = "==",
    Greater = ">",
    GreaterOrEqual = ">=",
    Less = "<",
    LessOrEqual = "<=",
    Add = "+",
    Subtract = "-",
    Multiply = "*",
    Divide = "/",
    Modulo = "%",
    Power = "^",
    Or = "or",
    And = "and",
    Unless = "unless",
    By = "by",
    Without = "without",
    Bool = "bool",
    On = "on",
    Ignoring = "ignoring",
    GroupLeft = "group_left",
    GroupRight = "group_right",
    Offset = "offset",
    Unwrap = "unwrap",
    Json = "json",
    Logfmt = "logfmt",
    Regexp = "regexp",
    Unpack = "unpack",
    Pattern = "pattern",
    LabelFormat = "label_format",
    LineFormat = "line_format",
    Decolorize = "decolorize",
    Drop = "drop",
    Keep = "keep",
    Ip = "ip",
    LabelReplace = "label_replace",
    Vector = "vector",
    BytesConversion = "bytes",
    DurationConversion = "duration",
    DurationSecondsConversion = "duration_seconds",
    Strict = "--strict",
    KeepEmpty = "--keep-empty",
}

impl Symbol {
    /// The symbol with that text, if there is one.
    pub(super) fn of(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|symbol| symbol.as_str() == text)
    }

    /// Whether it is a word only in front of a parenthesis and a label name otherwise.
    pub(super) fn is_function(self) -> bool {
        matches!(
            self,
            Self::Ip
                | Self::LabelReplace
                | Self::Vector
                | Self::BytesConversion
                | Self::DurationConversion
                | Self::DurationSecondsConversion
        )
    }
}
