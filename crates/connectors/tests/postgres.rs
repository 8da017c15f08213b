//! The PostgreSQL connector against the real PostgreSQL.

mod postgres {
    mod fixture;
    mod sink;
    mod source;
    mod tables;
}
