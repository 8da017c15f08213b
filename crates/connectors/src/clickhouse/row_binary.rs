//! ClickHouse's `RowBinary`, as far as logs need it: values end to end, without names, types or a word about where a row ends.
//!
//! <https://clickhouse.com/docs/interfaces/formats/RowBinary>. Text is any bytes. What is read is checked: answers of another
//! engine are outside input.

/// Appends values of a row.
pub(super) trait RowWriter {
    /// An unsigned number of variable length (LEB128), as lengths are.
    fn put_length(&mut self, length: usize);
    /// `String`, or a `LowCardinality` of it.
    fn put_text(&mut self, text: &[u8]);
    /// `UInt64`
    fn put_u64(&mut self, value: u64);
    /// `Int64`, or a `DateTime64`.
    fn put_i64(&mut self, value: i64);
    /// `Map(…, String)`, in the order given.
    fn put_map<'p>(&mut self, pairs: impl ExactSizeIterator<Item = (&'p str, &'p [u8])>);
}

impl RowWriter for Vec<u8> {
    fn put_length(&mut self, mut length: usize) {
        while length >= 0x80 {
            self.push(length as u8 | 0x80);
            length >>= 7;
        }
        self.push(length as u8);
    }

    fn put_text(&mut self, text: &[u8]) {
        self.put_length(text.len());
        self.extend_from_slice(text);
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_i64(&mut self, value: i64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_map<'p>(&mut self, pairs: impl ExactSizeIterator<Item = (&'p str, &'p [u8])>) {
        self.put_length(pairs.len());
        for (name, value) in pairs {
            self.put_text(name.as_bytes());
            self.put_text(value);
        }
    }
}

/// Why a row cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RowReadError {
    /// The bytes end within a row: more have to come.
    #[error("answer ends within a row")]
    Incomplete,
    /// Something that no row can hold.
    #[error("answer holds {0}")]
    Malformed(&'static str),
}

/// Reads values of rows from bytes of which more may come.
#[derive(Clone, Debug)]
pub(super) struct RowReader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> RowReader<'b> {
    /// Reads from the beginning.
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How far it has come, in bytes.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Whether nothing is left.
    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(super) fn length(&mut self) -> Result<usize, RowReadError> {
        let mut length = 0_u64;
        for shift in (0..63).step_by(7) {
            let [byte] = self.take::<1>()?;
            length |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return usize::try_from(length).map_err(|_| RowReadError::Malformed("a length out of range"));
            }
        }
        Err(RowReadError::Malformed("a length out of range"))
    }

    pub(super) fn text(&mut self) -> Result<&'b [u8], RowReadError> {
        let length = self.length()?;
        let end = self.at.checked_add(length).ok_or(RowReadError::Malformed("a length out of range"))?;
        let text = self.bytes.get(self.at..end).ok_or(RowReadError::Incomplete)?;
        self.at = end;
        Ok(text)
    }

    pub(super) fn name(&mut self) -> Result<&'b str, RowReadError> {
        std::str::from_utf8(self.text()?).map_err(|_| RowReadError::Malformed("a name that is not UTF-8"))
    }

    pub(super) fn u64(&mut self) -> Result<u64, RowReadError> {
        self.take().map(u64::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, RowReadError> {
        self.take().map(i64::from_le_bytes)
    }

    /// The pairs of a map, behind those that a list has.
    pub(super) fn map_into(&mut self, pairs: &mut Vec<(&'b str, &'b [u8])>) -> Result<(), RowReadError> {
        for _ in 0..self.length()? {
            pairs.push((self.name()?, self.text()?));
        }
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], RowReadError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.first_chunk::<N>().ok_or(RowReadError::Incomplete)?;
        self.at += N;
        Ok(*taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_and_a_row_cut_anywhere_is_incomplete() {
        let long = vec![0xff; 300];
        let mut bytes = Vec::new();
        bytes.put_text(&long);
        bytes.put_u64(u64::MAX);
        bytes.put_i64(i64::MIN);
        bytes.put_map([("k", &b"v"[..]), ("k", b"")].into_iter());
        let read = |bytes: &[u8]| {
            let (mut reader, mut pairs) = (RowReader::new(bytes), Vec::new());
            let row = (reader.text()?.to_vec(), reader.u64()?, reader.i64()?);
            reader.map_into(&mut pairs)?;
            assert_eq!(pairs, [("k", &b"v"[..]), ("k", b"")]);
            assert!(reader.is_at_end());
            Ok(row)
        };
        assert_eq!(read(&bytes), Ok((long, u64::MAX, i64::MIN)));
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes[..end]), Err(RowReadError::Incomplete), "cut at {end}");
        }
    }

    #[test]
    fn what_no_row_holds_is_refused() {
        assert!(matches!(RowReader::new(&[0xff; 10]).length(), Err(RowReadError::Malformed(_))));
        assert!(matches!(RowReader::new(&[1, 0xff]).name(), Err(RowReadError::Malformed(_))));
    }
}
