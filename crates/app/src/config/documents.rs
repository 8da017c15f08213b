//! Tests that hold `.env.example` and the guide to the table of settings.

use super::apply::{Shown, show};
use super::environment::FOREIGN;
use super::keys::{KEYS, Key};
use super::lookup::Found;
use super::{Configuration, Sources};

const ENV_EXAMPLE: &str = include_str!("../../../../.env.example");
const GUIDE: &str = include_str!("../../../../docs/guide/configuration.md");

#[test]
fn the_example_lists_every_variable_once_with_a_comment() {
    let names = KEYS.iter().filter_map(Key::variable).chain(FOREIGN.map(|(name, _)| name.to_owned()));
    for name in names {
        let listed = ENV_EXAMPLE.lines().filter(|line| line.starts_with(&format!("#{name}="))).count();
        assert_eq!(listed, 1, "{name} is listed {listed} times");
    }
    let listed = ENV_EXAMPLE.lines().filter(|line| {
        line.strip_prefix('#').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
    });
    assert_eq!(listed.count(), KEYS.iter().filter_map(Key::variable).count() + FOREIGN.len());
}

#[test]
fn the_example_can_be_used_with_every_default_uncommented() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join(".env");
    let uncommented: String = ENV_EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_uppercase()) => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    std::fs::write(&file, uncommented).expect("written");
    let configuration =
        Configuration::load(Sources { env_file: Some(file), ..Sources::default() }).expect("valid");
    let mut expected = super::Settings::default();
    expected.cors.enabled = Some(false);
    assert_eq!(configuration.settings, expected);
    assert_eq!(configuration.warnings, Vec::<String>::new());
}

#[test]
fn the_guide_says_what_every_key_means_and_its_default() {
    let mut defaults = super::Settings::default();
    for (number, key) in KEYS.iter().enumerate() {
        let row = GUIDE.lines().find(|line| line.starts_with(&format!("| `{}`", key.path)));
        let row = row.unwrap_or_else(|| panic!("{} has no row", key.path));
        assert!(row.contains(key.meaning), "{}: {row}", key.path);
        let default = match show(&mut defaults, &Found { number, tenant: None }) {
            // They depend on the machine.
            _ if key.path == "query.workers" => "twice the cores".to_owned(),
            _ if key.path == "query.read_threads" => "one less than cores".to_owned(),
            Shown::Sinks(_)
            | Shown::Inputs(_)
            | Shown::Nothing
            | Shown::List(_)
            | Shown::StreamRetentions(_)
            | Shown::Processing(_) => "none".to_owned(),
            Shown::Text(text) | Shown::Bare(text) => format!("`{text}`"),
        };
        assert!(row.contains(&format!(" | {default} | ")), "{} is {default}: {row}", key.path);
    }
    for (name, _) in FOREIGN {
        assert!(GUIDE.contains(&format!("`{name}")), "{name}");
    }
}
