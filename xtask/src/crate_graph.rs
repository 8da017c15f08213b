//! Holds the arrows between the crates: each may depend only on crates of lower levels.
//!
//! The arrows come from `cargo metadata`, so a new dependency is seen the moment it is written.
//! Crates that are not in the table are errors too: a new room gets its level first.

use std::process::Command;

use serde_json::Value;

/// The house, from the ground up. Siblings of one level do not see each other.
const LEVELS: [&[&str]; 5] = [
    &["timberyard-model"],
    &["timberyard-wire", "timberyard-store", "timberyard-logql", "timberyard-pipeline"],
    &["timberyard-server", "timberyard-connectors", "timberyard-agent"],
    &["timberyard-app"],
    &["timberyard-testkit", "timberyard-bench", "xtask"],
];

/// Crates that only tests may use, whatever their level.
const DEVELOPMENT_ONLY: [&str; 3] = ["timberyard-testkit", "timberyard-bench", "xtask"];

/// Crates that would bring an async runtime, sockets or a clock into the pure levels.
const NOT_IN_PURE_CRATES: [&str; 4] = ["tokio", "hyper", "axum", "ureq"];
const PURE_CRATES: [&str; 4] =
    ["timberyard-model", "timberyard-wire", "timberyard-store", "timberyard-logql"];

/// One arrow: `from` depends on `to`.
#[derive(Debug)]
struct Arrow {
    from: String,
    to: String,
    for_tests: bool,
}

/// Runs `cargo metadata` here and checks what it says.
pub(crate) fn check_this_workspace() -> Result<String, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .map_err(|e| format!("cargo metadata did not run: {e}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata is not JSON: {e}"))?;
    let arrows = arrows(&metadata);
    let faults = faults(&arrows);
    if faults.is_empty() {
        Ok(format!("crate graph: {} arrows, all of them point down", arrows.len()))
    } else {
        Err(format!("crate graph:\n  {}", faults.join("\n  ")))
    }
}

fn arrows(metadata: &Value) -> Vec<Arrow> {
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut arrows = Vec::new();
    for package in packages {
        let from = package["name"].as_str().unwrap_or_default();
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            arrows.push(Arrow {
                from: from.to_owned(),
                to: dependency["name"].as_str().unwrap_or_default().to_owned(),
                for_tests: dependency["kind"].as_str() == Some("dev"),
            });
        }
    }
    arrows
}

fn faults(arrows: &[Arrow]) -> Vec<String> {
    arrows.iter().filter_map(fault).collect()
}

fn fault(arrow: &Arrow) -> Option<String> {
    let Arrow { from, to, for_tests } = arrow;
    let Some(from_level) = level(from) else {
        return Some(format!("{from} has no level: give it one in xtask and in ARCHITECTURE.md"));
    };
    if PURE_CRATES.contains(&from.as_str()) && NOT_IN_PURE_CRATES.contains(&to.as_str()) && !for_tests {
        return Some(format!("{from} depends on {to}, but it must have no runtime, sockets or clock"));
    }
    let to_level = level(to)?;
    if DEVELOPMENT_ONLY.contains(&to.as_str()) {
        let shipped = !DEVELOPMENT_ONLY.contains(&from.as_str()) && !for_tests;
        return shipped.then(|| format!("{from} ships {to}, which is for tests only"));
    }
    (to_level >= from_level).then(|| {
        format!(
            "{from} (level {}) depends on {to} (level {}): arrows point down only",
            from_level + 1,
            to_level + 1
        )
    })
}

fn level(name: &str) -> Option<usize> {
    LEVELS.iter().position(|crates| crates.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrow(from: &str, to: &str, for_tests: bool) -> Arrow {
        Arrow { from: from.to_owned(), to: to.to_owned(), for_tests }
    }

    #[test]
    fn every_arrow_of_this_workspace_points_down() {
        check_this_workspace().expect("the crate graph keeps to the levels");
    }

    #[test]
    fn arrows_up_and_sideways_are_named() {
        for (from, to) in [
            ("timberyard-store", "timberyard-logql"),
            ("timberyard-model", "timberyard-wire"),
            ("timberyard-server", "timberyard-app"),
            ("timberyard-logql", "tokio"),
            ("timberyard-server", "timberyard-testkit"),
            ("timberyard-attic", "serde"),
        ] {
            assert!(fault(&arrow(from, to, false)).is_some(), "{from} -> {to}");
        }
    }

    #[test]
    fn arrows_down_and_test_support_are_allowed() {
        assert!(fault(&arrow("timberyard-app", "timberyard-store", false)).is_none());
        assert!(fault(&arrow("timberyard-store", "timberyard-testkit", true)).is_none());
        assert!(fault(&arrow("timberyard-server", "axum", false)).is_none());
    }
}
