//! Numbers and byte strings in the store's files: little-endian, LEB128 varints, zigzag for signed
//! ones, xxh3 checksums.
//!
//! Reading never panics and never allocates more than the input could fill: whatever does not
//! fit is a [`Malformed`], which the caller turns into an error that names file and place.

use xxhash_rust::xxh3::xxh3_64;

/// Bytes that are not what the format says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// The checksum of everything on disk but log records (those are seeded as well).
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what the functions above wrote.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed("bytes end early"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.rest.split_first().ok_or(Malformed("bytes end early"))?;
        self.rest = rest;
        Ok(*first)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed("bytes end early"))?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*taken))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed("bytes end early"))?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*taken))
    }

    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Malformed("number does not fit 64 bits"));
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed("number does not fit 64 bits"))
    }

    pub(crate) fn varint_u32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.varint()?).map_err(|_| Malformed("number does not fit 32 bits"))
    }

    pub(crate) fn zigzag(&mut self) -> Result<i64, Malformed> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A number of things that follow, each of which takes at least a byte: so no count can
    /// ask for more memory than the input has bytes.
    pub(crate) fn count(&mut self) -> Result<usize, Malformed> {
        let count = self.varint()?;
        if count > self.rest.len() as u64 {
            return Err(Malformed("count is larger than the bytes that follow"));
        }
        Ok(count as usize)
    }

    /// A number that must be at most `max`.
    pub(crate) fn bounded(&mut self, max: usize) -> Result<usize, Malformed> {
        let value = self.varint()?;
        usize::try_from(value)
            .ok()
            .filter(|value| *value <= max)
            .ok_or(Malformed("number is out of its range"))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.varint()?;
        let length = usize::try_from(length).map_err(|_| Malformed("length does not fit memory"))?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed("text is not UTF-8"))
    }

    /// What has not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("bytes are left over")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_at_every_width() {
        let mut edges = vec![0u64, 1, 0x7f, 0x80, u64::MAX, u64::MAX - 1, i64::MAX as u64];
        edges.extend((0..64).map(|bit| 1u64 << bit));
        let mut bytes = Vec::new();
        for value in &edges {
            put_varint(&mut bytes, *value);
            put_zigzag(&mut bytes, *value as i64);
            put_u64(&mut bytes, *value);
            put_u32(&mut bytes, *value as u32);
        }
        let mut reader = Reader::new(&bytes);
        for value in &edges {
            assert_eq!(reader.varint(), Ok(*value));
            assert_eq!(reader.zigzag(), Ok(*value as i64));
            assert_eq!(reader.u64(), Ok(*value));
            assert_eq!(reader.u32(), Ok(*value as u32));
        }
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let cases: [(&[u8], &str); 4] = [
            (&[], "bytes end early"),
            (&[0x80], "bytes end early"),
            (&[0xff; 10], "number does not fit 64 bits"),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02], "number does not fit 64 bits"),
        ];
        for (bytes, reason) in cases {
            assert_eq!(Reader::new(bytes).varint(), Err(Malformed(reason)), "{bytes:?}");
        }
        assert!(Reader::new(&[5, b'a']).bytes().is_err());
        assert!(Reader::new(&[2, 0xff, 0xfe]).text().is_err());
        assert!(Reader::new(&[200, 1, 0]).count().is_err());
    }
}
