//! Ways in, one file a protocol.
