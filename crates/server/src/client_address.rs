//! Where a request comes from: the peer, or what a trusted proxy says of it.
//!
//! `X-Forwarded-For` is believed only as far as the chain of trusted proxies reaches, read from its
//! right end; anybody can write the rest.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::state::SharedState;

/// The address at the other end of the connection; put into each request by `serve`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// The address of the client; `None` only where no connection is (tests).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub Option<IpAddr>);

impl ClientAddress {
    /// As text, for records.
    pub fn text(&self) -> Option<String> {
        self.0.map(|address| address.to_string())
    }
}

/// The most entries of `X-Forwarded-For` that are looked at.
const HOPS_MAX: usize = 32;

impl FromRequestParts<SharedState> for ClientAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &SharedState) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<PeerAddress>().map(|peer| peer.0.ip().to_canonical());
        let forwarded =
            parts.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = forwarded.flat_map(|text| text.split(',')).map(str::trim).collect();
        Ok(Self(peer.map(|peer| client_of(peer, &hops, &state.settings.trusted_proxies))))
    }
}

/// Walks the hops from the nearest to the farthest while the one before is trusted.
fn client_of(peer: IpAddr, hops: &[&str], trusted: &[AddressBlock]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|block| block.contains(address));
    let mut client = peer;
    for hop in hops.iter().rev().take(HOPS_MAX) {
        if !is_trusted(client) {
            break;
        }
        let Some(address) = parse_hop(hop) else { break };
        client = address;
    }
    client
}

/// An address, perhaps with a port or in brackets.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
        .map(|ip: IpAddr| ip.to_canonical())
}

/// A block of addresses in CIDR form: `10.0.0.0/8`, `::1/128`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressBlock {
    network: IpAddr,
    prefix_bits: u8,
}

/// A text that is no block of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address or a block such as 10.0.0.0/8")]
pub struct AddressBlockError(String);

impl FromStr for AddressBlock {
    type Err = AddressBlockError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || AddressBlockError(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let network: IpAddr = address.trim().parse().map_err(|_| error())?;
        let bits_max = if network.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            Some(prefix) => prefix.trim().parse().map_err(|_| error())?,
            None => bits_max,
        };
        if prefix_bits > bits_max {
            return Err(error());
        }
        Ok(Self { network, prefix_bits })
    }
}

impl AddressBlock {
    /// Whether the address lies in the block.
    pub fn contains(&self, address: IpAddr) -> bool {
        let prefix = u32::from(self.prefix_bits);
        match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn forwarded_addresses_count_only_behind_trusted_proxies() {
        let trusted: Vec<AddressBlock> =
            ["10.0.0.0/8", "::1"].iter().map(|text| text.parse().expect("a block")).collect();
        let cases: [(&str, &[&str], &str); 6] = [
            ("203.0.113.9", &["198.51.100.1"], "203.0.113.9"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["6.6.6.6", "198.51.100.1", "10.2.2.2"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1", "nonsense"], "10.0.0.1"),
            ("::1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.0.0.1", &[], "10.0.0.1"),
        ];
        for (peer, hops, expected) in cases {
            assert_eq!(client_of(ip(peer), hops, &trusted), ip(expected), "{peer} {hops:?}");
        }
    }

    #[test]
    fn blocks_are_read_and_wrong_ones_named() {
        let all: AddressBlock = "0.0.0.0/0".parse().expect("a block");
        assert!(all.contains(ip("255.1.2.3")));
        assert!(!all.contains(ip("::1")));
        for bad in ["", "10.0.0.0/33", "host", "::/129", "10.0.0.0/-1"] {
            assert!(bad.parse::<AddressBlock>().expect_err(bad).to_string().contains("not an address"));
        }
    }
}
