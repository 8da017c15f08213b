//! The bytes of a tombstone in the manifest, drawn in `docs/format/deletions.md`.

use timberyard_model::matcher::{LabelMatcher, LineFilter, LinePattern, ValueTest};
use timberyard_model::pattern::Pattern;
use timberyard_model::row_condition::NoConditions;
use timberyard_model::{RowCondition, RowSelector, TenantId, TimeRange, Timestamp};

use super::tombstone::{DeletionId, Tombstone};
use crate::codec::{Malformed, Reader, put_bytes, put_u32, put_varint, put_zigzag};

/// Appends a tombstone; its tenant is the manifest's to write.
pub(crate) fn write_tombstone(out: &mut Vec<u8>, tombstone: &Tombstone) {
    put_u32(out, tombstone.id.0);
    put_varint(out, tombstone.sequence);
    put_zigzag(out, tombstone.created_at.as_nanos());
    out.push(u8::from(tombstone.carried_out_at.is_some()));
    if let Some(at) = tombstone.carried_out_at {
        put_zigzag(out, at.as_nanos());
    }
    put_bytes(out, tombstone.text.as_bytes());
    let RowSelector { matchers, range, line_filters, condition } = &tombstone.selector;
    put_zigzag(out, range.start.as_nanos());
    put_zigzag(out, range.end.as_nanos());
    put_varint(out, matchers.len() as u64);
    for matcher in matchers {
        let (test, value) = match &matcher.test {
            ValueTest::Equal(value) => (0, &**value),
            ValueTest::NotEqual(value) => (1, &**value),
            ValueTest::Matches(pattern) => (2, pattern.source()),
            ValueTest::NotMatches(pattern) => (3, pattern.source()),
        };
        out.push(test);
        put_bytes(out, matcher.name.as_bytes());
        put_bytes(out, value.as_bytes());
    }
    put_varint(out, line_filters.len() as u64);
    for filter in line_filters {
        out.push(u8::from(filter.negated));
        put_varint(out, filter.any_of.len() as u64);
        for pattern in &filter.any_of {
            match pattern {
                LinePattern::Literal(bytes) => {
                    out.push(0);
                    put_bytes(out, bytes);
                }
                LinePattern::Regex(pattern) => {
                    out.push(1);
                    put_bytes(out, pattern.source().as_bytes());
                }
            }
        }
    }
    out.push(u8::from(condition.is_some()));
    if let Some(condition) = condition {
        put_zigzag(out, condition.asked_at().as_nanos());
        put_bytes(out, condition.text().as_bytes());
    }
}

/// Whether tombstones of a manifest can have conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conditions {
    /// They were not known yet.
    Unknown,
    /// They can. None is understood until it is read by its language.
    Known,
}

/// Reads what [`write_tombstone`] wrote.
pub(crate) fn read_tombstone(
    reader: &mut Reader<'_>,
    tenant: TenantId,
    conditions: Conditions,
) -> Result<Tombstone, Malformed> {
    let id = DeletionId(reader.u32()?);
    let sequence = reader.varint()?;
    let time = |reader: &mut Reader<'_>| reader.zigzag().map(Timestamp::from_nanos);
    let created_at = time(reader)?;
    let carried_out_at = if flag(reader)? { Some(time(reader)?) } else { None };
    let text = reader.text()?.into();
    let range = TimeRange::new(time(reader)?, time(reader)?);
    let mut matchers = Vec::new();
    for _ in 0..reader.count()? {
        matchers.push(read_matcher(reader)?);
    }
    let mut line_filters = Vec::new();
    for _ in 0..reader.count()? {
        let negated = flag(reader)?;
        let mut any_of = Vec::new();
        for _ in 0..reader.count()? {
            any_of.push(read_pattern(reader)?);
        }
        line_filters.push(LineFilter { negated, any_of });
    }
    let condition = match conditions {
        Conditions::Known if flag(reader)? => {
            let asked_at = time(reader)?;
            Some(RowCondition::read(&NoConditions, reader.text()?, asked_at))
        }
        _ => None,
    };
    let selector = RowSelector { matchers, range, line_filters, condition };
    let mut tombstone = Tombstone::new(id, tenant, selector, text, created_at, sequence);
    tombstone.carried_out_at = carried_out_at;
    Ok(tombstone)
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, Malformed> {
    match reader.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed("flag of a deletion is neither 0 nor 1")),
    }
}

fn read_matcher(reader: &mut Reader<'_>) -> Result<LabelMatcher, Malformed> {
    let test = reader.byte()?;
    let name = reader.text()?.into();
    let value = reader.text()?;
    let whole = || Pattern::whole(value).map_err(|_| Malformed("expression of a deletion does not compile"));
    let test = match test {
        0 => ValueTest::Equal(value.into()),
        1 => ValueTest::NotEqual(value.into()),
        2 => ValueTest::Matches(whole()?),
        3 => ValueTest::NotMatches(whole()?),
        _ => return Err(Malformed("deletion has an unknown kind of matcher")),
    };
    Ok(LabelMatcher { name, test })
}

fn read_pattern(reader: &mut Reader<'_>) -> Result<LinePattern, Malformed> {
    match reader.byte()? {
        0 => Ok(LinePattern::Literal(reader.bytes()?.into())),
        1 => {
            let pattern = Pattern::anywhere(reader.text()?);
            pattern
                .map(LinePattern::Regex)
                .map_err(|_| Malformed("expression of a deletion does not compile"))
        }
        _ => Err(Malformed("deletion has an unknown kind of line filter")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One of every kind of matcher and filter.
    pub(crate) fn tombstone(id: u32, tenant: &str) -> Tombstone {
        let whole = |text| Pattern::whole(text).expect("valid");
        let matcher = |name: &str, test| LabelMatcher { name: name.into(), test };
        let literal = |bytes: &[u8]| LinePattern::Literal(bytes.into());
        let selector = RowSelector {
            matchers: vec![
                matcher("app", ValueTest::Equal("api".into())),
                matcher("env", ValueTest::NotEqual("".into())),
                matcher("pod", ValueTest::Matches(whole("a|b.*"))),
                matcher("zone", ValueTest::NotMatches(whole("(?i)x"))),
            ],
            range: TimeRange::new(Timestamp::from_nanos(-5), Timestamp::from_nanos(7)),
            line_filters: vec![
                LineFilter { negated: false, any_of: vec![literal(b"a"), literal(b"\xff")] },
                LineFilter {
                    negated: true,
                    any_of: vec![LinePattern::Regex(Pattern::anywhere("er+or").expect("valid"))],
                },
            ],
            condition: (id % 2 == 1).then(|| RowCondition::read(&NoConditions, "{} | json", Timestamp::MAX)),
        };
        let tenant = TenantId::new(tenant).expect("valid");
        let created_at = Timestamp::from_nanos(1_795_132_800_000_000_000);
        Tombstone::new(DeletionId(id), tenant, selector, "{app=\"api\"}".into(), created_at, 70)
    }

    #[test]
    fn a_tombstone_comes_back_and_a_shortened_one_is_refused() {
        let pending = tombstone(7, "a");
        for written in [pending.carried_out(Timestamp::from_nanos(99)), pending] {
            let mut bytes = Vec::new();
            write_tombstone(&mut bytes, &written);
            let read = read_tombstone(&mut Reader::new(&bytes), written.tenant.clone(), Conditions::Known);
            assert_eq!(read.expect("whole"), written);
            for length in 0..bytes.len() {
                let outcome = read_tombstone(
                    &mut Reader::new(&bytes[..length]),
                    written.tenant.clone(),
                    Conditions::Known,
                );
                assert!(outcome.is_err(), "{length} bytes");
            }
        }
    }
}
