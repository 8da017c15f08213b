//! What is taken from OTLP as JSON, and what is refused.

use super::*;
use crate::test_context::{RECEIVED_AT, TestContext, rows_of};

fn decode_text(body: &str) -> Result<Decoded> {
    decode(body.as_bytes(), &TestContext::new().context())
}

fn rows(body: &str) -> Vec<String> {
    rows_of(&decode_text(body).unwrap_or_else(|e| panic!("{body}: {e}")).batch)
}

fn one_record(record: &str) -> String {
    format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{record}]}}]}}]}}"#)
}

#[test]
fn resource_scope_and_record_become_labels_metadata_and_line() {
    let body = r#"{"resourceLogs":[{
        "resource":{"attributes":[
            {"key":"service.name","value":{"stringValue":"shop"}},
            {"key":"k8s.pod.name","value":{"stringValue":"shop-1"}},
            {"key":"host.name","value":{"stringValue":"h"}}],"droppedAttributesCount":4},
        "scopeLogs":[{
            "scope":{"name":"lib","version":"1.2","attributes":[{"key":"s","value":{"intValue":5}}],"droppedAttributesCount":"2"},
            "logRecords":[{
                "timeUnixNano":"1700000000000000001","observedTimeUnixNano":1700000000000000002,
                "severityNumber":17,"severityText":"ERROR","body":{"stringValue":"order 18 failed"},
                "attributes":[
                    {"key":"http.status","value":{"intValue":"500"}},
                    {"key":"user","value":{"kvlistValue":{"values":[
                        {"key":"id","value":{"intValue":"-7"}},
                        {"key":"tags","value":{"arrayValue":{"values":[{"stringValue":"a"},{"boolValue":true}]}}}]}}},
                    {"key":"event_name","value":{"stringValue":"hidden"}},
                    {"key":"empty","value":{"stringValue":""}}],
                "droppedAttributesCount":1,"flags":1,"eventName":"order.failed",
                "traceId":"0102030405060708090A0B0C0D0E0F10","spanId":"0000000000000001"}]}]}]}"#;
    assert_eq!(
        rows(body),
        [concat!(
            r#"1700000000000000001 {k8s_pod_name="shop-1", service_name="shop"} order 18 failed "#,
            "dropped_attributes_count=1 event_name=order.failed flags=1 host_name=h http_status=500 ",
            "observed_timestamp=1700000000000000002 s=5 scope_dropped_attributes_count=2 scope_name=lib ",
            "scope_version=1.2 severity_number=17 severity_text=ERROR span_id=0000000000000001 ",
            "trace_id=0102030405060708090a0b0c0d0e0f10 user_id=-7 user_tags=[\"a\",true] detected_level=error"
        )
        .replace("[\"a\"", r#"[\"a\""#)]
    );
}

#[test]
fn order_of_fields_and_way_of_writing_are_free() {
    let body = r#" {"x":1,"resource_logs":[{"scope_logs":[{"log_records":[{"time_unix_nano":5,"body":{"string_value":"a"},
        "severity_number":"SEVERITY_NUMBER_WARN2","traceId":"","spanId":null,"attributes":null}],"scope":{"name":"late"}}],
        "resource":{"attributes":[{"key":"container.name","value":{"stringValue":"c"}}]}},{"resource":null,"scopeLogs":null},{}]}"#;
    assert_eq!(
        rows(body),
        [
            r#"5 {container_name="c", service_name="c"} a scope_name=late severity_number=14 detected_level=warn"#
        ]
    );
}

#[test]
fn a_body_of_any_kind_is_the_line() {
    let cases = [
        ("{}", ""),
        ("null", ""),
        (r#"{"boolValue":true}"#, "true"),
        (r#"{"intValue":"-3"}"#, "-3"),
        (r#"{"doubleValue":1.5}"#, "1.5"),
        (r#"{"doubleValue":"NaN"}"#, "NaN"),
        (r#"{"bytesValue":"//8="}"#, "//8="),
        (r#"{"arrayValue":{"values":[{"intValue":1},{}]}}"#, "[1,null]"),
        (
            r#"{"kvlistValue":{"values":[{"key":"b","value":{"intValue":1}},{"key":"a"}]}}"#,
            r#"{\"a\":null,\"b\":1}"#,
        ),
    ];
    for (body, line) in cases {
        let record = format!(r#"{{"timeUnixNano":"1","body":{body}}}"#);
        let expected = format!(r#"1 {{service_name="unknown_service"}} {line} detected_level=unknown"#);
        assert_eq!(rows(&one_record(&record)), [expected], "{body}");
    }
}

#[test]
fn a_record_without_a_time_has_the_time_observed_or_else_received() {
    let stream = r#"{service_name="unknown_service"}"#;
    assert_eq!(
        rows(&one_record(r#"{"observedTimeUnixNano":"7"},{}"#)),
        [
            format!("7 {stream}  detected_level=unknown"),
            format!("{} {stream}  detected_level=unknown", RECEIVED_AT.as_nanos())
        ]
    );
}

#[test]
fn equal_records_are_kept_and_a_request_may_be_empty() {
    let decoded = decode_text(&one_record(r#"{"timeUnixNano":"1"},{"timeUnixNano":"1"}"#)).expect("valid");
    assert_eq!(decoded.batch.equal_entries, timberyard_model::batch::EqualEntries::Keep);
    for body in ["{}", r#"{"resourceLogs":[]}"#, r#"{"resourceLogs":[{"scopeLogs":[{}]}]}"#] {
        assert!(decode_text(body).expect("valid").batch.rows.is_empty(), "{body}");
    }
}

#[test]
fn records_are_refused_alone() {
    let late = RECEIVED_AT.as_nanos() + 601_000_000_000;
    let long = "x".repeat(300_000);
    let many: Vec<String> =
        (0..200).map(|n| format!(r#"{{"key":"k{n}","value":{{"intValue":{n}}}}}"#)).collect();
    let records = [
        format!(r#"{{"timeUnixNano":"{late}"}}"#),
        format!(r#"{{"body":{{"stringValue":"{long}"}}}}"#),
        format!(r#"{{"attributes":[{}]}}"#, many.join(",")),
        format!(r#"{{"attributes":[{{"key":"k","value":{{"stringValue":"{long}"}}}}]}}"#),
        r#"{"attributes":[{"key":"--","value":{"intValue":1}}]}"#.to_owned(),
        r#"{"timeUnixNano":"18446744073709551615"}"#.to_owned(),
        r#"{"body":{"stringValue":"kept"}}"#.to_owned(),
    ];
    let decoded = decode_text(&one_record(&records.join(","))).expect("one is kept");
    assert_eq!(decoded.batch.rows.len(), 1);
    let reasons: Vec<&str> = decoded.rejected.described.iter().map(|one| one.reason.as_str()).collect();
    let parts = [
        "has timestamp too new",
        "max entry size '262144' bytes exceeded",
        "too many structured metadata labels: '129', limit: '128'",
        "structured metadata too large: '300001' bytes, limit: '65536' bytes",
        r#"structured metadata name "--" has no letter or digit"#,
        "has no timestamp, or one outside of 1677 to 2262",
    ];
    assert_eq!(reasons.len(), parts.len(), "{reasons:?}");
    for (reason, part) in reasons.iter().zip(parts) {
        assert!(reason.contains(part), "{reason}");
    }
}

#[test]
fn a_body_that_is_no_request_is_refused_with_its_place() {
    let nested = format!("{}{}", r#"{"arrayValue":{"values":["#.repeat(40), "]}}".repeat(40));
    let cases = [
        ("[]".to_owned(), "expected an object, found an array at line 1, column 1 (byte 0)"),
        (
            one_record("{]"),
            "expected a key in quotes, found `]` at line 1, column 48 (byte 47), in `resourceLogs[0]`",
        ),
        (
            one_record(r#"{"timeUnixNano":"soon"}"#),
            "expected an integer of 64 bits at line 1, column 63 (byte 62), in `resourceLogs[0].scopeLogs[0].logRecords[0].timeUnixNano`",
        ),
        (one_record(r#"{"traceId":"0102"}"#), "expected 32 hexadecimal digits, or none"),
        (one_record(r#"{"spanId":"x102030405060708"}"#), "logRecords[0].spanId`"),
        (one_record(r#"{"severityNumber":"LOUD"}"#), "expected a severity number or its name"),
        (one_record(r#"{"flags":true}"#), "expected an integer of 32 bits, found a boolean"),
        (one_record(r#"{"body":"text"}"#), "expected an object, found a string"),
        (
            one_record(r#"{"attributes":[{},{"key":"a","value":{"bytesValue":"*"}}]}"#),
            "logRecords[0].attributes[1].value.bytesValue`",
        ),
        (one_record(&format!(r#"{{"body":{nested}}}"#)), "nest"),
    ];
    for (body, part) in cases {
        let error = decode_text(&body).expect_err(&body).to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_resource_is_not_multiplied_without_bound() {
    let mut test = TestContext::new();
    test.limits.request.inflated_bytes_max = 100_000;
    let attribute = format!(r#"{{"key":"a","value":{{"stringValue":"{}"}}}}"#, "x".repeat(1000));
    let records = vec!["{}"; 200].join(",");
    let body = format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{attribute}]}},"scopeLogs":[{{"logRecords":[{records}]}}]}}]}}"#
    );
    let error = decode(body.as_bytes(), &test.context()).expect_err("too large").to_string();
    assert_eq!(
        error,
        "request, with the attributes of resource and scope at each record, is larger than the limit of 100000 bytes"
    );
}
