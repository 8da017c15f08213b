//! Texts that the RFC allows and does not allow, and what is made of those it does.

use std::borrow::Cow;

use super::{DEPTH_MAX, JsonKind, JsonReader, Result};

fn check(text: &[u8]) -> Result<()> {
    let mut reader = JsonReader::new(text, 8);
    reader.skip()?;
    reader.finish()
}

/// The same text, read by the methods that make values.
fn walk(reader: &mut JsonReader<'_>) -> Result<()> {
    match reader.peek()? {
        JsonKind::Object => {
            reader.begin_object()?;
            while reader.next_key()?.is_some() {
                walk(reader)?;
            }
        }
        JsonKind::Array => {
            reader.begin_array()?;
            while reader.next_element()? {
                walk(reader)?;
            }
        }
        JsonKind::String => drop(reader.string()?),
        JsonKind::Number => drop(reader.number()?),
        JsonKind::Boolean => drop(reader.boolean()?),
        JsonKind::Null => reader.null()?,
    }
    Ok(())
}

fn check_walking(text: &[u8]) -> Result<()> {
    let mut reader = JsonReader::new(text, 8);
    walk(&mut reader)?;
    reader.finish()
}

const ACCEPTED: &[&[u8]] = &[
    b"null",
    b" true ",
    b"\t\r\n false",
    b"0",
    b"-0",
    b"-0.0e+10",
    b"123456789012345678901234567890",
    b"1E-2",
    b"1.5",
    b"\"\"",
    b"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\"",
    b"\"\\ud800\"",
    b"\"\\udc00\\ud800\"",
    b"\"\\ud800\\ud83d\\ude00\"",
    b"\"\xff\xfe raw bytes \x7f\"",
    b"[]",
    b"[ ]",
    b"{}",
    b"{ }",
    b"[[],[[]],{}]",
    b"[[[[[[[[]]]]]]]]",
    b"{\"a\":1,\"a\":2}",
    b"{\"\":null}",
    b" [ 1 , \"x\" , { \"k\" : [ true , false , null ] } ] ",
];

const REFUSED: &[&[u8]] = &[
    b"",
    b" ",
    b"nul",
    b"True",
    b"nulls",
    b"01",
    b"-",
    b"-01",
    b"+1",
    b".5",
    b"1.",
    b"1.e2",
    b"1e",
    b"1e+",
    b"0x10",
    b"NaN",
    b"Infinity",
    b"1 2",
    b"\"",
    b"\"abc",
    b"\"\\",
    b"\"\\\"",
    b"\"\\x41\"",
    b"\"\\u12\"",
    b"\"\\u12g4\"",
    b"\"\\uD83D\\u\"",
    b"\"a\nb\"",
    b"\"a\\n\x00b\"",
    b"\"\t\"",
    b"'a'",
    b"[",
    b"]",
    b"[1",
    b"[1,",
    b"[1,]",
    b"[,1]",
    b"[1 2]",
    b"[1,,2]",
    b"[1}",
    b"[1]]",
    b"{",
    b"}",
    b"{\"a\"",
    b"{\"a\":",
    b"{\"a\":1",
    b"{\"a\":1,",
    b"{\"a\":1,}",
    b"{\"a\" 1}",
    b"{\"a\":}",
    b"{a:1}",
    b"{1:1}",
    b"{\"a\":1 \"b\":2}",
    b"{\"a\":1]",
    b"{,}",
    b"[/*x*/]",
    b"[1]x",
    b"\xef\xbb\xbf{}",
    b"[[[[[[[[[]]]]]]]]]",
];

#[test]
fn accepts_what_the_rfc_allows() {
    for text in ACCEPTED {
        check(text).unwrap_or_else(|e| panic!("{}: {e}", String::from_utf8_lossy(text)));
        check_walking(text).unwrap_or_else(|e| panic!("{}: {e}", String::from_utf8_lossy(text)));
    }
}

#[test]
fn refuses_what_the_rfc_does_not_allow() {
    for text in REFUSED {
        assert!(check(text).is_err(), "{}", String::from_utf8_lossy(text));
        assert!(check_walking(text).is_err(), "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn strings_are_unescaped_and_other_bytes_kept() {
    let cases: [(&[u8], &[u8]); 7] = [
        (br#""plain""#, b"plain"),
        (b"\"\xff\\n\xfe\"", b"\xff\n\xfe"),
        (br#""\u00e9\uD83D\uDE00""#, "é😀".as_bytes()),
        (br#""\ud800x""#, "\u{fffd}x".as_bytes()),
        (br#""\udc00""#, "\u{fffd}".as_bytes()),
        (br#""\ud800\ud83d\ude00""#, "\u{fffd}😀".as_bytes()),
        (br#""\u0000\/""#, b"\0/"),
    ];
    for (text, expected) in cases {
        let string = JsonReader::new(text, 1).string().expect("valid");
        assert_eq!(&*string, expected, "{}", String::from_utf8_lossy(text));
    }
    assert!(matches!(JsonReader::new(b"\"a\"", 1).string(), Ok(Cow::Borrowed(b"a"))));
}

#[test]
fn a_nested_value_is_given_as_it_was_sent() {
    let mut reader = JsonReader::new(br#"{"a": { "x" : [1,  2.50] } , "b": "\u0041"}"#, 8);
    reader.begin_object().expect("object");
    reader.next_key().expect("valid").expect("a");
    assert_eq!(reader.raw().expect("valid"), br#"{ "x" : [1,  2.50] }"#);
    reader.next_key().expect("valid").expect("b");
    assert_eq!(reader.raw().expect("valid"), br#""\u0041""#);
    assert!(reader.next_key().expect("valid").is_none());
    reader.finish().expect("the end");
}

#[test]
fn errors_name_the_place() {
    let error = check(b"{\n \"a\": [1, }").expect_err("malformed");
    assert_eq!(error.to_string(), "expected a value, found `}` at line 2, column 11 (byte 12)");
    let error = JsonReader::new(b"[1]", 4).string().expect_err("not a string");
    assert_eq!(error.to_string(), "expected a string, found an array at line 1, column 1 (byte 0)");
    let error = check(b"[[[[[[[[[").expect_err("too deep");
    assert_eq!(error.to_string(), "JSON nests deeper than the limit of 8 at line 1, column 9 (byte 8)");
}

#[test]
fn skipping_deep_nesting_needs_no_stack() {
    let text = [vec![b'['; DEPTH_MAX], vec![b']'; DEPTH_MAX]].concat();
    JsonReader::new(&text, usize::MAX).skip().expect("within the limit");
    assert!(JsonReader::new(&vec![b'['; 1 << 20], usize::MAX).skip().is_err());
}
