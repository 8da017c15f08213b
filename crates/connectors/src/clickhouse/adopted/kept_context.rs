//! What a row of another way in has and another system's columns have no place for, as JSON in a column of theirs.
//!
//! `{"timberyard":{"labels":{…},"metadata":[[name, value], …],"hex":[[name, digits], …]}}`: values that are no UTF-8 lie
//! in `hex`. Nothing else begins like it: JSON that was sent and does is kept in such an object too.

use timberyard_model::rows::RowRef;
use timberyard_wire::json_text::{write_key, write_string};

/// How such a text begins.
pub(super) const BEGINNING: &str = r#"{"timberyard":{"labels":{"#;

/// Whether a text is one.
pub(super) fn is_kept(text: &[u8]) -> bool {
    text.starts_with(BEGINNING.as_bytes())
}

/// Labels and metadata of a row.
pub(super) fn of_row(row: RowRef<'_>) -> Vec<u8> {
    let mut out = BEGINNING.as_bytes().to_vec();
    for (number, (name, value)) in row.labels().iter().enumerate() {
        put_comma(&mut out, number);
        write_key(&mut out, name);
        write_string(&mut out, value.as_bytes());
    }
    out.extend_from_slice(br#"},"metadata":["#);
    let is_text = |value: &[u8]| std::str::from_utf8(value).is_ok();
    for (number, (name, value)) in row.metadata().filter(|(_, value)| is_text(value)).enumerate() {
        put_comma(&mut out, number);
        put_pair(&mut out, name, value);
    }
    out.extend_from_slice(br#"],"hex":["#);
    for (number, (name, value)) in row.metadata().filter(|(_, value)| !is_text(value)).enumerate() {
        put_comma(&mut out, number);
        let digits: String = value.iter().map(|byte| format!("{byte:02X}")).collect();
        put_pair(&mut out, name, digits.as_bytes());
    }
    out.extend_from_slice(b"]}}");
    out
}

fn put_comma(out: &mut Vec<u8>, number: usize) {
    if number > 0 {
        out.push(b',');
    }
}

fn put_pair(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.push(b'[');
    write_string(out, name.as_bytes());
    out.push(b',');
    write_string(out, value);
    out.push(b']');
}

/// SQL that says whether a column's value is one.
pub(super) fn is_kept_sql(value: &str) -> String {
    format!("startsWith({value}, '{BEGINNING}')")
}

/// SQL of the labels in it.
pub(super) fn labels_sql(value: &str) -> String {
    format!("JSONExtract({value}, 'timberyard', 'labels', 'Map(String, String)')")
}

/// SQL of the metadata in it, as an array of pairs.
pub(super) fn metadata_sql(value: &str) -> String {
    let pairs =
        |name: &str| format!("JSONExtract({value}, 'timberyard', '{name}', 'Array(Tuple(String, String))')");
    format!("arrayConcat({}, arrayMap(pair -> (pair.1, unhex(pair.2)), {}))", pairs("metadata"), pairs("hex"))
}

#[cfg(test)]
mod tests {
    use timberyard_model::{Labels, Timestamp, rows::RowsBuilder};

    use super::*;

    #[test]
    fn labels_and_metadata_are_one_object_of_json() {
        let mut rows = RowsBuilder::default();
        let stream = rows.stream(&Labels::from_pairs([("app", "a\"b")]));
        let metadata = [("k", &b"v"[..]), ("raw", b"\xff\x00"), ("k", b"w")];
        rows.push(stream, Timestamp::from_nanos(1), b"line", metadata).expect("fits");
        let rows = rows.finish();
        let text = of_row(rows.get(0));
        assert_eq!(
            String::from_utf8_lossy(&text),
            r#"{"timberyard":{"labels":{"app":"a\"b"},"metadata":[["k","v"],["k","w"]],"hex":[["raw","FF00"]]}}"#
        );
        assert!(is_kept(&text));
    }
}
