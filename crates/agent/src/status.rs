//! The agent's own pages, as text: `/metrics`, `/ready` and `/`.

use std::fmt::Write;

use crate::metrics::AgentMetrics;

/// Status, content type and body of a path.
pub fn page(path: &str, metrics: &AgentMetrics) -> (u16, &'static str, String) {
    const PLAIN: &str = "text/plain; charset=utf-8";
    let mut out = String::new();
    match path {
        "/metrics" => {
            for (name, kind, meaning, value) in metrics.all() {
                // Writing into a text cannot fail.
                let _ = write!(
                    out,
                    "# HELP timberyard_agent_{name} {meaning}.\n# TYPE timberyard_agent_{name} {kind}\ntimberyard_agent_{name} {value}\n"
                );
            }
            (200, "text/plain; version=0.0.4", out)
        }
        "/ready" if metrics.reachable.get() == 1 => (200, PLAIN, "ready\n".to_owned()),
        "/ready" => (503, PLAIN, "the server has taken nothing yet, or not the last request\n".to_owned()),
        "/" => {
            for (name, _, meaning, value) in metrics.all() {
                let _ = writeln!(out, "{value:>16}  {meaning} ({name})");
            }
            (200, PLAIN, out)
        }
        _ => (404, PLAIN, "there are /metrics, /ready and /\n".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_say_what_was_counted() {
        let metrics = AgentMetrics::default();
        metrics.lines_read.add(7);
        assert!(page("/metrics", &metrics).2.contains("\ntimberyard_agent_lines_read_total 7\n"));
        assert_eq!(page("/ready", &metrics).0, 503);
        metrics.reachable.set(1);
        assert_eq!((page("/ready", &metrics).0, page("/x", &metrics).0), (200, 404));
        assert!(page("/", &metrics).2.contains("7  Lines read"));
    }
}
