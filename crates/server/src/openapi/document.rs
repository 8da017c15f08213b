//! The table of endpoints as an OpenAPI 3.1 document.

use serde_json::{Map, Value, json};

use super::endpoints::{Access, Body, ENDPOINTS, Endpoint, Media};
use super::parameters::{self, Kind};
use super::schemas::schemas;

/// Statuses that any endpoint may answer with instead of a success.
const REFUSALS: [(&str, &str); 17] = [
    ("400", "the request is wrong; the message says what and where"),
    ("401", "no key, or one that is not good"),
    ("403", "the key may not do this"),
    ("404", "there is nothing of that name"),
    ("405", "the path does not take this method"),
    ("406", "none of the media types asked for"),
    ("408", "the body did not arrive in time"),
    ("409", "it is there already"),
    ("413", "the body is over its limit"),
    ("415", "a media type that is not taken here"),
    ("422", "understood, and cannot be done"),
    ("426", "only over a WebSocket"),
    ("429", "too many, or too much, for now; Retry-After says for how long"),
    ("501", "this server was started without it"),
    ("503", "not now; Retry-After says for how long"),
    ("504", "the query took too long"),
    ("507", "the disk is full"),
];

/// The whole document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for endpoint in ENDPOINTS {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        for method in endpoint.methods {
            path[*method] = operation(endpoint, method);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Timberyard",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Logs in and out, as the clients of Loki, OTLP and five other systems know it. \
                The gRPC methods on the same port (OTLP, and timberyard.v1.PushService) are not in this document.",
        },
        "security": [{}, { "key": [] }, { "bearer": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "key": { "type": "apiKey", "in": "header", "name": "X-API-Key" },
                "bearer": { "type": "http", "scheme": "bearer" },
            },
        },
    })
}

/// What a key must be allowed to, as a scope's name.
pub(super) fn scope(access: Access) -> Option<&'static str> {
    match access {
        Access::Open => None,
        Access::Push => Some("push"),
        Access::Read => Some("read"),
        Access::Tail => Some("tail"),
        Access::Delete => Some("delete"),
        Access::Administer => Some("admin"),
        Access::Operate => Some("admin, for every tenant"),
    }
}

fn operation(endpoint: &Endpoint, method: &str) -> Value {
    let mut operation = json!({
        "tags": [endpoint.system],
        "summary": endpoint.summary,
        "operationId": format!("{method} {}", endpoint.path),
        "responses": responses(endpoint),
    });
    if let Some(scope) = scope(endpoint.access) {
        operation["description"] =
            json!(format!("With authentication on, needs a key with the scope {scope}."));
    } else {
        operation["security"] = json!([]);
    }
    // A form may leave its parameters out of the URL.
    let is_form = endpoint.body == Body::Form && method == "post";
    let mut given: Vec<Value> =
        names_in_path(endpoint.path).map(|name| parameter(name, "path", true)).collect();
    if !is_form {
        given.extend(names(endpoint).map(|(name, required)| parameter(name, "query", required)));
    }
    if !given.is_empty() {
        operation["parameters"] = Value::Array(given);
    }
    if let Some(body) = request_body(endpoint, is_form) {
        operation["requestBody"] = body;
    }
    operation
}

/// The parameters of the URL's query, and whether they must be there.
pub(super) fn names(endpoint: &Endpoint) -> impl Iterator<Item = (&'static str, bool)> {
    endpoint.parameters.split_ascii_whitespace().map(|name| match name.strip_suffix('!') {
        Some(name) => (name, true),
        None => (name, false),
    })
}

fn names_in_path(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn parameter(name: &str, place: &str, required: bool) -> Value {
    let (schema, meaning) = described(name);
    json!({ "name": name, "in": place, "required": required, "description": meaning, "schema": schema })
}

fn described(name: &str) -> (Value, &'static str) {
    let (kind, meaning) =
        parameters::find(name).map_or((Kind::Text, ""), |(_, kind, meaning)| (*kind, *meaning));
    let schema = match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Query => json!({ "type": "string", "examples": ["{service_name=~\".+\"} |= \"error\""] }),
        Kind::Count => json!({ "type": "integer", "minimum": 0 }),
        Kind::Time => {
            json!({ "type": "string", "examples": ["2026-01-31T12:00:00Z", "1767225600000000000"] })
        }
        Kind::Span => json!({ "type": "string", "examples": ["5m", "60"] }),
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
    };
    (schema, meaning)
}

fn request_body(endpoint: &Endpoint, is_form: bool) -> Option<Value> {
    let schema = |name: &str| json!({ "schema": { "$ref": format!("#/components/schemas/{name}") } });
    let protobuf = || json!({ "schema": { "type": "string", "format": "binary" } });
    let content = match endpoint.body {
        Body::Nothing => return None,
        Body::Form if !is_form => return None,
        Body::Form => {
            let properties: Map<String, Value> =
                names(endpoint).map(|(name, _)| (name.to_owned(), described(name).0)).collect();
            let required: Vec<&str> =
                names(endpoint).filter(|(_, required)| *required).map(|(name, _)| name).collect();
            let schema = json!({ "type": "object", "properties": properties, "required": required });
            json!({ "application/x-www-form-urlencoded": { "schema": schema } })
        }
        Body::Json(name) => json!({ "application/json": schema(name) }),
        Body::LokiPush => {
            json!({ "application/json": schema("LokiPush"), "application/x-protobuf": protobuf() })
        }
        Body::Otlp => json!({ "application/json": schema("OtlpLogs"), "application/x-protobuf": protobuf() }),
        Body::NdJson => {
            let lines = json!({ "schema": { "type": "string" } });
            json!({ "application/x-ndjson": lines, "text/plain": lines })
        }
        Body::JournalExport => {
            json!({ "application/vnd.fdo.journal": { "schema": { "type": "string", "format": "binary" } } })
        }
        Body::AnyText => json!({ "text/plain": { "schema": { "type": "string" } } }),
        Body::V1Logs => {
            json!({ "application/json": schema("Entries"), "application/x-protobuf": protobuf() })
        }
    };
    // A rotation may say nothing, and is then the usual one.
    Some(json!({ "required": endpoint.body != Body::Json("Rotation"), "content": content }))
}

fn responses(endpoint: &Endpoint) -> Value {
    let (status, media) = endpoint.answer;
    let text = json!({ "schema": { "type": "string" } });
    let any = json!({ "schema": { "type": ["object", "array"] } });
    let content = match media {
        Media::NoBody | Media::Upgrade => None,
        Media::JsonText => Some(json!({ "application/json": any })),
        Media::Lines => Some(json!({
            "application/json": any,
            "application/x-ndjson": text,
            "text/csv": text,
            "text/plain": text,
        })),
        Media::Text => Some(json!({ "text/plain": text, "application/openmetrics-text": text })),
        Media::Html => Some(json!({ "text/html": text })),
        Media::Yaml => Some(json!({ "application/yaml": {} })),
    };
    let mut responses = Map::new();
    // OTLP's own answer beside the others'.
    if endpoint.body == Body::V1Logs {
        let answer = json!({ "description": "OTLP logs are stored", "content": {
            "application/json": any,
            "application/x-protobuf": { "schema": { "type": "string", "format": "binary" } },
        } });
        responses.insert("200".to_owned(), answer);
    }
    let mut success = json!({ "description": endpoint.summary });
    if let Some(content) = content {
        success["content"] = content;
    }
    responses.insert(status.to_string(), success);
    let error = json!({ "schema": { "$ref": "#/components/schemas/Error" } });
    for (status, meaning) in REFUSALS {
        let mut content = json!({ "application/json": error, "text/plain": text });
        if matches!(endpoint.body, Body::Otlp | Body::V1Logs) {
            content["application/x-protobuf"] = json!({ "schema": { "type": "string", "format": "binary" } });
        }
        responses.insert(status.to_owned(), json!({ "description": meaning, "content": content }));
    }
    Value::Object(responses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_is_explained_and_every_schema_is_there() {
        let schemas = schemas();
        for endpoint in ENDPOINTS {
            let in_query = names(endpoint).map(|(name, _)| name);
            for name in in_query.chain(names_in_path(endpoint.path)) {
                assert!(parameters::find(name).is_some(), "{}: {name}", endpoint.path);
            }
            if let Body::Json(name) = endpoint.body {
                assert!(schemas.get(name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn no_path_has_a_method_twice() {
        let mut seen = std::collections::BTreeSet::new();
        for endpoint in ENDPOINTS {
            for method in endpoint.methods {
                assert!(seen.insert((endpoint.path, method)), "{method} {}", endpoint.path);
            }
        }
    }
}
