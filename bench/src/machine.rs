//! What a run was measured on: enough to judge the figures, nothing that names a place.

/// A machine.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) processor: String,
    pub(crate) memory_bytes: u64,
}

impl Machine {
    pub(crate) fn this() -> Self {
        let of = |path: &str, name: &str| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            line.unwrap_or_default().trim_start_matches(['\t', ' ', ':']).to_owned()
        };
        let kibibytes =
            of("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse::<u64>().unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: of("/proc/cpuinfo", "model name"),
            memory_bytes: kibibytes * 1024,
        }
    }

    /// How many processes wanted to run during the last minute, on average: above the number of cores, times on
    /// the wall say little, and CPU seconds grow somewhat, too.
    pub(crate) fn load_average() -> f64 {
        let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default()
    }
}
