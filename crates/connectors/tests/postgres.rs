//! The PostgreSQL connector against the real PostgreSQL.

mod postgres {
    mod encryption;
    mod fixture;
    mod network;
    mod random_queries;
    mod sink;
    mod source;
    mod tables;
}
