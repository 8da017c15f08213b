//! Shapes of JSON bodies that are sent, and of errors.

use serde_json::{Value, json};

/// All of them, by name.
pub(super) fn schemas() -> Value {
    let pairs = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let event = json!({
        "type": "object",
        "required": ["event_id", "event_type", "event_name"],
        "properties": {
            "event_id": { "type": "string" },
            "event_type": { "type": "string" },
            "event_name": { "type": "string" },
            "session_id": { "type": "string" },
            "user_id": { "type": "string" },
            "timestamp": { "type": "string", "format": "date-time" },
            "properties": { "type": "object" },
        },
    });
    json!({
        "Error": {
            "description": "What is wrong: a stable word, and a sentence that names the thing and the limit.",
            "type": "object",
            "properties": {
                "error": {},
                "message": { "type": "string" },
                "status": {},
            },
        },
        "NewSearch": {
            "type": "object",
            "required": ["name", "place"],
            "additionalProperties": false,
            "properties": {
                "name": { "type": "string", "minLength": 1, "maxLength": 120 },
                "place": { "type": "string", "pattern": "^/", "maxLength": 8192 },
            },
        },
        "LokiPush": {
            "type": "object",
            "required": ["streams"],
            "properties": { "streams": { "type": "array", "items": {
                "type": "object",
                "required": ["stream", "values"],
                "properties": {
                    "stream": pairs,
                    "values": { "type": "array", "items": {
                        "description": "nanoseconds since 1970, line, and structured metadata if there is any",
                        "type": "array",
                        "prefixItems": [{ "type": "string" }, { "type": "string" }, pairs],
                        "minItems": 2,
                        "maxItems": 3,
                    } },
                },
            } } },
        },
        "Entries": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["message"],
                "properties": {
                    "message": { "type": "string" },
                    "level": { "type": "string" },
                    "source": { "type": "string" },
                    "session_id": { "type": "string" },
                    "client_id": { "type": "string" },
                },
            },
        },
        "OtlpLogs": {
            "description": "ExportLogsServiceRequest of opentelemetry-proto",
            "type": "object",
            "properties": { "resourceLogs": { "type": "array", "items": { "type": "object" } } },
        },
        "LogPulseStreams": {
            "type": "object",
            "required": ["streams"],
            "properties": { "streams": { "type": "array", "items": {
                "type": "object",
                "required": ["labels", "entries"],
                "properties": {
                    "labels": pairs,
                    "entries": { "type": "array", "items": {
                        "type": "object",
                        "required": ["line"],
                        "properties": {
                            "ts": { "type": "string", "format": "date-time" },
                            "line": { "type": "string" },
                        },
                    } },
                },
            } } },
        },
        "LogStreamLog": {
            "type": "object",
            "required": ["service", "level", "message"],
            "properties": {
                "service": { "type": "string" },
                "level": { "type": "string" },
                "message": { "type": "string" },
                "timestamp": { "type": "string", "format": "date-time" },
            },
        },
        "Event": event,
        "Events": {
            "type": "object",
            "required": ["events"],
            "properties": { "events": { "type": "array", "items": event } },
        },
        "SplunkAcks": {
            "type": "object",
            "required": ["acks"],
            "properties": { "acks": { "type": "array", "items": { "type": "integer", "minimum": 0 } } },
        },
        "DatadogLogs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["message"],
                "properties": {
                    "message": { "type": "string" },
                    "service": { "type": "string" },
                    "ddsource": { "type": "string" },
                    "ddtags": { "type": "string", "examples": ["env:prod,version:1.2"] },
                    "hostname": { "type": "string" },
                    "status": { "type": "string" },
                },
            },
        },
        "FirehoseRequest": {
            "type": "object",
            "required": ["requestId", "records"],
            "properties": {
                "requestId": { "type": "string" },
                "timestamp": { "description": "milliseconds since 1970", "type": "integer" },
                "records": { "type": "array", "items": {
                    "type": "object",
                    "required": ["data"],
                    "properties": { "data": { "type": "string", "contentEncoding": "base64" } },
                } },
            },
        },
        "AlertmanagerWebhook": {
            "type": "object",
            "required": ["alerts"],
            "properties": {
                "receiver": { "type": "string" },
                "alerts": { "type": "array", "items": {
                    "type": "object",
                    "required": ["status", "labels", "startsAt"],
                    "properties": {
                        "status": { "enum": ["firing", "resolved"] },
                        "labels": pairs,
                        "startsAt": { "type": "string", "format": "date-time" },
                        "endsAt": { "type": "string", "format": "date-time" },
                    },
                } },
            },
        },
        "Document": { "description": "Fields of any names.", "type": "object" },
        "NewKey": {
            "type": "object",
            "required": ["name", "scopes"],
            "additionalProperties": false,
            "properties": {
                "name": { "type": "string" },
                "tenants": { "type": "string" },
                "scopes": { "type": "string", "examples": ["push,read"] },
                "labels": { "type": "string", "examples": ["{app=\"web\"}"] },
                "expires_in_seconds": { "type": "integer", "minimum": 1 },
                "rotate_every_seconds": { "type": "integer", "minimum": 60 },
                "overlap_seconds": { "type": "integer", "minimum": 0 },
            },
        },
        "Rotation": {
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "overlap_seconds": { "type": "integer", "minimum": 0 },
                "rotate_every_seconds": {
                    "description": "the age at which the new key is rotated by itself; 0 never",
                    "type": "integer",
                    "minimum": 0,
                },
            },
        },
    })
}
