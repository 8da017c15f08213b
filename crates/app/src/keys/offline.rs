//! Stored keys changed in a data directory, whether a server runs on it or not.

use std::path::Path;

use serde_json::{Value, json};
use timberyard_server::admin::keys::shown;
use timberyard_server::auth::{
    KeyError, KeyLabels, KeyRing, KeyText, KeyUse, NewKey, Rotation, Scopes, StoredKey, TenantAccess,
};

use super::{CREATED_BY, Change};
use crate::cli::{CreateKeyArguments, KeyStoreArguments, SettingsArguments};
use crate::data_directory;
use crate::failure::Failure;
use crate::server;
use crate::time_argument::now;
use crate::wiring::key_ring;

/// Does it and gives what a server would have answered.
pub(super) fn answer(change: &Change<'_>, store: &KeyStoreArguments) -> Result<Value, Failure> {
    // The same settings as the server's, for the pepper.
    let settings = server::load(&SettingsArguments {
        config: store.config.clone(),
        env_file: store.env_file.clone(),
        listen: None,
        data_dir: store.data_dir.clone(),
        role: None,
    })?
    .settings;
    let directory = &settings.data_dir;
    // Only a first key may come before the first start of a server.
    if !matches!(change, Change::Create { .. }) {
        data_directory::require(directory)?;
    }
    let failed = |error: KeyError| failure(directory, &error);
    let keys = key_ring(&settings).map_err(failed)?;
    // Where somebody has to be asked who was away, there is nothing to show and nothing to change.
    keys.reload().map_err(failed)?;
    let now = now();
    Ok(match change {
        Change::Create { arguments, lifetime_seconds, rotation } => {
            let rotation = rotation.every_seconds.map(|every| Rotation::new(every, rotation.overlap_seconds));
            let new = NewKey {
                rotation: rotation.transpose().map_err(failed)?,
                ..new_key(arguments, *lifetime_seconds)?
            };
            let (key, text) = keys.create(&new, now).map_err(failed)?;
            with_text(&key, &text)
        }
        Change::List => list(&keys),
        Change::Rotate { key, rotation } => {
            let (key, text) = keys.rotate(key, *rotation, now).map_err(failed)?;
            with_text(&key, &text)
        }
        Change::Revoke { key } => {
            let revoked = keys.revoke(key, now).map_err(failed)?;
            let revoked: Vec<Value> = revoked.iter().map(|key| shown(key, KeyUse::default(), now)).collect();
            json!({ "revoked": revoked })
        }
    })
}

fn new_key(arguments: &CreateKeyArguments, lifetime_seconds: Option<u64>) -> Result<NewKey, Failure> {
    let bad = |flag: &str, error: &dyn std::fmt::Display| Failure::usage(format!("{flag}: {error}"));
    let tenants = arguments.tenants.as_ref().or(arguments.store.client.tenant.as_ref());
    let tenants = tenants.map_or("default", String::as_str);
    let labels = arguments.labels.as_deref().map(KeyLabels::new).transpose();
    Ok(NewKey {
        name: arguments.name.clone(),
        tenants: tenants.parse::<TenantAccess>().map_err(|error| bad("--tenants", &error))?,
        scopes: arguments.scopes.parse::<Scopes>().map_err(|error| bad("--scopes", &error))?,
        labels: labels.map_err(|error| bad("--labels", &error))?,
        lifetime_seconds,
        rotation: None,
        created_by: CREATED_BY.to_owned(),
    })
}

fn list(keys: &KeyRing) -> Value {
    let now = now();
    let keys: Vec<Value> = keys.list().iter().map(|(key, used)| shown(key, *used, now)).collect();
    json!({ "keys": keys })
}

fn with_text(key: &StoredKey, text: &KeyText) -> Value {
    let mut value = shown(key, KeyUse::default(), now());
    if let Value::Object(fields) = &mut value {
        fields.insert("key".to_owned(), text.text.reveal().into());
    }
    value
}

fn failure(directory: &Path, error: &KeyError) -> Failure {
    match error {
        KeyError::BadName
        | KeyError::LabelsAndAdmin
        | KeyError::BadRotation { .. }
        | KeyError::EndsBeforeRotation { .. }
        | KeyError::NameOfNoFile(_)
        | KeyError::NoPlaceForTexts => Failure::usage(error.to_string()),
        _ => Failure::new(format!("keys of {}: {error}", directory.display())),
    }
}
