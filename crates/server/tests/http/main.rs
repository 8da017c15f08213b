//! The HTTP surface in process: requests into the router, a memory source behind it.

mod beyond_loki;
mod connections;
mod deletions;
mod five_ways_in;
mod five_ways_out;
mod grpc;
mod harness;
mod http2;
mod http2_frames;
mod logpulse_stream;
mod loki_explore;
mod loki_push;
mod loki_query;
mod loki_tail;
mod openapi;
mod otlp;
mod people;
mod rates;
mod rules;
mod searches;
mod shippers;
mod shippers_ask;
mod stored_keys;
mod tenants;
mod watching;
mod websocket_frames;
