//! The real binary, started and spoken to over loopback: every surface as its clients know it, bad input,
//! crashes, and clients that others wrote. Nothing here looks inside.

mod clock;
mod logql;
mod start;
mod terminal;

mod change66;
mod loggo;
mod logpulse;
mod logstream;
mod logtopus;
mod loki_api;
