//! The real binary, started and spoken to over loopback: every surface as its clients know it, bad input,
//! crashes, and clients that others wrote. Nothing here looks inside.

mod clock;
mod logql;
mod rsyslog;
mod running;
mod start;
mod terminal;

mod agent;
mod agent_settings;
mod agent_streams;
mod api_document;
mod bad_input;
mod change66;
mod command_line;
mod deletions;
mod disk;
mod durability;
mod faults;
mod grafana;
mod guide;
mod guide_senders;
mod hostile_queries;
mod journald;
mod keys;
mod label_demotion;
mod listeners;
mod load;
mod loggo;
mod logpulse;
mod logstream;
mod logtopus;
mod loki_api;
mod long_answers;
mod metrics;
mod page;
mod people;
mod processing;
mod reload;
mod retention;
mod round_trip;
mod senders;
mod shippers;
mod stored_keys;
mod syslog;
mod tls;
