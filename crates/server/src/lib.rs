//! Everything that is spoken over HTTP and WebSocket: one router, one set of rules before any handler.
//!
//! A request passes, in this order: request id and metrics, host and origin check, key, limits, handler.
//! Nothing here decodes a payload (that is `wire`), decides what is stored (`pipeline`), or evaluates a
//! query (`logql`). [`router::router`] shows every URL on one screen; [`serve::serve`] runs it.

pub mod admin;
pub mod auth;
pub mod body;
pub mod client_address;
mod connection;
pub mod content_type;
pub mod deletions;
pub mod error_response;
mod events;
pub mod fluent;
pub mod form;
pub mod gelf;
pub mod grpc;
mod head_watch;
mod http1;
mod http2;
pub mod ingest;
pub mod inputs;
pub mod limits;
mod lingering_body;
pub mod login;
pub mod metrics;
pub mod observe;
pub mod openapi;
pub mod operations;
mod patient_io;
mod preface;
pub mod query;
mod receiver;
pub mod reload;
pub mod router;
pub mod security_headers;
pub mod serve;
pub mod settings;
pub mod socket;
pub mod state;
mod stream_watch;
mod subscribers;
pub mod syslog;
pub mod tls;
pub mod ui;

pub use deletions::Deletions;
pub use error_response::ErrorResponse;
pub use events::Events;
pub use operations::Operations;
pub use serve::serve;
pub use settings::ServerSettings;
pub use state::{ServerState, SharedState};
pub use subscribers::Subscribers;
