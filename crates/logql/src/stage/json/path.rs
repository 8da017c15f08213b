//! Where a value lies in a JSON text: `response.headers["User-Agent"][0]`

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To the member of that name.
    Key(String),
    /// To the element of that number.
    Index(usize),
}

/// Reads a path; it has at least one step.
pub(super) fn parse(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = text.trim_start_matches(is_blank);
    while let Some(first) = rest.chars().next() {
        let behind = match first {
            '[' => rest[1..].trim_start_matches(is_blank),
            '.' if !steps.is_empty() => {
                let field = rest[1..].trim_start_matches(is_blank);
                if !field.starts_with(is_name_start) {
                    return Err(unexpected(field, "FIELD"));
                }
                field
            }
            c if is_name_start(c) && steps.is_empty() => rest,
            _ if steps.is_empty() => return Err(unexpected(rest, "LSB or FIELD")),
            _ => return Err(unexpected(rest, "DOT or LSB")),
        };
        rest = if first == '[' {
            let (step, behind) = bracket(behind)?;
            steps.push(step);
            behind
        } else {
            let len = behind.find(|c| !is_name(c)).unwrap_or(behind.len());
            steps.push(Step::Key(behind[..len].to_owned()));
            &behind[len..]
        }
        .trim_start_matches(is_blank);
    }
    if steps.is_empty() {
        return Err(unexpected("", "LSB or FIELD"));
    }
    Ok(steps)
}

/// `"key"]` or `7]`
fn bracket(text: &str) -> Result<(Step, &str), String> {
    let (step, behind) = if let Some(quoted) = text.strip_prefix('"') {
        let (key, behind) = quoted.split_once('"').ok_or_else(|| unexpected("", "RSB"))?;
        (Step::Key(key.to_owned()), behind)
    } else {
        let len = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, behind) = text.split_at(len);
        if digits.is_empty() {
            return Err(unexpected(text, "STRING or INDEX"));
        }
        if behind.starts_with('.') {
            return Err("cannot use float as array index".to_owned());
        }
        let index = digits.parse().map_err(|_| format!("array index {digits} is too large"))?;
        (Step::Index(index), behind)
    };
    match behind.trim_start_matches(is_blank).strip_prefix(']') {
        Some(behind) => Ok((step, behind)),
        None => Err(unexpected(behind, "RSB")),
    }
}

fn unexpected(rest: &str, expected: &str) -> String {
    let found = match rest.chars().next() {
        None => "$end".to_owned(),
        Some('.') => "DOT".to_owned(),
        Some('[') => "LSB".to_owned(),
        Some(']') => "RSB".to_owned(),
        Some('"') => "STRING".to_owned(),
        Some(c) if is_name_start(c) => "FIELD".to_owned(),
        Some(c) if c.is_ascii_digit() => "INDEX".to_owned(),
        Some(c) => return format!("unexpected char {c}"),
    };
    format!("syntax error: unexpected {found}, expecting {expected}")
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n')
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_name(c: char) -> bool {
    is_name_start(c) || c.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_fields_keys_and_indexes() {
        let key = |name: &str| Step::Key(name.to_owned());
        assert_eq!(
            parse(r#"a.b_1["c d"][12].e"#),
            Ok(vec![key("a"), key("b_1"), key("c d"), Step::Index(12), key("e")])
        );
        assert_eq!(parse(r#"["x.y"]"#), Ok(vec![key("x.y")]));
        assert_eq!(parse("[0]"), Ok(vec![Step::Index(0)]));
    }

    #[test]
    fn bad_paths_are_refused() {
        for (text, fault) in [
            ("", "syntax error: unexpected $end, expecting LSB or FIELD"),
            ("a.", "syntax error: unexpected $end, expecting FIELD"),
            ("a..b", "syntax error: unexpected DOT, expecting FIELD"),
            ("a b", "syntax error: unexpected FIELD, expecting DOT or LSB"),
            ("[a]", "syntax error: unexpected FIELD, expecting STRING or INDEX"),
            ("[1", "syntax error: unexpected $end, expecting RSB"),
            ("[1.5]", "cannot use float as array index"),
            ("a-b", "unexpected char -"),
        ] {
            assert_eq!(parse(text).expect_err(text), fault);
        }
    }
}
