//! Where a key may stand in a request.
//!
//! `X-API-Key`, `DD-API-KEY`, `X-Amz-Firehose-Access-Key`, or `Authorization` as `Bearer KEY`, `Basic` (the password),
//! `Splunk KEY` or `ApiKey KEY` (or `ID:KEY` in base64, as Elasticsearch's clients write it). Scheme names are compared without regard to case (RFC 9110). A WebSocket of a web page,
//! which can set none of these, may offer it as the subprotocol `bearer.KEY` beside `timberyard`.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The longest key or token that is looked at, in bytes.
const KEY_BYTES_MAX: usize = 8192;

/// What a WebSocket's subprotocol begins with when it is a key.
const SUBPROTOCOL: &str = "bearer.";

/// All keys that a request offers; any one that is good is enough. At most one per header.
pub(super) fn offered_keys(headers: &HeaderMap) -> Vec<String> {
    let plain = ["x-api-key", "dd-api-key", "x-amz-firehose-access-key"]
        .into_iter()
        .filter_map(|name| headers.get(name));
    let plain = plain.filter_map(|value| Some(value.to_str().ok()?.trim().to_owned()));
    let authorization =
        headers.get(header::AUTHORIZATION).and_then(|value| from_authorization(value.to_str().ok()?));
    let subprotocols = headers.get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok());
    let subprotocol = subprotocols
        .and_then(|list| list.split(',').find_map(|one| one.trim().strip_prefix(SUBPROTOCOL)))
        .map(str::to_owned);
    plain
        .chain(authorization)
        .chain(subprotocol)
        .filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()))
        .collect()
}

fn from_authorization(value: &str) -> Option<String> {
    let (scheme, rest) = value.trim().split_once(' ')?;
    let rest = rest.trim();
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" | "splunk" => Some(rest.to_owned()),
        "apikey" => password(rest).or_else(|| Some(rest.to_owned())),
        "basic" => password(rest),
        _ => None,
    }
}

/// What stands behind a name, the two in base64.
fn password(encoded: &str) -> Option<String> {
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    // RFC 7617: the user's name has no colon, the password may.
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_wherever_a_client_of_the_trade_puts_it() {
        let cases = [
            ("x-api-key", "k.1", vec!["k.1"]),
            ("dd-api-key", "k", vec!["k"]),
            ("x-amz-firehose-access-key", "k", vec!["k"]),
            ("authorization", "Bearer k", vec!["k"]),
            ("authorization", "bearer  k ", vec!["k"]),
            ("authorization", "Splunk k", vec!["k"]),
            ("authorization", "ApiKey k", vec!["k"]),
            ("authorization", "ApiKey aWQ6azp5", vec!["k:y"]),
            ("authorization", "ApiKey azE3", vec!["azE3"]),
            ("authorization", "Basic dXNlcjprOnk=", vec!["k:y"]),
            ("authorization", "Basic !", vec![]),
            ("authorization", "Digest k", vec![]),
            ("authorization", "k", vec![]),
            ("x-api-key", " ", vec![]),
            ("sec-websocket-protocol", "timberyard, bearer.k", vec!["k"]),
            ("sec-websocket-protocol", "timberyard", vec![]),
        ];
        for (name, value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().expect("a header value"));
            assert_eq!(offered_keys(&headers), expected, "{name}: {value}");
        }
    }
}
