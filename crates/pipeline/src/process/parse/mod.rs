//! The step `parse`: takes fields out of the line, or of another text, into structured metadata.
//!
//! One file a format. What the row has already under a field's name stays; what has no room is left out and counted.

mod json;
mod logfmt;
mod pattern;
mod regexp;

use timberyard_model::labels::is_label_name;

use self::pattern::FieldPattern;
use self::regexp::FieldExpression;
use super::description::{ParseDescription, ParseFormat};
use super::draft::{Draft, FieldsWanted};
use super::step::{Outcome, Step};

pub(super) struct Parse {
    reader: Reader,
    from: Option<String>,
    wanted: FieldsWanted,
}

enum Reader {
    Json,
    Logfmt,
    Regexp(FieldExpression),
    Pattern(FieldPattern),
}

impl Parse {
    pub(super) fn new(description: &ParseDescription) -> Result<Self, String> {
        let expression = || {
            let missing = "expression is missing: this format needs one";
            description.expression.as_deref().ok_or_else(|| missing.to_owned())
        };
        let without = |reader: Reader| match description.expression {
            None => Ok(reader),
            Some(_) => Err("expression says nothing for this format".to_owned()),
        };
        let reader = match description.format {
            ParseFormat::Json => without(Reader::Json)?,
            ParseFormat::Logfmt => without(Reader::Logfmt)?,
            ParseFormat::Regexp => Reader::Regexp(FieldExpression::new(expression()?)?),
            ParseFormat::Pattern => Reader::Pattern(FieldPattern::new(expression()?)?),
        };
        if !description.prefix.is_empty() && !is_label_name(&description.prefix) {
            return Err(format!("prefix: `{}` cannot begin a label's name", description.prefix));
        }
        let wanted = FieldsWanted {
            names: description.fields.clone(),
            prefix: description.prefix.clone(),
            line: description.line.clone(),
        };
        Ok(Self { reader, from: description.from.clone(), wanted })
    }
}

impl Step for Parse {
    fn apply(&self, row: &mut Draft<'_>) -> Outcome {
        let taken = row.take_fields(self.from.as_deref(), &self.wanted, |text, fields| match &self.reader {
            Reader::Json => json::read(text, fields),
            Reader::Logfmt => logfmt::read(text, fields),
            Reader::Regexp(expression) => expression.read(text, fields),
            Reader::Pattern(pattern) => pattern.read(text, fields),
        });
        match (taken.whole, taken.changed) {
            (true, false) => Outcome::Same,
            (true, true) => Outcome::Changed,
            (false, changed) => Outcome::Failed { changed },
        }
    }
}
