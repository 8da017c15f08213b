//! The tree of a template.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};

use super::functions::Function;

/// The main template and those that `define` and `block` name.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    pub(super) root: Vec<Node>,
    pub(super) named: HashMap<Vec<u8>, Vec<Node>>,
}

impl Definitions {
    /// The nodes of the main template.
    pub(super) fn root(&self) -> &[Node] {
        &self.root
    }
}

/// A piece of a template.
#[derive(Debug)]
pub(super) enum Node {
    Text(Vec<u8>),
    /// `{{pipeline}}`
    Action {
        at: usize,
        pipeline: Pipeline,
    },
    /// `{{if}}`
    If(Branch),
    /// `{{with}}`
    With(Branch),
    /// `{{range}}`
    Range(Branch),
    Break,
    Continue,
    /// `{{template "name" pipeline}}`
    Call {
        at: usize,
        name: Vec<u8>,
        pipeline: Option<Pipeline>,
    },
}

/// A condition and what it chooses between.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) at: usize,
    pub(super) pipeline: Pipeline,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Option<Vec<Node>>,
}

/// `$x := a | b c`
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) at: usize,
    pub(super) declared: Vec<String>,
    pub(super) is_assignment: bool,
    pub(super) commands: Vec<Command>,
}

/// An operand with its arguments.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) at: usize,
    pub(super) operands: Vec<Operand>,
}

/// A word of a command.
#[derive(Debug)]
pub(super) enum Operand {
    Dot {
        at: usize,
    },
    Nil {
        at: usize,
    },
    Bool {
        at: usize,
        value: bool,
    },
    Number {
        at: usize,
        text: String,
        number: Number,
    },
    Text {
        at: usize,
        source: String,
        value: Vec<u8>,
    },
    /// `.a.b`
    Field {
        at: usize,
        names: Vec<String>,
    },
    /// `$x.a`
    Variable {
        at: usize,
        name: String,
        names: Vec<String>,
    },
    Function {
        at: usize,
        function: &'static Function,
    },
    /// `(pipeline)`
    Pipeline(Box<Pipeline>),
    /// `(pipeline).a.b`
    Chain {
        at: usize,
        of: Box<Operand>,
        names: Vec<String>,
    },
}

/// A constant: what it is as an integer and as a float, where it is one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Number {
    pub(super) integer: Option<i64>,
    pub(super) float: Option<f64>,
    /// Written with a point or an exponent.
    pub(super) is_float: bool,
}

impl Operand {
    /// Where it begins.
    pub(super) fn at(&self) -> usize {
        match self {
            Self::Dot { at }
            | Self::Nil { at }
            | Self::Bool { at, .. }
            | Self::Number { at, .. }
            | Self::Text { at, .. }
            | Self::Field { at, .. }
            | Self::Variable { at, .. }
            | Self::Function { at, .. }
            | Self::Chain { at, .. } => *at,
            Self::Pipeline(pipeline) => pipeline.at,
        }
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dot { .. } => f.write_str("."),
            Self::Nil { .. } => f.write_str("nil"),
            Self::Bool { value, .. } => value.fmt(f),
            Self::Number { text, .. } => f.write_str(text),
            Self::Text { source, .. } => f.write_str(source),
            Self::Field { names, .. } => fields(f, names),
            Self::Variable { name, names, .. } => {
                f.write_str(name)?;
                fields(f, names)
            }
            Self::Function { function, .. } => f.write_str(function.name),
            Self::Pipeline(pipeline) => write!(f, "({pipeline})"),
            Self::Chain { of, names, .. } => {
                of.fmt(f)?;
                fields(f, names)
            }
        }
    }
}

fn fields(f: &mut Formatter<'_>, names: &[String]) -> fmt::Result {
    names.iter().try_for_each(|name| write!(f, ".{name}"))
}

impl Display for Command {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, operand) in self.operands.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{operand}")?;
        }
        Ok(())
    }
}

impl Display for Pipeline {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.declared.is_empty() {
            let operator = if self.is_assignment { "=" } else { ":=" };
            write!(f, "{} {operator} ", self.declared.join(", "))?;
        }
        for (index, command) in self.commands.iter().enumerate() {
            let pipe = if index == 0 { "" } else { " | " };
            write!(f, "{pipe}{command}")?;
        }
        Ok(())
    }
}
