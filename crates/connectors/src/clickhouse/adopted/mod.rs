//! Tables of other systems, written and read as they are: LogStream's `app_logs` and Logtopus' `logs`.
//!
//! A row that came by the system's own way in is what the system itself would have stored, column for column. Of any other row,
//! what the columns have no place for (its labels, its structured metadata) lies as JSON in the column of that system that
//! holds any JSON, so that it comes back whole; only its time is as precise as the column. A row that some other program inserted
//! reads as if it had come by the system's way in. Such a table has no tenants: it holds the rows of one.

mod column_type;
mod kept_context;
mod logstream;
mod logtopus;
mod relation_sql;
mod row_bytes;
mod table;

pub(super) use row_bytes::{AdoptedRows, check};
pub(super) use table::AdoptedTable;
