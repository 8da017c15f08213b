//! The report: one table for taking in, one for finding, with the yardstick of the same run beside them.

use std::fmt::Write as _;

use crate::measure::Measured;

/// Markdown of all workloads.
pub(crate) fn render(results: &[Measured]) -> String {
    let mut text = String::from(
        "# Benchmark\n\n\
         Made by `make bench`: whole process, all background work and the shutdown counted; GB is 10^9 bytes of raw lines. \
         The yardstick is zstd at level 1 over the same lines as one stream, on one thread, in the same run. \
         Compare ratios, not seconds: machines differ.\n\n\
         | workload | lines | raw MB | lines/s | CPU s/GB | ÷ yardstick | disk ÷ raw | ÷ yardstick | peak memory MB | restart ms |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for m in results {
        let gigabytes = m.raw_bytes as f64 / 1e9;
        let row = writeln!(
            text,
            "| {} | {} | {:.0} | {:.0} | {:.2} | {:.2} | {:.4} | {:.2} | {:.0} | {:.0} |",
            m.workload,
            m.lines,
            m.raw_bytes as f64 / 1e6,
            m.lines as f64 / m.push_seconds,
            m.cpu_seconds / gigabytes,
            m.cpu_seconds / m.yardstick_seconds,
            m.disk_bytes as f64 / m.raw_bytes as f64,
            m.disk_bytes as f64 / m.yardstick_bytes as f64,
            m.memory_bytes_peak as f64 / 1e6,
            m.restart_seconds * 1e3,
        );
        debug_assert!(row.is_ok());
    }
    for m in results {
        text.push_str(&format!(
            "\n## Questions over {}\n\n| question | ms | CPU ms | LogQL |\n| --- | ---: | ---: | --- |\n",
            m.workload
        ));
        for q in &m.questions {
            text.push_str(&format!(
                "| {} | {:.1} | {:.0} | `{}` |\n",
                q.name,
                q.wall_ms,
                q.cpu_ms,
                q.query.replace('`', "'")
            ));
        }
    }
    text
}
