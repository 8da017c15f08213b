//! From OpenMetrics text, which the library writes, to the classic text format, which everything reads.
//!
//! In OpenMetrics a counter's family is named without `_total`; in the classic format
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>) family and sample have one name.

/// Renames the families of counters, and leaves out what the classic format does not know.
pub(super) fn to_classic(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len());
    let mut help: Option<&str> = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = Some(rest);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, text)) = help.take().and_then(|help| help.split_once(' ')) {
                out.push_str(&format!("# HELP {name}{suffix} {text}\n"));
            }
            out.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_carry_one_name_in_the_classic_format() {
        let open = "# HELP a A b.\n# TYPE a counter\n# UNIT a seconds\na_total{x=\"y\"} 1\n# HELP g G.\n# TYPE g gauge\ng 2\n# EOF\n";
        assert_eq!(
            to_classic(open),
            "# HELP a_total A b.\n# TYPE a_total counter\na_total{x=\"y\"} 1\n# HELP g G.\n# TYPE g gauge\ng 2\n"
        );
    }
}
