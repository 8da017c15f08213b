//! A value as it was written, and how it becomes a number, a size, a time span, a switch or a list.

use timberyard_model::quantity;

/// A value before its key has looked at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// Text: from the environment, a flag, or a YAML string.
    Text(String),
    /// A YAML number or boolean, as YAML shows it.
    Bare(String),
    /// A YAML list.
    List(Vec<Written>),
    /// A mapping in a list, or in another one.
    Fields(Vec<(String, Written)>),
}

impl Written {
    /// The text, of text or a bare scalar.
    pub(crate) fn scalar(&self) -> Result<&str, String> {
        match self {
            Self::Text(text) | Self::Bare(text) => Ok(text.trim()),
            Self::List(_) | Self::Fields(_) => Err("must be one value, not a list".to_owned()),
        }
    }

    /// Text that must not be changed by YAML's reading of numbers (`007`, `1e3`, `yes`).
    pub(crate) fn text(&self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Bare(text) => Err(format!("must be text: write it in quotes, as \"{text}\"")),
            Self::List(_) | Self::Fields(_) => Err("must be one value, not a list".to_owned()),
        }
    }

    /// Items: a YAML list, or one text with commas between them. Empty items are left out.
    pub(crate) fn items(&self) -> Result<Vec<String>, String> {
        match self {
            Self::List(items) => items.iter().map(Self::text).collect(),
            _ => Ok(self
                .text()?
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(str::to_owned)
                .collect()),
        }
    }

    /// `true`, `false`, and the words that environment variables use for them.
    pub(crate) fn switch(&self) -> Result<bool, String> {
        let text = self.scalar()?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(format!("must be true or false, not `{text}`")),
        }
    }

    /// A whole number.
    pub(crate) fn count(&self) -> Result<u64, String> {
        let text = self.scalar()?;
        text.parse().map_err(|_| format!("must be a whole number, not `{text}`"))
    }

    /// A size in bytes: `1048576`, `16MiB`, `2 GB`.
    pub(crate) fn bytes(&self) -> Result<u64, String> {
        quantity::parse_bytes(self.scalar()?)
    }

    /// A time span in seconds: `30`, `30s`, `5m`, `1h`, `7d`.
    pub(crate) fn seconds(&self) -> Result<u64, String> {
        quantity::parse_seconds(self.scalar()?)
    }

    /// Whether nothing is written: an empty variable, or YAML's `""`, `[]` or null.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) | Self::Bare(text) => text.trim().is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Fields(fields) => fields.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Written {
        Written::Text(text.to_owned())
    }

    #[test]
    fn text_that_yaml_would_change_must_be_quoted() {
        assert_eq!(
            Written::Bare("7".to_owned()).text(),
            Err("must be text: write it in quotes, as \"7\"".to_owned())
        );
        assert_eq!(text("a, b,,c").items(), Ok(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]));
        assert_eq!(text("No").switch(), Ok(false));
        assert!(text("maybe").switch().is_err());
    }
}
