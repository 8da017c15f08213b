//! Values of the fields of rows, where a source hands them over instead of lines.
//!
//! Each field has a list of values; a row names one of them by number. Equal values may be there more than once, but
//! a value that many rows have mostly is there once, so that what is found out about it need not be found out again.

/// The values of one field, numbered.
#[derive(Clone, Debug, Default)]
pub struct FieldValues {
    text: String,
    ends: Vec<u32>,
}

/// The fields of one row.
#[derive(Clone, Copy, Debug)]
pub struct RowFields<'a> {
    values: &'a [FieldValues],
    numbers: &'a [u32],
}

/// The fields of all rows of a block.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldTable {
    pub(crate) values: Vec<FieldValues>,
    numbers: Vec<u32>,
}

impl FieldValues {
    /// Stands for the value that a row does not have.
    pub const ABSENT: u32 = u32::MAX;

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The value of that number; `None` for [`FieldValues::ABSENT`] and for numbers that were not given out.
    #[inline]
    pub fn get(&self, number: u32) -> Option<&str> {
        let end = *self.ends.get(number as usize)?;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before as usize]);
        Some(&self.text[start as usize..end as usize])
    }

    /// Adds the value that `write` appends; gives its number. Adds none when `write` says that there is none, or when
    /// 4 GiB are full.
    pub fn add(&mut self, write: impl FnOnce(&mut String) -> bool) -> u32 {
        let start = self.text.len();
        let is_there = write(&mut self.text);
        match u32::try_from(self.text.len()) {
            Ok(end) if is_there => {
                self.ends.push(end);
                (self.ends.len() - 1) as u32
            }
            _ => {
                self.text.truncate(start);
                Self::ABSENT
            }
        }
    }

    /// Adds all values of another list; gives the number of the first, from which the others count on. `None`, and nothing
    /// added, when 4 GiB are full.
    pub fn append(&mut self, other: &Self) -> Option<u32> {
        let (first, start) = (u32::try_from(self.ends.len()).ok()?, u32::try_from(self.text.len()).ok()?);
        let total = start.checked_add(u32::try_from(other.text.len()).ok()?)?;
        first.checked_add(u32::try_from(other.ends.len()).ok()?).filter(|_| total < u32::MAX)?;
        self.text.push_str(&other.text);
        self.ends.extend(other.ends.iter().map(|end| start + end));
        Some(first)
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<u32>()
    }
}

impl<'a> RowFields<'a> {
    /// The value of a field; `None` when the row's line has no such field.
    #[inline]
    pub fn get(self, field: usize) -> Option<&'a str> {
        self.values.get(field)?.get(*self.numbers.get(field)?)
    }

    /// The numbers of all values in [`crate::Rows::field_values`], [`FieldValues::ABSENT`] where there is none.
    pub fn numbers(self) -> &'a [u32] {
        self.numbers
    }
}

impl FieldTable {
    /// Adds what a row has; gives its place.
    pub(crate) fn add_row(&mut self, numbers: &[u32]) -> Option<u32> {
        let place = u32::try_from(self.numbers.len()).ok()?;
        self.numbers.extend_from_slice(numbers);
        Some(place)
    }

    /// What lies at a place that [`FieldTable::add_row`] gave.
    #[inline]
    pub(crate) fn row(&self, place: u32) -> RowFields<'_> {
        let numbers = &self.numbers[place as usize..][..self.values.len()];
        RowFields { values: &self.values, numbers }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.numbers.capacity() * size_of::<u32>() + self.values.iter().map(FieldValues::bytes).sum::<usize>()
    }
}
