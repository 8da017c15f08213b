//! Where files become visible: whole, under their name, or not at all.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::aws::AmazonS3;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStoreExt, PutPayload};

use super::bucket;
use super::note::replace;
use super::settings::{ParquetSettings, Place};

/// A folder or a bucket.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Folder(PathBuf),
    Bucket { store: Arc<AmazonS3>, name: String, prefix: String },
}

impl Target {
    /// That of the settings. Nothing is connected yet.
    pub(super) fn new(settings: &ParquetSettings) -> Result<Self, String> {
        Ok(match settings.place()? {
            Place::Folder(folder) => Self::Folder(folder.to_owned()),
            Place::Bucket { name, prefix } => Self::Bucket {
                store: Arc::new(bucket::open(settings, name)?),
                name: name.to_owned(),
                prefix: prefix.to_owned(),
            },
        })
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Folder(folder) => folder.display().to_string(),
            Self::Bucket { name, prefix, .. } => format!("s3://{name}/{prefix}"),
        }
    }

    /// Makes a file; one of that name is replaced.
    pub(super) async fn put(&self, path: &str, bytes: Vec<u8>) -> Result<(), String> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(path);
                let shown = path.display().to_string();
                let written = tokio::task::spawn_blocking(move || {
                    if let Some(folder) = path.parent() {
                        std::fs::create_dir_all(folder)?;
                    }
                    replace(&path, &bytes)
                });
                let written = written.await.map_err(|error| format!("{shown}: {error}"))?;
                written.map_err(|error| format!("{shown}: {error}"))
            }
            Self::Bucket { store, prefix, .. } => {
                let path = object_path(prefix, path)?;
                let put = store.put(&path, PutPayload::from(bytes)).await;
                put.map(|_| ()).map_err(|error| format!("{}: {error}", self.shown()))
            }
        }
    }

    /// Makes a file and removes it.
    pub(super) async fn check(&self) -> Result<(), String> {
        let path = format!(".timberyard-check-{:016x}", fastrand::u64(..));
        self.put(&path, b"timberyard".to_vec()).await?;
        match self {
            Self::Folder(folder) => {
                let path = folder.join(path);
                std::fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))
            }
            Self::Bucket { store, prefix, .. } => {
                let removed = store.delete(&object_path(prefix, &path)?).await;
                removed.map_err(|error| format!("{}: {error}", self.shown()))
            }
        }
    }
}

/// Everything in these names that would need it is encoded already.
fn object_path(prefix: &str, path: &str) -> Result<ObjectPath, String> {
    let whole = if prefix.is_empty() { path.to_owned() } else { format!("{prefix}/{path}") };
    ObjectPath::parse(&whole).map_err(|error| error.to_string())
}
