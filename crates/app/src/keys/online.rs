//! Stored keys changed by a running server, through `/admin/keys`.

use serde_json::{Value, json};
use timberyard_server::auth::RotationRequest;

use super::Change;
use crate::cli::{ClientArguments, CreateKeyArguments};
use crate::client::{Client, Endpoint};
use crate::failure::Failure;

const PATH: &str = "/admin/keys";
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Asks the server and gives its answer.
pub(super) fn answer(change: &Change<'_>, arguments: &ClientArguments) -> Result<Value, Failure> {
    let client = Client::new(Endpoint::from_process(arguments)?)?;
    let (path, answer) = match change {
        Change::Create { arguments, lifetime_seconds, rotation } => {
            let body = create_request(arguments, *lifetime_seconds, *rotation).to_string();
            (PATH.to_owned(), client.post(PATH, &[JSON], body.as_bytes()))
        }
        Change::List => (PATH.to_owned(), client.get(PATH, &[])),
        Change::Rotate { key, rotation } => {
            let path = format!("{PATH}/{}/rotate", in_path(key));
            let body = json!({
                "overlap_seconds": rotation.overlap_seconds,
                "rotate_every_seconds": rotation.every_seconds,
            });
            let body = body.to_string();
            let answer = client.post(&path, &[JSON], body.as_bytes());
            (path, answer)
        }
        Change::Revoke { key } => {
            let path = format!("{PATH}/{}", in_path(key));
            let answer = client.delete(&path);
            (path, answer)
        }
    };
    let url = client.endpoint().url("http", &path);
    let answer = answer
        .map_err(|error| Failure::new(format!("{url}: {error}; for a stopped server give --data-dir")))?;
    if !answer.is_success() {
        return Err(Failure::new(format!("{url}: {}", answer.problem())));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|error| Failure::new(format!("{url}: the answer is not JSON: {error}")))
}

fn create_request(
    arguments: &CreateKeyArguments,
    lifetime_seconds: Option<u64>,
    rotation: RotationRequest,
) -> Value {
    let scopes: Vec<&str> =
        arguments.scopes.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    json!({
        "name": arguments.name,
        "tenants": arguments.tenants,
        "scopes": scopes,
        "labels": arguments.labels,
        "expires_in_seconds": lifetime_seconds,
        "rotate_every_seconds": rotation.every_seconds,
        "overlap_seconds": rotation.overlap_seconds,
    })
}

/// A name as one segment of a path.
fn in_path(name: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    name.bytes().map(byte).collect()
}
