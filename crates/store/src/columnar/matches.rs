//! Which of some rows pass.

/// Which of some rows pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Matches {
    /// No row.
    None,
    /// Every row.
    All,
    /// The rows where it says so.
    Some(Vec<bool>),
}

impl Matches {
    /// Rows that pass this or the other.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::None, matches) | (matches, Self::None) => matches,
            (Self::Some(mut left), Self::Some(right)) => {
                left.iter_mut().zip(right).for_each(|(l, r)| *l |= r);
                Self::Some(left)
            }
        }
    }

    /// Rows that pass this and the other.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => Self::None,
            (Self::All, matches) | (matches, Self::All) => matches,
            (Self::Some(mut left), Self::Some(right)) => {
                left.iter_mut().zip(right).for_each(|(l, r)| *l &= r);
                if left.contains(&true) { Self::Some(left) } else { Self::None }
            }
        }
    }

    /// Rows that do not pass.
    pub(crate) fn not(self) -> Self {
        match self {
            Self::None => Self::All,
            Self::All => Self::None,
            Self::Some(mut rows) => {
                rows.iter_mut().for_each(|row| *row = !*row);
                Self::Some(rows)
            }
        }
    }

    /// Whether a row passes.
    #[inline]
    pub(crate) fn has(&self, row: usize) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Some(rows) => rows[row],
        }
    }

    /// From one answer a row; `None` and `All` where they are all alike.
    pub(crate) fn from_rows(rows: Vec<bool>) -> Self {
        match rows.first() {
            None => Self::None,
            Some(first) if rows.iter().all(|row| row == first) => {
                if *first {
                    Self::All
                } else {
                    Self::None
                }
            }
            Some(_) => Self::Some(rows),
        }
    }
}
