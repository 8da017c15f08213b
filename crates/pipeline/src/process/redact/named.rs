//! The rules that are known by name.

use super::Detector;
use super::card::Card;
use super::email::Email;
use super::expression::SecretExpression;

/// Rules that are expressions: of those with groups whose names begin with `secret`, those are replaced.
const EXPRESSIONS: [(&str, &str); 9] = [
    // RFC 6750, and what Basic authentication sends.
    ("bearer", r"(?i)\b(?:bearer|basic)\s+(?P<secret>[A-Za-z0-9._~+/-]{8,}=*)"),
    // RFC 7519: header and payload begin as JSON objects do in base64.
    ("jwt", r"\beyJ[A-Za-z0-9_-]{5,}\.eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*"),
    ("aws_key", r"\b(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z2-7]{16}\b"),
    ("aws_secret", r#"(?i)aws_?secret(?:_?access)?_?key["']?\s*[=:]\s*["']?(?P<secret>[A-Za-z0-9/+]{40})"#),
    ("github_token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})"),
    ("slack_token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    ("private_key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?P<secret>[A-Za-z0-9+/=\s\\:,-]*?)(?:-----END|\z)"),
    ("url_password", r#"\b[a-z][a-z0-9+.-]*://[^\s:/?#@"']*:(?P<secret>[^\s/?#@"']+)@"#),
    (
        "password",
        r#"(?i)(?:password|passwd|pwd|passphrase|secret|token|api_?key)\\?["']?\s*[=:]\s*(?:"(?P<secret_quoted>[^"]+)"|\\?["']?(?P<secret>(?:[^\s"',;&}\])\\]|\\[^"'])+))"#,
    ),
];

/// The names of all rules.
pub(in super::super) fn names() -> impl Iterator<Item = &'static str> {
    ["card", "email"].into_iter().chain(EXPRESSIONS.into_iter().map(|(name, _)| name))
}

/// The rule of that name.
pub(super) fn detector(name: &str) -> Result<Box<dyn Detector>, String> {
    let mark = format!("<{name}>");
    Ok(match name {
        "card" => Box::new(Card),
        "email" => Box::new(Email),
        _ => match EXPRESSIONS.iter().find(|(known, _)| *known == name) {
            Some((_, source)) => Box::new(SecretExpression::new(source, mark.as_bytes())?),
            None => {
                let known = names().collect::<Vec<_>>().join(", ");
                return Err(format!("rules: there is no rule `{name}`; there are {known}"));
            }
        },
    })
}
