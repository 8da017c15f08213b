//! `timberyard keys`: keys that the server stores, and keys that are signed and stored nowhere.

mod offline;
mod online;
mod signed;
mod table;

use std::io::{self, Write};

use serde_json::Value;
use timberyard_server::auth::RotationRequest;

use crate::cli::{CreateKeyArguments, KeyStoreArguments, KeysCommand};
use crate::failure::Failure;
use crate::time_argument::parse_span;

/// Who made a key that the command line made.
const CREATED_BY: &str = "command line";

/// What is done to stored keys.
enum Change<'a> {
    Create { arguments: &'a CreateKeyArguments, lifetime_seconds: Option<u64>, rotation: RotationRequest },
    List,
    Rotate { key: &'a str, rotation: RotationRequest },
    Revoke { key: &'a str },
}

/// Does what the command says and prints what comes of it: a new key alone, so that scripts can take it.
pub(crate) fn run(command: &KeysCommand) -> Result<(), Failure> {
    let (store, change) = match command {
        KeysCommand::Signed(command) => {
            let line = signed::answer(command, |name| std::env::var(name).ok())?;
            return print(&line);
        }
        KeysCommand::Create(arguments) => {
            let lifetime_seconds = optional_seconds("--expires", &arguments.expires)?;
            let rotation = RotationRequest {
                every_seconds: optional_seconds("--rotate-every", &arguments.rotate_every)?,
                overlap_seconds: optional_seconds("--overlap", &arguments.overlap)?,
            };
            (&arguments.store, Change::Create { arguments, lifetime_seconds, rotation })
        }
        KeysCommand::List(store) => (store, Change::List),
        KeysCommand::Rotate { key, overlap, every, store } => {
            let rotation = RotationRequest {
                every_seconds: optional_seconds("--every", every)?,
                overlap_seconds: optional_seconds("--overlap", overlap)?,
            };
            (store, Change::Rotate { key, rotation })
        }
        KeysCommand::Revoke { key, store } => (store, Change::Revoke { key }),
    };
    let answer = match &store.data_dir {
        Some(_) => offline::answer(&change, store)?,
        None => online::answer(&change, &store.client)?,
    };
    show(&change, store, &answer)
}

/// The answer has the form that `/admin/keys` gives.
fn show(change: &Change<'_>, store: &KeyStoreArguments, answer: &Value) -> Result<(), Failure> {
    if store.json {
        return print(&answer.to_string());
    }
    match change {
        Change::Create { .. } | Change::Rotate { .. } => {
            if let Some(warning) = answer["warning"].as_str() {
                // A script takes standard output.
                let _ = writeln!(io::stderr(), "timberyard: {warning}");
            }
            print(answer["key"].as_str().unwrap_or_default())
        }
        Change::List => print(&table::of_keys(&answer["keys"])),
        Change::Revoke { .. } => {
            let revoked = answer["revoked"].as_array().map(Vec::as_slice).unwrap_or_default();
            let ids: Vec<&str> = revoked.iter().filter_map(|key| key["id"].as_str()).collect();
            print(&format!("revoked {}", ids.join(", ")))
        }
    }
}

fn optional_seconds(flag: &str, text: &Option<String>) -> Result<Option<u64>, Failure> {
    let nanos = text.as_deref().map(|text| parse_span(flag, text)).transpose()?;
    Ok(nanos.map(|nanos| nanos.unsigned_abs() / 1_000_000_000))
}

fn print(text: &str) -> Result<(), Failure> {
    writeln!(io::stdout(), "{text}").map_err(|error| Failure::output(&error))
}
