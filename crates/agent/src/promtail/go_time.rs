//! Layouts of times as Go writes them, as formats of this agent.
//!
//! Layouts: <https://pkg.go.dev/time#pkg-constants>.

/// What stands for what, longer before shorter.
const TOKENS: [(&str, &str); 27] = [
    ("January", "%B"),
    ("Monday", "%A"),
    ("-07:00", "%:z"),
    ("Z07:00", "%:z"),
    ("-0700", "%z"),
    ("Z0700", "%z"),
    ("2006", "%Y"),
    ("Jan", "%b"),
    ("Mon", "%a"),
    ("002", "%j"),
    ("01", "%m"),
    ("02", "%d"),
    ("_2", "%e"),
    ("03", "%I"),
    ("04", "%M"),
    ("05", "%S"),
    ("06", "%y"),
    ("15", "%H"),
    ("PM", "%p"),
    ("pm", "%p"),
    ("%", "%%"),
    ("1", "%m"),
    ("2", "%d"),
    ("3", "%I"),
    ("4", "%M"),
    ("5", "%S"),
    ("6", "%y"),
];

/// The format for a name that Promtail knows, or for a layout; `None` for what has no counterpart.
pub(super) fn format(name: &str) -> Option<String> {
    let layout = match name {
        "RFC3339" | "RFC3339Nano" => return Some("rfc3339".to_owned()),
        "Unix" => return Some("unix".to_owned()),
        "UnixMs" => return Some("unix_ms".to_owned()),
        "UnixUs" => return Some("unix_us".to_owned()),
        "UnixNs" => return Some("unix_ns".to_owned()),
        "ANSIC" => "Mon Jan _2 15:04:05 2006",
        "RubyDate" => "Mon Jan 02 15:04:05 -0700 2006",
        "RFC822Z" => "02 Jan 06 15:04 -0700",
        "RFC1123Z" => "Mon, 02 Jan 2006 15:04:05 -0700",
        // Abbreviations of zones do not say which zone it is.
        "UnixDate" | "RFC822" | "RFC850" | "RFC1123" => return None,
        layout => layout,
    };
    let is_rfc3339 = layout.starts_with("2006-01-02T15:04:05") && layout.ends_with("Z07:00");
    if is_rfc3339 {
        return Some("rfc3339".to_owned());
    }
    if layout.contains("MST") {
        return None;
    }
    let mut format = String::new();
    let mut rest = layout;
    while let Some(character) = rest.chars().next() {
        let fraction = rest.get(1..).unwrap_or_default();
        let digits = fraction.bytes().take_while(|byte| matches!(byte, b'0' | b'9')).count();
        if matches!(character, '.' | ',') && digits > 0 && format.ends_with("%S") {
            format.push_str(if character == '.' { "%.f" } else { ",%f" });
            rest = rest.get(1 + digits..).unwrap_or_default();
        } else if let Some((token, conversion)) = TOKENS.iter().find(|(token, _)| rest.starts_with(token)) {
            format.push_str(conversion);
            rest = rest.get(token.len()..).unwrap_or_default();
        } else {
            format.push(character);
            rest = rest.get(character.len_utf8()..).unwrap_or_default();
        }
    }
    format.contains('%').then_some(format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_become_formats() {
        for (layout, expected) in [
            ("RFC3339Nano", Some("rfc3339")),
            ("UnixMs", Some("unix_ms")),
            ("2006-01-02T15:04:05.000Z07:00", Some("rfc3339")),
            ("2006-01-02 15:04:05.000", Some("%Y-%m-%d %H:%M:%S%.f")),
            ("2006-01-02 15:04:05,000", Some("%Y-%m-%d %H:%M:%S,%f")),
            ("02/Jan/2006:15:04:05 -0700", Some("%d/%b/%Y:%H:%M:%S %z")),
            ("Mon, 2 Jan 2006 3:04PM", Some("%a, %d %b %Y %I:%M%p")),
            ("ANSIC", Some("%a %b %e %H:%M:%S %Y")),
            ("RFC1123", None),
            ("Jan 2 MST", None),
            ("words", None),
        ] {
            assert_eq!(format(layout).as_deref(), expected, "{layout}");
        }
    }
}
