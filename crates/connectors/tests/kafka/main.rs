//! Kafka as a sink and as an input: against the client library's mock brokers, which fail when they are told to, and against
//! the real Apache Kafka.

mod batches;
mod broker;
mod input;
mod shared_store;
mod sink;
