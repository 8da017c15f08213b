//! The tables that rows lie in, and the steps by which they come to be.
//!
//! `docs/format/clickhouse.md` says what each column is for. A step that was published never changes: a table is brought up to
//! date by the steps that it has not seen, each noted in `TABLE_schema` when it is done. Every statement may be repeated, so a
//! step that was interrupted begins anew.

use super::adopted::AdoptedTable;
use super::connection::{ClickHouseError, Connection};
use super::layout::Layout;
use super::relation::Relation;
use super::row_binary::{RowReadError, RowReader};
use super::row_encoding::INSERTED_COLUMNS;
use super::settings::ClickHouseSettings;
use super::statement::Statement;
use timberyard_model::TenantId;

/// Answers of these statements are a few numbers and names.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// One step from an empty database to the tables of this build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaStep {
    /// Its place among the steps, from 1.
    pub version: u32,
    /// What it is about.
    pub name: &'static str,
    /// What it does, in this order.
    pub statements: Vec<String>,
}

/// The tables of one connector, by the names they have on its server.
#[derive(Clone, Debug)]
pub struct Schema {
    layout: Layout,
    tenant: TenantId,
    database: String,
    table: String,
    cluster: Option<String>,
    retention_days: u32,
}

impl Schema {
    /// The tables that settings name.
    pub fn new(settings: &ClickHouseSettings) -> Self {
        Self {
            layout: settings.layout,
            // `check` has refused names that no tenant can have.
            tenant: TenantId::new(&settings.tenant).unwrap_or_default(),
            database: settings.database.clone(),
            table: settings.table().to_owned(),
            cluster: settings.cluster.clone(),
            retention_days: settings.retention_days,
        }
    }

    /// The table of rows.
    pub(super) fn rows(&self) -> String {
        self.named("")
    }

    /// The table of label sets by day.
    pub(super) fn streams(&self) -> String {
        self.named("_streams")
    }

    /// The table of what batches were read from, and of unique keys.
    pub(super) fn ledger(&self) -> String {
        self.named("_ledger")
    }

    fn versions(&self) -> String {
        self.named("_schema")
    }

    /// The name of a table, quoted; settings allow no name in which anything would need more than that.
    fn named(&self, suffix: &str) -> String {
        format!("`{}`.`{}{suffix}`", self.database, self.table)
    }

    fn on_cluster(&self) -> String {
        self.cluster.as_ref().map(|cluster| format!(" ON CLUSTER `{cluster}`")).unwrap_or_default()
    }

    /// A table with its engine; in a cluster the table of each node, and one in front of all of them that sends rows with the
    /// same `sharding` to the same node.
    fn create(
        &self,
        suffix: &str,
        columns: &str,
        engine: &str,
        arguments: &str,
        rest: &str,
        sharding: &str,
    ) -> Vec<String> {
        let Some(cluster) = &self.cluster else {
            let name = self.named(suffix);
            return vec![format!(
                "CREATE TABLE IF NOT EXISTS {name} ({columns}) ENGINE = {engine}({arguments}) {rest}"
            )];
        };
        let (front, local, on_cluster) =
            (self.named(suffix), self.named(&format!("{suffix}_local")), self.on_cluster());
        let (database, table) = (&self.database, &self.table);
        let comma = if arguments.is_empty() { "" } else { ", " };
        vec![
            format!(
                "CREATE TABLE IF NOT EXISTS {local}{on_cluster} ({columns}) ENGINE = Replicated{engine}(\
                 '/clickhouse/tables/{{shard}}/{database}/{table}{suffix}', '{{replica}}'{comma}{arguments}) {rest}"
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {front}{on_cluster} ({columns}) ENGINE = \
                 Distributed(`{cluster}`, `{database}`, `{table}{suffix}_local`, {sharding})"
            ),
        ]
    }

    /// The table that inserts reach on each node.
    fn local(&self, suffix: &str) -> String {
        self.named(&if self.cluster.is_some() { format!("{suffix}_local") } else { suffix.to_owned() })
    }

    /// How long a table keeps its rows, by a column with their time.
    fn retention(&self, column: &str) -> String {
        match self.retention_days {
            0 => String::new(),
            days => format!("TTL toDate({column}) + toIntervalDay({days})"),
        }
    }

    /// All steps, the first one first. Of another system's table there is one: to make it.
    pub fn steps(&self) -> Vec<SchemaStep> {
        if self.layout.is_adopted() {
            return vec![self.adopted_step()];
        }
        let (on_cluster, database) = (self.on_cluster(), &self.database);
        let window = if self.cluster.is_some() { "" } else { ", non_replicated_deduplication_window = 1000" };
        let mut logs = vec![format!("CREATE DATABASE IF NOT EXISTS `{database}`{on_cluster}")];
        logs.extend(self.create(
            "_schema",
            "version UInt32, name String, applied_at DateTime DEFAULT now()",
            "MergeTree",
            "",
            "ORDER BY version",
            "rand()",
        ));
        logs.extend(self.create(
            "",
            ROW_COLUMNS,
            "ReplacingMergeTree",
            "",
            &format!(
                "PARTITION BY toYYYYMMDD(time) ORDER BY (tenant, service, time, entry) {} \
                 SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1{window}",
                self.retention("time")
            ),
            "cityHash64(tenant, service)",
        ));
        logs.extend(self.create(
            "_streams",
            STREAM_COLUMNS,
            "ReplacingMergeTree",
            "",
            &format!("PARTITION BY toYYYYMMDD(day) ORDER BY (tenant, day, stream) {}", self.retention("day")),
            "cityHash64(tenant, service)",
        ));
        logs.push(format!(
            "CREATE MATERIALIZED VIEW IF NOT EXISTS {}{on_cluster} TO {} AS SELECT DISTINCT tenant, {DAY} AS day, \
             service, stream, labels FROM {}",
            self.named("_streams_view"),
            self.local("_streams"),
            self.local(""),
        ));
        let mut ledger = self.create(
            "_ledger",
            LEDGER_COLUMNS,
            "ReplacingMergeTree",
            "position",
            "ORDER BY (tenant, kind, name) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1",
            "cityHash64(tenant, name)",
        );
        ledger.push(format!(
            "CREATE MATERIALIZED VIEW IF NOT EXISTS {}{on_cluster} TO {} AS SELECT tenant, 'origin' AS kind, origin.1 AS name, \
             max(origin.2) AS position FROM {} ARRAY JOIN CAST(origins, 'Array(Tuple(String, UInt64))') AS origin \
             GROUP BY tenant, name",
            self.named("_origins_view"),
            self.local("_ledger"),
            self.local(""),
        ));
        ledger.push(format!(
            "CREATE MATERIALIZED VIEW IF NOT EXISTS {}{on_cluster} TO {} AS SELECT tenant, 'key' AS kind, unique_key AS name, \
             entry AS position FROM {} WHERE unique_key != ''",
            self.named("_keys_view"),
            self.local("_ledger"),
            self.local(""),
        ));
        vec![
            SchemaStep { version: 1, name: "logs and their streams", statements: logs },
            SchemaStep {
                version: 2,
                name: "what batches were read from, and unique keys",
                statements: ledger,
            },
        ]
    }

    /// Makes another system's table as that system does, in an engine that forgets inserts which are sent again.
    fn adopted_step(&self) -> SchemaStep {
        let columns: Vec<String> = self
            .layout
            .columns()
            .iter()
            .map(|column| format!("{} {}", column.name, column.made_as))
            .collect();
        let window = if self.cluster.is_some() { "" } else { ", non_replicated_deduplication_window = 1000" };
        let rest = format!(
            "ORDER BY timestamp {} SETTINGS fsync_after_insert = 1, fsync_part_directory = 1{window}",
            self.retention("timestamp")
        );
        let (database, on_cluster) = (&self.database, self.on_cluster());
        let mut statements = vec![format!("CREATE DATABASE IF NOT EXISTS `{database}`{on_cluster}")];
        statements.extend(self.create("", &columns.join(", "), "MergeTree", "", &rest, "rand()"));
        let name = if self.layout == Layout::Logstream { "LogStream's table" } else { "Logtopus' table" };
        SchemaStep { version: 1, name, statements }
    }

    /// What queries read from, once the tables are there.
    ///
    /// # Errors
    /// That another system's table has not the columns that belong there, or is not there.
    pub(super) async fn relation(&self, connection: &Connection) -> Result<Relation, ClickHouseError> {
        if !self.layout.is_adopted() {
            return Ok(Relation::of_schema(self));
        }
        let columns = self.columns(connection).await?;
        AdoptedTable::new(self.layout, &self.tenant, self.named(""), &columns)
            .map(Relation::Adopted)
            .map_err(ClickHouseError::WrongTable)
    }

    /// What queries would read from.
    pub(super) fn expected_relation(&self) -> Relation {
        let made = AdoptedTable::made(self.layout, &self.tenant, self.named(""));
        made.filter(|_| self.layout.is_adopted()).map_or_else(|| Relation::of_schema(self), Relation::Adopted)
    }

    /// Name and type of the columns that the table has; none when it is not there.
    pub(super) async fn columns(
        &self,
        connection: &Connection,
    ) -> Result<Vec<(String, String)>, ClickHouseError> {
        let mut asked = Statement::new("SELECT name, type FROM system.columns WHERE database = ");
        asked.text(&self.database).push(" AND table = ").text(&self.table);
        let answer = connection.fetch(&asked, ANSWER_BYTES_MAX).await?;
        let (mut reader, mut columns) = (RowReader::new(&answer), Vec::new());
        let malformed = |error: RowReadError| ClickHouseError::Malformed(error.to_string());
        while !reader.is_at_end() {
            let name = reader.name().map_err(malformed)?.to_owned();
            columns.push((name, reader.name().map_err(malformed)?.to_owned()));
        }
        Ok(columns)
    }

    /// What is wrong with the columns that a table has.
    ///
    /// # Errors
    /// All columns that are missing or of another type.
    pub(super) fn check_columns(&self, columns: &[(String, String)]) -> Result<(), String> {
        if self.layout.is_adopted() {
            return AdoptedTable::new(self.layout, &self.tenant, self.named(""), columns).map(|_| ());
        }
        let is_missing = |name: &&str| !columns.iter().any(|(found, _)| found == name);
        let missing: Vec<&str> = INSERTED_COLUMNS.split(", ").filter(is_missing).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let whose = [Layout::Logstream, Layout::Logtopus]
            .into_iter()
            .find(|layout| AdoptedTable::new(*layout, &self.tenant, String::new(), columns).is_ok());
        let advice = match whose {
            Some(layout) => {
                format!(
                    "; it is one of {}: write `layout: {}`, or another `table`",
                    layout.owner(),
                    layout.word()
                )
            }
            None => "; write another `table`".to_owned(),
        };
        Err(format!("{} is no table of Timberyard: it has no {}{advice}", self.named(""), missing.join(", ")))
    }

    /// The steps that a server has seen.
    pub(super) async fn applied(&self, connection: &Connection) -> Result<Vec<u32>, ClickHouseError> {
        if self.layout.is_adopted() {
            let is_there = !self.columns(connection).await?.is_empty();
            return Ok(if is_there { vec![1] } else { Vec::new() });
        }
        let asked =
            Statement::new(format!("SELECT toUInt64(version) FROM {} ORDER BY version", self.versions()));
        let answer = match connection.fetch(&asked, ANSWER_BYTES_MAX).await {
            Err(error) if error.is_missing_table() => return Ok(Vec::new()),
            answer => answer?,
        };
        let (mut reader, mut versions) = (RowReader::new(&answer), Vec::new());
        while !reader.is_at_end() {
            let version = reader.u64().map_err(|error| ClickHouseError::Malformed(error.to_string()))?;
            versions.push(u32::try_from(version).unwrap_or(u32::MAX));
        }
        Ok(versions)
    }

    /// Takes the steps that are missing, and gives their names.
    pub(super) async fn bring_up_to_date(
        &self,
        connection: &Connection,
    ) -> Result<Vec<&'static str>, ClickHouseError> {
        let applied = self.applied(connection).await?;
        let mut taken = Vec::new();
        for step in self.steps().into_iter().filter(|step| !applied.contains(&step.version)) {
            for statement in step.statements {
                connection.execute(&Statement::new(statement)).await?;
            }
            taken.push(step.name);
            if self.layout.is_adopted() {
                continue;
            }
            let mut note = Statement::new(format!("INSERT INTO {} (version, name) SELECT ", self.versions()));
            note.uint(u64::from(step.version)).push(", ").text(step.name);
            connection.execute(&note).await?;
        }
        if !self.layout.is_adopted() {
            self.adjust_retention(connection).await?;
        }
        Ok(taken)
    }

    /// Gives the tables the retention of the settings.
    async fn adjust_retention(&self, connection: &Connection) -> Result<(), ClickHouseError> {
        for (suffix, column) in [("", "time"), ("_streams", "day")] {
            let (table, on_cluster) = (self.local(suffix), self.on_cluster());
            let local = if self.cluster.is_some() { "_local" } else { "" };
            let mut asked = Statement::new("SELECT create_table_query FROM system.tables WHERE database = ");
            asked.text(&self.database).push(" AND name = ").text(&format!("{}{suffix}{local}", self.table));
            let answer = connection.fetch(&asked, ANSWER_BYTES_MAX).await?;
            let made = String::from_utf8_lossy(&answer);
            let change = match self.retention_days {
                0 if made.contains(" TTL ") => format!("ALTER TABLE {table}{on_cluster} REMOVE TTL"),
                0 => continue,
                days if made.contains(&format!("toIntervalDay({days})")) => continue,
                _ => format!("ALTER TABLE {table}{on_cluster} MODIFY {}", self.retention(column)),
            };
            connection.execute(&Statement::new(change)).await?;
        }
        Ok(())
    }
}

/// Columns of the table of rows, in the order in which rows are inserted.
const ROW_COLUMNS: &str = "\
    tenant LowCardinality(String), \
    service LowCardinality(String), \
    level LowCardinality(String), \
    time DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)), \
    sequence UInt64 CODEC(Delta(8), ZSTD(1)), \
    entry UInt64 CODEC(Delta(8), ZSTD(1)), \
    stream UInt64 CODEC(ZSTD(1)), \
    labels Map(LowCardinality(String), String) CODEC(ZSTD(1)), \
    line String CODEC(ZSTD(3)), \
    metadata Map(LowCardinality(String), String) CODEC(ZSTD(1)), \
    origins Map(String, UInt64) CODEC(ZSTD(1)), \
    unique_key String CODEC(ZSTD(1))";

/// The day of a row; of one before 1900, where days begin, the first one.
const DAY: &str = "toDate32(greatest(time, toDateTime64('1900-01-01', 9, 'UTC')))";

const STREAM_COLUMNS: &str = "\
    tenant LowCardinality(String), \
    day Date32, \
    service LowCardinality(String), \
    stream UInt64, \
    labels Map(LowCardinality(String), String) CODEC(ZSTD(1))";

const LEDGER_COLUMNS: &str = "\
    tenant LowCardinality(String), \
    kind LowCardinality(String), \
    name String, \
    position UInt64";

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(cluster: Option<&str>) -> Vec<String> {
        let cluster = cluster.map(str::to_owned);
        let settings = ClickHouseSettings { cluster, retention_days: 30, ..ClickHouseSettings::default() };
        Schema::new(&settings).steps().into_iter().flat_map(|step| step.statements).collect()
    }

    #[test]
    fn one_server_has_plain_tables_and_retention_drops_whole_days() {
        let all = statements(None);
        let rows = all.iter().find(|sql| sql.contains("`logs` (")).expect("the table of rows");
        assert!(rows.contains("ENGINE = ReplacingMergeTree() PARTITION BY toYYYYMMDD(time)"), "{rows}");
        assert!(
            rows.contains("TTL toDate(time) + toIntervalDay(30) SETTINGS ttl_only_drop_parts = 1"),
            "{rows}"
        );
        assert!(all.iter().all(|sql| !sql.contains("CLUSTER") && !sql.contains("Replicated")), "{all:?}");
    }

    #[test]
    fn a_cluster_has_replicated_tables_with_distributed_ones_in_front() {
        let all = statements(Some("main"));
        assert!(all.iter().all(|sql| sql.contains(" ON CLUSTER `main`")), "{all:?}");
        let has = |part: &str| all.iter().any(|sql| sql.contains(part));
        assert!(has("`default`.`logs_local` ON CLUSTER `main` (tenant"), "{all:?}");
        assert!(has(
            "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/default/logs', '{replica}') PARTITION"
        ));
        assert!(has("ENGINE = Distributed(`main`, `default`, `logs_local`, cityHash64(tenant, service))"));
        assert!(has("TO `default`.`logs_streams_local` AS SELECT DISTINCT tenant, toDate32("));
        assert!(has("FROM `default`.`logs_local`"));
    }
}
