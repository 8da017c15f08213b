//! What every figure is divided by: zstd's own command line tool at level 1, on one thread, over the raw lines in
//! the order in which they arrive, as one stream; and its way back.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::process::children_cpu_seconds;

/// How often each way is run; the median counts.
const ROUNDS: usize = 3;

/// What zstd made of the lines, and what that cost.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct Yardstick {
    pub(crate) raw_bytes: u64,
    pub(crate) bytes: u64,
    /// `zstd -1 -T1`
    pub(crate) compress_cpu_seconds: f64,
    /// `zstd -d`
    pub(crate) decompress_cpu_seconds: f64,
}

/// Runs it over a file of raw lines; what it writes goes beside that file and is removed.
pub(crate) fn measure(raw: &Path) -> Result<Yardstick, String> {
    let packed = raw.with_extension("zst");
    let compress_cpu_seconds = median(|| zstd(&["-1", "-T1", "-q", "-f", "-o"], &[&packed, raw]))?;
    let decompress_cpu_seconds = median(|| zstd(&["-d", "-q", "-f", "-o", "/dev/null"], &[&packed]))?;
    let bytes = |path: &Path| {
        std::fs::metadata(path).map(|m| m.len()).map_err(|e| format!("{}: {e}", path.display()))
    };
    let yardstick = Yardstick {
        raw_bytes: bytes(raw)?,
        bytes: bytes(&packed)?,
        compress_cpu_seconds,
        decompress_cpu_seconds,
    };
    std::fs::remove_file(&packed).map_err(|e| format!("{}: {e}", packed.display()))?;
    Ok(yardstick)
}

/// The version of the tool, as it says it.
pub(crate) fn version() -> Result<String, String> {
    let said = Command::new("zstd").arg("--version").output().map_err(|e| format!("zstd: {e}"))?;
    let said = String::from_utf8_lossy(&said.stdout);
    Ok(said
        .split_whitespace()
        .find(|word| word.starts_with('v'))
        .unwrap_or("?")
        .trim_end_matches(',')
        .to_owned())
}

fn median(run: impl Fn() -> Result<f64, String>) -> Result<f64, String> {
    let mut seconds = (0..ROUNDS).map(|_| run()).collect::<Result<Vec<f64>, String>>()?;
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[ROUNDS / 2])
}

fn zstd(options: &[&str], paths: &[&Path]) -> Result<f64, String> {
    let before = children_cpu_seconds()?;
    let status = Command::new("zstd")
        .args(options)
        .args(paths)
        .stdin(Stdio::null())
        .status()
        .map_err(|e| format!("zstd, the yardstick, could not be run: {e}"))?;
    if !status.success() {
        return Err(format!("zstd {} ended with {status}", options.join(" ")));
    }
    Ok(children_cpu_seconds()? - before)
}
