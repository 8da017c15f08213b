//! PostgreSQL, where analytics events are kept as Change66 kept them.
//!
//! It is a required sink for what comes in by Change66's surface, and the store that its endpoints and LogQL read these
//! events from. Logs of other surfaces are not its business: its table has the columns of an event.

mod copy_rows;
mod event_page;
mod event_row;
mod failure;
mod json_column;
mod key_table;
mod migrations;
mod partition;
mod pool;
mod reading;
mod scan;
mod schema;
mod server_metrics;
mod settings;
mod sink;
mod source;
mod stored_row;
mod streams;
mod transaction;
mod upkeep;

pub use failure::PostgresError;
pub use key_table::{KeyRow, KeyRowUse, add_key_use, keys_version, read_key_use, read_keys, replace_keys};
pub use migrations::{Migration, MigrationError, MigrationState, Migrations, write_new};
pub use pool::PostgresPool;
pub use schema::drop_expired;
pub use server_metrics::write_metrics;
pub use settings::{PostgresSettings, PostgresTls};
pub use sink::{PostgresSink, PostgresStatistics};
pub use source::PostgresSource;
pub use upkeep::PostgresUpkeep;
