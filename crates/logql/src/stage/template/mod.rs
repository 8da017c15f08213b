//! Templates of `line_format` and `label_format`: the language of Go's `text/template` with Loki's
//! functions.
//!
//! Text is bytes, as in Go. What a template can cost is bounded: nesting when it is read; steps,
//! depth of calls and bytes of text when it runs on a row. An error stops the template with the
//! words that Go has for it.

mod decimal;
mod format;
mod functions;
mod json_value;
mod lexer;
mod moment;
mod node;
mod parser;
mod run;
mod time_layout;
mod value;

use timberyard_model::Timestamp;

use self::functions::Expressions;
use self::node::{Definitions, Node, Operand};

/// The most bytes that a template may print, or that any text in it may have.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// The most nodes and calls that a template may take on one row.
const STEPS_MAX: usize = 100_000;

/// How deep parentheses, blocks and calls of templates may nest.
const DEPTH_MAX: usize = 64;

/// A template, ready to run.
pub(crate) struct Template {
    name: &'static str,
    text: String,
    definitions: Definitions,
    expressions: Expressions,
}

/// What a template sees of a row.
pub(crate) trait Scope {
    /// The value of a label.
    fn label(&self, name: &str) -> Option<&str>;
    /// Calls `visit` with all labels.
    fn for_each_label(&self, visit: &mut dyn FnMut(&str, &str));
    /// The line.
    fn line(&self) -> &[u8];
    /// When it happened.
    fn timestamp(&self) -> Timestamp;
    /// The time at which the query was asked, if that is known.
    fn now(&self) -> Option<Timestamp>;
}

impl Template {
    /// Reads a template; `name` is what errors call it.
    pub(crate) fn parse(name: &'static str, text: &str) -> Result<Self, String> {
        let definitions = parser::parse(name, text)?;
        Ok(Self { name, text: text.to_owned(), definitions, expressions: Expressions::default() })
    }

    /// Appends what the template prints for a row. What it printed before an error stays.
    pub(crate) fn execute(&self, scope: &dyn Scope, output: &mut Vec<u8>) -> Result<(), String> {
        run::execute(self, scope, output)
    }

    /// The label when the template is no more than `{{.label}}`.
    pub(crate) fn single_field(&self) -> Option<&str> {
        match self.definitions.root() {
            [Node::Action { pipeline, .. }] if pipeline.declared.is_empty() => {
                match pipeline.commands.as_slice() {
                    [command] => match command.operands.as_slice() {
                        [Operand::Field { names, .. }] if names.len() == 1 => Some(&names[0]),
                        _ => None,
                    },
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
