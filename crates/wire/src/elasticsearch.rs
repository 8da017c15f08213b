//! Elasticsearch's bulk bodies and single documents, and the answers that its clients read.
//!
//! A bulk body is lines of JSON in pairs: an action, `{"create":{"_index":"web"}}`, and the document that it
//! stores. `index` and `create` store a document; nothing can be changed or taken away this way, so `update` and
//! `delete` are refused, each by itself. The fields of a document are mapped as [`FieldMapping`] says; the name of its
//! index becomes the label `index`, an `_id` is kept as metadata and makes nothing unique. A document that cannot be
//! taken is answered in its place while its neighbours are stored; an action that cannot be read leaves no way to know
//! what follows, and refuses the whole body.
//!
//! Format: <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>.

use std::sync::Arc;

use serde_json::json;
use timberyard_model::LogBatch;

use crate::context::DecodeContext;
use crate::error::DecodeError;
use crate::field_mapping::FieldMapping;
use crate::json::{JsonKind, JsonReader};
use crate::json_text::{write_key, write_string};
use crate::mapped_object::{Around, ObjectReader};
use crate::record_batch::RecordBatch;
use crate::text_lines::lines;

/// What one action came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkItem {
    /// The action's name.
    pub action: Action,
    /// The index that it names, or that the URL does.
    pub index: Arc<str>,
    /// The document's own id, or one made from its place.
    pub id: Option<String>,
    /// Why it was not done.
    pub refused: Option<String>,
}

/// The actions of a bulk body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Store.
    Index,
    /// Store what was not there.
    Create,
    /// Change: refused.
    Update,
    /// Take away: refused.
    Delete,
}

impl Action {
    const fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// What a bulk body held: the documents that are taken, and what to answer for each action, in their order.
#[derive(Clone, Debug)]
pub struct Bulk {
    /// The documents that were taken.
    pub batch: LogBatch,
    /// One for each action.
    pub items: Vec<BulkItem>,
}

/// An action: what is to be done, and where.
#[derive(Clone)]
struct Head {
    action: Action,
    /// The one that it names, or that the URL does.
    index: Option<Arc<str>>,
    id: Option<String>,
}

/// Reads a bulk body; `index` is the one that the URL names for actions that name none.
pub fn decode_bulk(
    body: &[u8],
    index: Option<&str>,
    mapping: &FieldMapping,
    context: &DecodeContext<'_>,
) -> Result<Bulk, DecodeError> {
    let mut batch = RecordBatch::new(context.tenant, context);
    let mut objects = ObjectReader::new(mapping);
    let mut items = Vec::new();
    let index: Option<Arc<str>> = index.map(Arc::from);
    let mut before: Option<(&[u8], Head)> = None;
    let mut lines = lines(body).enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    while let Some((number, line)) = lines.next() {
        // Most senders write the same action before each document.
        let head = match before.take() {
            Some((text, head)) if text == line => head,
            _ => read_action(line, index.as_ref(), context).map_err(|reason| {
                DecodeError::malformed(format!("action in line {}: {reason}", number + 1))
            })?,
        };
        let Head { action, index: named, id } = head.clone();
        before = Some((line, head));
        let document = match action {
            Action::Delete => None,
            Action::Index | Action::Create | Action::Update => Some(lines.next().ok_or_else(|| {
                let reason = format!("action in line {} has no document after it", number + 1);
                DecodeError::malformed(reason)
            })?),
        };
        let refused = match (action, document, &named) {
            (Action::Update | Action::Delete, ..) | (_, None, _) => {
                Some(format!("documents cannot be changed: `{}` is not supported", action.name()))
            }
            (_, _, None) => Some("no index: neither the action nor the URL names one".to_owned()),
            (_, Some((_, text)), Some(name)) => {
                take_document(text, name, id.as_deref(), &mut objects, context, &mut batch).err()
            }
        };
        items.push(BulkItem { action, index: named.unwrap_or_default(), id, refused });
    }
    if items.is_empty() {
        return Err(DecodeError::malformed("request body is required: it holds no action"));
    }
    Ok(Bulk { batch: batch.finish(), items })
}

/// Reads one document that the URL names the index of.
pub fn decode_document(
    body: &[u8],
    index: &str,
    id: Option<&str>,
    mapping: &FieldMapping,
    context: &DecodeContext<'_>,
) -> Result<LogBatch, DecodeError> {
    let mut batch = RecordBatch::new(context.tenant, context);
    let mut objects = ObjectReader::new(mapping);
    take_document(body, index, id, &mut objects, context, &mut batch).map_err(DecodeError::malformed)?;
    Ok(batch.finish())
}

fn read_action(
    line: &[u8],
    index: Option<&Arc<str>>,
    context: &DecodeContext<'_>,
) -> Result<Head, DecodeError> {
    let mut json = JsonReader::new(line, context.limits.request.json_depth_max);
    json.begin_object()?;
    let action = match json.next_key()?.as_deref() {
        Some(b"index") => Action::Index,
        Some(b"create") => Action::Create,
        Some(b"update") => Action::Update,
        Some(b"delete") => Action::Delete,
        _ => return Err(DecodeError::malformed("expected `index`, `create`, `update` or `delete`")),
    };
    let mut head = Head { action, index: index.cloned(), id: None };
    json.begin_object()?;
    while let Some(key) = json.next_key()? {
        match (&*key, json.peek()?) {
            (b"_index", JsonKind::String) => head.index = Some(json.text()?.into()),
            (b"_id", JsonKind::String) => head.id = Some(json.text()?.into_owned()),
            (b"_id", JsonKind::Number) => head.id = Some(json.number()?.to_owned()),
            _ => json.skip()?,
        }
    }
    if json.next_key()?.is_some() {
        return Err(DecodeError::malformed("an action has one name"));
    }
    json.finish()?;
    Ok(head)
}

fn take_document<'a>(
    text: &'a [u8],
    index: &str,
    id: Option<&str>,
    objects: &mut ObjectReader<'_, 'a>,
    context: &DecodeContext<'_>,
    batch: &mut RecordBatch,
) -> Result<(), String> {
    let mut json = JsonReader::new(text, context.limits.request.json_depth_max);
    objects.read(&mut json).map_err(|error| error.to_string())?;
    json.finish().map_err(|error| error.to_string())?;
    let limit = context.limits.record.label_value_bytes_max;
    if index.len() > limit {
        return Err(format!("the index's name is {} bytes, limit is {limit}", index.len()));
    }
    let id = id.map(|id| ("_id", id.as_bytes()));
    let around = Around { labels: &[("index", index)], metadata: id.as_slice(), time: None };
    objects.push(text, around, context, batch)
}

/// The answer to a bulk body, after what was taken is stored. Ids are made from `request_id` and the place where the
/// sender gave none.
pub fn bulk_answer(items: &[BulkItem], request_id: &str, took_millis: u64) -> Vec<u8> {
    let errors = items.iter().any(|item| item.refused.is_some());
    // What stands behind the id of a document that is stored is the same for all.
    const STORED: &str = r#","_version":1,"result":"created","_shards":{"total":1,"successful":1,"failed":0},"_seq_no":0,"_primary_term":1,"status":201}}"#;
    let mut out = Vec::with_capacity(64 + items.len() * (STORED.len() + 96));
    out.extend_from_slice(format!(r#"{{"took":{took_millis},"errors":{errors},"items":["#).as_bytes());
    for (place, item) in items.iter().enumerate() {
        out.extend_from_slice(if place > 0 { b",{" } else { b"{" });
        write_key(&mut out, item.action.name());
        out.extend_from_slice(br#"{"_index":"#);
        write_string(&mut out, item.index.as_bytes());
        out.extend_from_slice(br#","_id":"#);
        match &item.id {
            Some(id) => write_string(&mut out, id.as_bytes()),
            None => write_string(&mut out, format!("{request_id}-{place}").as_bytes()),
        }
        match &item.refused {
            None => out.extend_from_slice(STORED.as_bytes()),
            Some(reason) => {
                let error = json!({ "type": "document_parsing_exception", "reason": reason });
                out.extend_from_slice(format!(r#","status":400,"error":{error}}}}}"#).as_bytes());
            }
        }
    }
    out.extend_from_slice(b"]}");
    out
}

/// What stands in an answer for a document that is stored.
pub fn stored(index: &str, id: &str) -> serde_json::Value {
    json!({
        "_index": index, "_id": id, "_version": 1, "result": "created",
        "_shards": { "total": 1, "successful": 1, "failed": 0 },
        "_seq_no": 0, "_primary_term": 1, "status": 201,
    })
}

/// An error as Elasticsearch writes it.
pub fn error_answer(status: u16, kind: &str, reason: &str) -> serde_json::Value {
    let cause = json!({ "type": kind, "reason": reason });
    json!({ "error": { "root_cause": [cause], "type": kind, "reason": reason }, "status": status })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_context::{TestContext, rows_of};

    fn bulk(body: &str, index: Option<&str>) -> Result<Bulk, DecodeError> {
        decode_bulk(body.as_bytes(), index, &FieldMapping::default(), &TestContext::new().context())
    }

    #[test]
    fn documents_of_filebeat_and_rsyslog_become_rows() {
        let body = concat!(
            r#"{"create":{"_index":"filebeat-8.15.0"}}"#,
            "\n",
            r#"{"@timestamp":"2026-11-01T00:00:00.001Z","message":"hi","log":{"level":"WARN","offset":7},"service":{"name":"shop"},"host":{"name":"h1"}}"#,
            "\r\n",
            r#"{"index":{"_id":"a1"}}"#,
            "\n",
            r#"{"@timestamp":"2026-11-01T01:00:00.000002+01:00","message":"bye","programname":"cron"}"#,
        );
        let bulk = bulk(body, Some("logs")).expect("a bulk body");
        assert_eq!(
            rows_of(&bulk.batch),
            [
                r#"1793491200001000000 {index="filebeat-8.15.0", level="WARN", service_name="shop"} hi log_offset=7 host_name=h1 detected_level=warn"#,
                r#"1793491200000002000 {index="logs", service_name="unknown_service"} bye programname=cron _id=a1 detected_level=unknown"#,
            ]
        );
        let answer: serde_json::Value =
            serde_json::from_slice(&bulk_answer(&bulk.items, "r", 3)).expect("JSON");
        assert_eq!(answer["errors"], false);
        assert_eq!(answer["items"][0]["create"]["status"], 201);
        assert_eq!(answer["items"][0]["create"]["_id"], "r-0");
        assert_eq!(answer["items"][1]["index"]["_id"], "a1");
    }

    #[test]
    fn a_document_that_cannot_be_taken_is_answered_in_its_place() {
        let body = concat!(
            "{\"index\":{\"_index\":\"a\"}}\n{\"message\":\"1\"}\n",
            "{\"index\":{\"_index\":\"a\"}}\n{\"message\":\n",
            "{\"delete\":{\"_index\":\"a\",\"_id\":\"7\"}}\n",
            "{\"update\":{\"_index\":\"a\",\"_id\":\"7\"}}\n{\"doc\":{}}\n",
            "{\"create\":{}}\n{\"message\":\"no index\"}\n",
            "{\"create\":{\"_index\":\"a\"}}\n{\"message\":\"2\",\"@timestamp\":\"soon\"}\n",
            "{\"create\":{\"_index\":\"a\"}}\n{\"message\":\"3\"}\n",
        );
        let bulk = bulk(body, None).expect("a bulk body");
        let lines: Vec<_> = bulk.batch.rows.iter().map(|row| row.line().to_vec()).collect();
        assert_eq!(lines, [b"1", b"3"]);
        let reasons: Vec<_> = bulk.items.iter().map(|item| item.refused.as_deref()).collect();
        assert_eq!(
            reasons,
            [
                None,
                Some("expected a value, found the end of the JSON text at line 1, column 12 (byte 11)"),
                Some("documents cannot be changed: `delete` is not supported"),
                Some("documents cannot be changed: `update` is not supported"),
                Some("no index: neither the action nor the URL names one"),
                Some("field `@timestamp` is not a time: \"soon\""),
                None,
            ]
        );
        let answer: serde_json::Value =
            serde_json::from_slice(&bulk_answer(&bulk.items, "r", 0)).expect("JSON");
        assert_eq!(answer["errors"], true);
        assert_eq!(answer["items"][1]["index"]["error"]["type"], "document_parsing_exception");
        assert_eq!(answer["items"][2]["delete"]["status"], 400);
    }

    #[test]
    fn a_body_without_readable_actions_is_refused_whole() {
        for (body, reason) in [
            ("", "request body is required: it holds no action"),
            ("\n\n", "request body is required: it holds no action"),
            ("{\"index\":{}}\n", "action in line 1 has no document after it"),
            (
                "{\"message\":\"x\"}\n{}\n",
                "action in line 1: expected `index`, `create`, `update` or `delete`",
            ),
            ("[]\n", "action in line 1: expected an object, found an array at line 1, column 1 (byte 0)"),
            ("{\"index\":{},\"create\":{}}\n{}\n", "action in line 1: an action has one name"),
        ] {
            assert_eq!(bulk(body, Some("a")).expect_err(body).to_string(), reason);
        }
    }

    #[test]
    fn a_single_document_is_taken_or_refused_as_one() {
        let test = TestContext::new();
        let decode =
            |body: &[u8]| decode_document(body, "web", Some("7"), &FieldMapping::default(), &test.context());
        let batch = decode(b"{\"message\":\"x\"}\n").expect("a document");
        assert_eq!(batch.rows.get(0).metadata_value("_id"), Some(&b"7"[..]));
        assert!(decode(b"{}{}").is_err());
    }
}
