//! Finds IP addresses in text and compares them with an address, a prefix or a range.

use std::net::IpAddr;

/// `192.168.0.1`, `192.168.0.0/16` or `192.168.0.1-192.168.4.5`, the same for IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IpMatcher {
    first: IpAddr,
    last: IpAddr,
}

impl IpMatcher {
    /// Reads one of the three forms; no blanks.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Self::address(text)
            .or_else(|| Self::prefix(text))
            .or_else(|| Self::range(text))
            .ok_or_else(|| format!("ip: invalid pattern: {}", crate::quantity::number::quote(text)))
    }

    fn address(text: &str) -> Option<Self> {
        let address = text.parse().ok()?;
        Some(Self { first: address, last: address })
    }

    fn prefix(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        if bits.len() > 1 && !bits.starts_with(|c: char| ('1'..='9').contains(&c)) {
            return None;
        }
        let bits: u32 = bits.parse().ok()?;
        match address.parse().ok()? {
            IpAddr::V4(address) if bits <= 32 => {
                let host = u32::MAX.checked_shr(bits).unwrap_or(0);
                let base = address.to_bits() & !host;
                Some(Self { first: IpAddr::V4(base.into()), last: IpAddr::V4((base | host).into()) })
            }
            IpAddr::V6(address) if bits <= 128 => {
                let host = u128::MAX.checked_shr(bits).unwrap_or(0);
                let base = address.to_bits() & !host;
                Some(Self { first: IpAddr::V6(base.into()), last: IpAddr::V6((base | host).into()) })
            }
            _ => None,
        }
    }

    fn range(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        let (first, last): (IpAddr, IpAddr) = (first.parse().ok()?, last.parse().ok()?);
        (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(Self { first, last })
    }

    fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && self.first <= address && address <= self.last
    }

    /// Whether any address in the text matches.
    ///
    /// As in Loki, an address is what parses as one together with all digits, dots and colons
    /// around it: the full stop in `from 10.0.0.1.` spoils it.
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let len = if starts_ipv4(rest) {
                span(rest, |b| b.is_ascii_digit() || b == b'.')
            } else if starts_ipv6(rest) {
                span(rest, |b| b.is_ascii_hexdigit() || b == b':' || b == b'.')
            } else {
                at += 1;
                continue;
            };
            let address = std::str::from_utf8(&rest[..len]).ok().and_then(|text| text.parse().ok());
            if address.is_some_and(|address| self.contains(address)) {
                return true;
            }
            at += len + 1;
        }
        false
    }
}

fn span(text: &[u8], accepts: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|byte| accepts(**byte)).count()
}

/// A digit, and a dot within the next three bytes.
fn starts_ipv4(text: &[u8]) -> bool {
    matches!(text, [first, next @ ..] if first.is_ascii_digit() && next.len() >= 3 && next[..3].contains(&b'.'))
}

/// Up to four hexadecimal digits before a colon, or two colons before one.
fn starts_ipv6(text: &[u8]) -> bool {
    if let [b':', b':', digit, ..] = text {
        return digit.is_ascii_hexdigit();
    }
    let digits = text.iter().take(5).take_while(|byte| byte.is_ascii_hexdigit()).count();
    (1..=4).contains(&digits) && text.get(digits) == Some(&b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_prefixes_and_ranges_are_found_in_lines() {
        for (pattern, line, found) in [
            ("192.168.0.1", "vpn 192.168.0.1 connected", true),
            ("192.168.0.1", "vpn 192.168.0.10 connected", false),
            ("192.168.0.1", "from 192.168.0.1.", false),
            ("192.168.4.5/16", "a 192.168.255.255 b", true),
            ("192.168.4.5/16", "a 192.169.0.0 b", false),
            ("10.0.0.1-10.0.0.9", "x=10.0.0.5,", true),
            ("10.0.0.1-10.0.0.9", "10.0.1.5 10.0.0.9", true),
            ("::1", "to ::1", true),
            ("2001:db8::/32", "2001:dc8::1 and 2001:db8::2", true),
            ("2001:db8::1-2001:db8::8", "2001:db8::9", false),
            ("0.0.0.0/0", "::1 and nothing else", false),
            ("0.0.0.0/0", "", false),
        ] {
            let matcher = IpMatcher::parse(pattern).expect("valid");
            assert_eq!(matcher.is_in(line.as_bytes()), found, "{pattern} in {line}");
        }
    }

    #[test]
    fn what_is_none_of_the_three_forms_is_refused() {
        for pattern in [
            "",
            "10.0.0",
            "10.0.0.1 - 10.0.0.2",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "10.0.0.2-10.0.0.1",
            "1.1.1.1-::1",
        ] {
            assert_eq!(
                IpMatcher::parse(pattern).expect_err("invalid"),
                format!("ip: invalid pattern: {pattern:?}")
            );
        }
    }
}
