//! What the server asks of the inputs that read other systems by themselves; `app` implements it.

/// Everything that is read without being sent.
pub trait Inputs: Send + Sync {
    /// How each stands. Cheap: reads counters, waits for nothing.
    fn figures(&self) -> Vec<InputFigures>;
}

/// What an input has done since it was started, and how it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputFigures {
    /// Its name in the settings.
    pub name: String,
    /// Messages read.
    pub messages: u64,
    /// Rows that sinks took.
    pub rows: u64,
    /// Messages and rows that were there already, and were not stored again.
    pub repeated: u64,
    /// Messages that could not be taken, wholly or in part.
    pub dead_letters: u64,
    /// Writes that failed and were tried again.
    pub retries: u64,
    /// How often partitions came or went.
    pub rebalances: u64,
    /// Bytes of rows in memory.
    pub buffered_bytes: u64,
    /// How many messages are not committed yet, by topic and partition.
    pub lag: Vec<(String, i32, u64)>,
}
