//! What people may do: rules that turn the claims of a token into tenants and scopes.
//!
//! A rule is `CLAIM=VALUE TENANTS SCOPES`, with `+` between several of one kind: `groups=ops * push+read+tail+delete+admin`,
//! `groups=acme acme read+tail`. VALUE `*` is any value; TENANTS `@CLAIM` are those that a claim names. The first rule
//! that fits counts: rules are not added up, since scopes of one tenant would then count in another.

use std::str::FromStr;

use serde_json::Value;
use timberyard_model::TenantId;

use super::token::{Claims, texts};
use crate::auth::{Scopes, TenantAccess};

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    claim: Box<str>,
    /// Any when `None`.
    value: Option<Box<str>>,
    tenants: GrantedTenants,
    scopes: Scopes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum GrantedTenants {
    These(TenantAccess),
    /// Those that the claim names.
    OfClaim(Box<str>),
}

/// A text that is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no rule such as `groups=acme acme read+tail`: {reason}")]
pub struct GrantError {
    text: String,
    reason: String,
}

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |reason: String| GrantError { text: text.to_owned(), reason };
        let mut words = text.split_ascii_whitespace();
        let (Some(condition), Some(tenants), Some(scopes), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(error("it needs a condition, tenants and scopes, with spaces between".to_owned()));
        };
        let (claim, value) = condition
            .split_once('=')
            .filter(|(claim, value)| !claim.is_empty() && !value.is_empty())
            .ok_or_else(|| error(format!("`{condition}` is no CLAIM=VALUE")))?;
        let tenants = match tenants.strip_prefix('@') {
            Some("") => return Err(error("`@` names no claim".to_owned())),
            Some(claim) => GrantedTenants::OfClaim(claim.into()),
            None => {
                let names = tenants.replace('+', ",").parse::<TenantAccess>();
                GrantedTenants::These(names.map_err(|wrong| error(wrong.to_string()))?)
            }
        };
        let scopes = Scopes::from_words(scopes.split('+')).map_err(|wrong| error(wrong.to_string()))?;
        let value = (value != "*").then(|| value.into());
        Ok(Self { claim: claim.into(), value, tenants, scopes })
    }
}

impl Grant {
    /// What this rule gives to the holder of a token that says this; `None` when it does not fit.
    fn of(&self, claims: &Claims) -> Option<(TenantAccess, Scopes)> {
        let claim = claims.get(&*self.claim)?;
        let fits = match (&self.value, claim) {
            (None, claim) => !claim.is_null(),
            (Some(value), Value::Bool(is)) => **value == *is.to_string(),
            (Some(value), Value::Number(number)) => **value == *number.to_string(),
            (Some(value), claim) => texts(Some(claim)).any(|text| *text == **value),
        };
        let tenants = || match &self.tenants {
            GrantedTenants::These(tenants) => Some(tenants.clone()),
            GrantedTenants::OfClaim(name) => {
                // A name that no tenant can have grants nothing; `*` is none.
                let names: Vec<TenantId> = texts(claims.get(&**name))
                    .filter(|name| *name != "*")
                    .filter_map(|name| TenantId::new(name).ok())
                    .collect();
                (!names.is_empty()).then(|| TenantAccess::Only(names.into()))
            }
        };
        if fits { Some((tenants()?, self.scopes)) } else { None }
    }
}

/// What the first rule that fits gives.
pub(super) fn granted(grants: &[Grant], claims: &Claims) -> Option<(TenantAccess, Scopes)> {
    grants.iter().find_map(|grant| grant.of(claims))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn given(rules: &[&str], claims: &Value) -> Option<String> {
        let rules: Vec<Grant> = rules.iter().map(|rule| rule.parse().expect("a rule")).collect();
        let claims = claims.as_object().expect("claims").clone();
        granted(&rules, &claims).map(|(tenants, scopes)| format!("{tenants} {scopes}"))
    }

    #[test]
    fn the_first_rule_that_fits_counts_alone() {
        let rules = [
            "groups=ops * read+admin",
            "groups=acme acme+bravo read+tail",
            "email_verified=true guests read",
        ];
        let given = |claims: Value| given(&rules, &claims);
        assert_eq!(given(json!({ "groups": ["acme", "ops"] })).as_deref(), Some("* read,admin"));
        assert_eq!(given(json!({ "groups": "acme" })).as_deref(), Some("acme,bravo read,tail"));
        assert_eq!(given(json!({ "email_verified": true })).as_deref(), Some("guests read"));
        for nothing in [json!({}), json!({ "groups": ["acm"] }), json!({ "groups": { "acme": 1 } })] {
            assert_eq!(given(nothing), None);
        }
    }

    #[test]
    fn a_claim_can_name_the_tenants_but_not_all_of_them() {
        let rules = ["sub=* @org read"];
        assert_eq!(given(&rules, &json!({ "sub": "x", "org": ["b", "a"] })).as_deref(), Some("b,a read"));
        for org in [json!("*"), json!(""), json!([]), json!("a/b"), json!(7)] {
            assert_eq!(given(&rules, &json!({ "sub": "x", "org": org })), None);
        }
    }

    #[test]
    fn what_is_no_rule_says_why() {
        for (text, reason) in [
            ("groups=ops *", "it needs"),
            ("groups=ops * read more", "it needs"),
            ("groups * read", "CLAIM=VALUE"),
            ("groups=ops a/b read", "tenant"),
            ("groups=ops @ read", "names no claim"),
            ("groups=ops * write", "`write` is no scope"),
        ] {
            let error = text.parse::<Grant>().expect_err(text).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
