//! SQL with its parameters: what comes from outside is bound by name and type, and never part of the text.

use std::fmt;

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Int(i64),
    UInt(u64),
    UInts(Vec<u64>),
    Texts(Vec<String>),
}

/// A query, or a part of one. Parts are put together by [`Statement::append`], which numbers parameters on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Statement {
    sql: String,
    values: Vec<Value>,
}

impl Statement {
    /// SQL without parameters. It must not hold anything that came from outside.
    pub(super) fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), values: Vec::new() }
    }

    /// Adds SQL.
    pub(super) fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// Adds a number with a sign.
    pub(super) fn int(&mut self, value: i64) -> &mut Self {
        self.bind("Int64", Value::Int(value))
    }

    /// Adds a time, in nanoseconds since 1970.
    pub(super) fn time(&mut self, nanos: i64) -> &mut Self {
        self.push("fromUnixTimestamp64Nano(").int(nanos).push(", 'UTC')")
    }

    /// Adds a number without a sign.
    pub(super) fn uint(&mut self, value: u64) -> &mut Self {
        self.bind("UInt64", Value::UInt(value))
    }

    /// Adds an array of numbers.
    pub(super) fn uints(&mut self, values: Vec<u64>) -> &mut Self {
        self.bind("Array(UInt64)", Value::UInts(values))
    }

    /// Adds an array of texts.
    pub(super) fn texts<'t>(&mut self, values: impl IntoIterator<Item = &'t str>) -> &mut Self {
        self.bind("Array(String)", Value::Texts(values.into_iter().map(str::to_owned).collect()))
    }

    /// Adds a text.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Adds bytes as a `String`. Parameters are text, so others than that travel as digits.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let plain = |text: &&str| !text.chars().any(char::is_control);
        match std::str::from_utf8(bytes).ok().filter(plain) {
            Some(text) => self.bind("String", Value::Text(text.to_owned())),
            None => {
                let digits = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
                self.push("unhex(").bind("String", Value::Text(digits)).push(")")
            }
        }
    }

    /// Adds a part with its parameters.
    pub(super) fn append(&mut self, part: &Self) -> &mut Self {
        let mut rest = part.sql.as_str();
        let mut values = part.values.iter();
        // Every parameter was written by `bind`, in the order of the values.
        while let Some((before, behind)) = rest.split_once("{p")
            && let Some((_, kind)) = behind.split_once(':')
            && let Some((kind, behind)) = kind.split_once('}')
            && let Some(value) = values.next()
        {
            self.push(before).bind(kind, value.clone());
            rest = behind;
        }
        self.push(rest)
    }

    /// Adds parts with `separator` between each two of them.
    pub(super) fn join<'p>(
        &mut self,
        parts: impl IntoIterator<Item = &'p Self>,
        separator: &str,
    ) -> &mut Self {
        for (number, part) in parts.into_iter().enumerate() {
            if number > 0 {
                self.push(separator);
            }
            self.append(part);
        }
        self
    }

    /// The SQL, with `{pN:Type}` for parameters.
    #[cfg(test)]
    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    /// The query that a client sends.
    pub(super) fn query(&self, client: &clickhouse::Client) -> clickhouse::query::Query {
        let mut query = client.query_raw(&self.sql);
        for (number, value) in self.values.iter().enumerate() {
            let name = format!("p{number}");
            query = match value {
                Value::Text(text) => query.param(&name, text),
                Value::Int(value) => query.param(&name, value),
                Value::UInt(value) => query.param(&name, value),
                Value::UInts(values) => query.param(&name, values),
                Value::Texts(values) => query.param(&name, values),
            };
        }
        query
    }

    fn bind(&mut self, kind: &str, value: Value) -> &mut Self {
        let number = self.values.len();
        self.values.push(value);
        self.push(&format!("{{p{number}:{kind}}}"))
    }
}

/// For people: the SQL, and what its parameters are.
impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sql)?;
        for (number, value) in self.values.iter().enumerate() {
            f.write_str(if number == 0 { " -- " } else { ", " })?;
            match value {
                Value::Text(text) => write!(f, "p{number}={text:?}"),
                Value::Int(value) => write!(f, "p{number}={value}"),
                Value::UInt(value) => write!(f, "p{number}={value}"),
                Value::UInts(values) => write!(f, "p{number}={values:?}"),
                Value::Texts(values) => write!(f, "p{number}={values:?}"),
            }?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_put_together_and_their_parameters_numbered_on() {
        let mut condition = Statement::default();
        condition.push("line = ").text("a{p7:String}").push(" AND n = ").int(-1);
        let mut all = Statement::new("SELECT 1 WHERE t > ");
        all.time(5).push(" AND (").join([&condition, &condition], " OR ").push(")");
        assert_eq!(
            all.sql(),
            "SELECT 1 WHERE t > fromUnixTimestamp64Nano({p0:Int64}, 'UTC') AND (line = {p1:String} AND n = {p2:Int64} OR \
             line = {p3:String} AND n = {p4:Int64})"
        );
        assert!(
            all.to_string().ends_with(r#" -- p0=5, p1="a{p7:String}", p2=-1, p3="a{p7:String}", p4=-1"#),
            "{all}"
        );
    }

    #[test]
    fn bytes_that_are_no_plain_text_travel_as_digits() {
        let mut statement = Statement::default();
        statement.bytes(b"\xff\0'");
        assert_eq!(statement.to_string(), r#"unhex({p0:String}) -- p0="FF0027""#);
    }
}
