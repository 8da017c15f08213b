//! One table of another system: which columns it has, how rows are inserted, and what queries read.

use timberyard_model::TenantId;
use timberyard_model::rows::RowRef;
use timberyard_model::time::TimeRange;
use uuid::Uuid;

use super::super::layout::{ColumnKind, Layout, LayoutColumn};
use super::super::statement::Statement;
use super::column_type::ColumnType;
use super::relation_sql::{RelationSql, ends};
use super::row_bytes::Value;
use super::{logstream, logtopus};

/// A table that was looked at, or one with the columns that we would make.
#[derive(Clone, Debug)]
pub(in super::super) struct AdoptedTable {
    layout: Layout,
    tenant: TenantId,
    /// Quoted, with its database.
    name: String,
    types: Vec<ColumnType>,
}

impl AdoptedTable {
    /// The table with the columns that it is said to have, by name and type.
    ///
    /// # Errors
    /// All columns that are missing, or have a type that cannot hold what belongs there.
    pub(in super::super) fn new(
        layout: Layout,
        tenant: &TenantId,
        name: String,
        columns: &[(String, String)],
    ) -> Result<Self, String> {
        let (mut types, mut wrong) = (Vec::new(), Vec::new());
        for LayoutColumn { name, kind, made_as } in layout.columns() {
            let found = columns.iter().find(|(column, _)| column == name).map(|(_, found)| found);
            match found.map(|found| (found, ColumnType::read(*kind, found))) {
                Some((_, Some(found))) => types.push(found),
                Some((found, None)) => wrong.push(format!("`{name}` is {found}, not {made_as}")),
                None => wrong.push(format!("`{name}` ({made_as}) is missing")),
            }
        }
        match wrong.is_empty() {
            true => Ok(Self { layout, tenant: tenant.clone(), name, types }),
            false => Err(format!("{name} is no table of {}: {}", layout.owner(), wrong.join(", "))),
        }
    }

    /// The table as it would be made.
    pub(in super::super) fn made(layout: Layout, tenant: &TenantId, name: String) -> Option<Self> {
        let columns = layout.columns().iter().map(|column| (column.name.into(), column.made_as.into()));
        // Columns that we make have types that we know.
        Self::new(layout, tenant, name, &columns.collect::<Vec<_>>()).ok()
    }

    /// Whose rows it holds.
    pub(in super::super) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// As people call it.
    pub(super) fn shown(&self) -> &str {
        &self.name
    }

    pub(super) fn types(&self) -> &[ColumnType] {
        &self.types
    }

    fn type_of(&self, column: &str) -> ColumnType {
        let position = self.layout.columns().iter().position(|known| known.name == column);
        position.and_then(|position| self.types.get(position)).copied().unwrap_or(ColumnType::Number)
    }

    pub(super) fn time_type(&self) -> ColumnType {
        self.type_of("timestamp")
    }

    pub(super) fn has_uuid(&self, column: &str) -> bool {
        self.type_of(column) == ColumnType::Uuid
    }

    /// A column's value, of a type that does not depend on the table's.
    pub(super) fn value_sql(&self, column: &str) -> String {
        self.type_of(column).value_sql(&format!("adopted.{column}"))
    }

    /// The values of a row, and what it is known by where the table has ids.
    pub(super) fn values<'r>(&self, row: RowRef<'r>, given_id: Uuid) -> (Option<Uuid>, Vec<Value<'r>>) {
        match self.layout {
            Layout::Logtopus => (None, logtopus::values(row)),
            Layout::Logstream | Layout::Timberyard => {
                let (id, values) = logstream::values(row, given_id);
                (Some(id), values)
            }
        }
    }

    fn relation(&self) -> RelationSql {
        match self.layout {
            Layout::Logtopus => logtopus::relation(self),
            Layout::Logstream | Layout::Timberyard => logstream::relation(self),
        }
    }

    /// What begins an insert.
    pub(in super::super) fn insert_sql(&self) -> String {
        let columns: Vec<&str> = self.layout.columns().iter().map(|column| column.name).collect();
        format!("INSERT INTO {} ({}) FORMAT RowBinary", self.name, columns.join(", "))
    }

    /// What may follow `FROM`: rows that may lie within a range, with the columns of our own table.
    pub(in super::super) fn rows(&self, range: TimeRange) -> Statement {
        let (first, last) = ends(range);
        let bounds = self.time_type().bounds_sql(first, last);
        self.relation().rows(&self.name, &self.tenant, &self.value_sql("timestamp"), &bounds)
    }

    /// What may follow `FROM`: label sets by day.
    pub(in super::super) fn streams(&self, range: TimeRange) -> Statement {
        let mut sql =
            Statement::new("(SELECT DISTINCT tenant, toDate32(time) AS day, service, stream, labels FROM ");
        sql.append(&self.rows(range)).push(")");
        sql
    }

    /// The first and the last day of rows in a range, and how many there are: answered without reading rows, mostly.
    pub(in super::super) fn extent(&self, range: TimeRange) -> Statement {
        let (first, last) = ends(range);
        let (from, to) = self.time_type().bounds_sql(first, last);
        let day = |end: &str| format!("toInt64(toDate32({end}(adopted.timestamp), 'UTC'))");
        Statement::new(format!(
            "SELECT {}, {}, count() FROM {} AS adopted WHERE adopted.timestamp >= {from} AND adopted.timestamp <= {to}",
            day("min"),
            day("max"),
            self.name
        ))
    }

    /// Which of these ids have rows between two times. Nothing for a table without ids.
    pub(in super::super) fn known_ids(&self, ids: &[Uuid], (first, last): (i64, i64)) -> Option<Statement> {
        let column = self.layout.columns().iter().find(|column| column.kind == ColumnKind::Id)?;
        let (from, to) = self.time_type().bounds_sql(first, last);
        let mut asked = Statement::new(format!(
            "SELECT DISTINCT toString(adopted.{id}) FROM {table} AS adopted WHERE adopted.timestamp >= {from} AND \
             adopted.timestamp <= {to} AND toString(adopted.{id}) IN (",
            id = column.name,
            table = self.name
        ));
        let ids: Vec<String> = ids.iter().map(|id| id.hyphenated().to_string()).collect();
        asked.texts(ids.iter().map(String::as_str)).push(")");
        Some(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_columns_that_are_wrong_are_named() {
        let columns = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, kind)| (String::from(*name), String::from(*kind))).collect::<Vec<_>>()
        };
        let found = columns(&[
            ("id", "UUID"),
            ("service", "String"),
            ("level", "Enum8('A' = 1)"),
            ("message", "String"),
            ("meta", "String"),
        ]);
        let refused = AdoptedTable::new(Layout::Logstream, &TenantId::default(), "d.t".to_owned(), &found);
        assert_eq!(
            refused.err().unwrap_or_default(),
            "d.t is no table of LogStream: `level` is Enum8('A' = 1), not String, `timestamp` (DateTime64(3)) is missing"
        );
    }

    #[test]
    fn tables_that_we_make_have_columns_that_we_read() {
        for layout in [Layout::Logstream, Layout::Logtopus] {
            let table =
                AdoptedTable::made(layout, &TenantId::default(), "d.t".to_owned()).expect("known types");
            assert_eq!(table.types().len(), layout.columns().len());
        }
    }
}
