//! Text that gives access to another engine, and is shown to nobody.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// What stands in its place wherever settings are shown.
const MASK: &str = "********";

/// A password, or another text that must not be seen. Written out, to people or as JSON, it is a mask.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    /// A password of that text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the engine alone.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.is_empty() { "none" } else { MASK })
    }
}

impl Serialize for Password {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.is_empty() { "" } else { MASK })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_never_shown() {
        let password = Password::new("hush");
        assert_eq!(format!("{password:?}"), MASK);
        assert_eq!(password.reveal(), "hush");
        assert!(Password::default().is_empty());
    }
}
