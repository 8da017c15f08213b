//! What is written about Parquet files, and what is refused of it before anything is connected.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{ByteSize, Password, Seconds};

/// The least and the most that is exported at once, in bytes of rows: all of it is in memory then.
const FILE_BYTES: std::ops::RangeInclusive<u64> = 64 << 10..=1 << 30;

/// Where files go, and how large and how old they become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ParquetSettings {
    /// A folder of this machine; this or `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// A bucket: `s3://BUCKET/PREFIX`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where an object store that is not Amazon's answers: `http://HOST:PORT` or `https://HOST:PORT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The region of the bucket; the variables `AWS_…` count when it is not written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Who asks; the variables `AWS_…` count when it is not written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
    /// With what.
    pub secret_access_key: Password,
    /// How pages are compressed.
    pub compression: ParquetCompression,
    /// So many bytes of rows are exported at once, before compression.
    pub file_bytes_max: ByteSize,
    /// Rows are exported when they have waited for so long, however few they are.
    pub file_seconds_max: Seconds,
    /// What may wait on disk.
    pub staged_bytes_max: ByteSize,
}

/// How pages of a file are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParquetCompression {
    /// Not at all.
    None,
    /// Quick, and read by everything.
    Snappy,
    /// Small.
    Zstd,
}

impl Default for ParquetSettings {
    fn default() -> Self {
        Self {
            folder: None,
            url: None,
            endpoint: None,
            region: None,
            access_key_id: None,
            secret_access_key: Password::default(),
            compression: ParquetCompression::Zstd,
            file_bytes_max: ByteSize(64 << 20),
            file_seconds_max: Seconds(3600),
            staged_bytes_max: ByteSize(1 << 30),
        }
    }
}

/// Where files go, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'s> {
    Folder(&'s std::path::Path),
    Bucket { name: &'s str, prefix: &'s str },
}

impl ParquetSettings {
    /// Where files go.
    pub(super) fn place(&self) -> Result<Place<'_>, String> {
        match (&self.folder, &self.url) {
            (Some(_), Some(_)) => Err("folder, url: write one of them".to_owned()),
            (None, None) => {
                Err("folder: is missing: write the folder to write to, or `url: s3://BUCKET/PREFIX`"
                    .to_owned())
            }
            (Some(folder), None) if folder.as_os_str().is_empty() => Err("folder: is empty".to_owned()),
            (Some(folder), None) => Ok(Place::Folder(folder)),
            (None, Some(url)) => {
                let (name, prefix) = url
                    .strip_prefix("s3://")
                    .map(|rest| rest.split_once('/').unwrap_or((rest, "")))
                    .filter(|(name, _)| !name.is_empty() && !name.contains(['@', '?', '#']))
                    .ok_or("url: is not s3://BUCKET/PREFIX")?;
                Ok(Place::Bucket { name, prefix: prefix.trim_matches('/') })
            }
        }
    }

    /// Whether they go together.
    ///
    /// # Errors
    /// Which does not, and why.
    pub fn check(&self) -> Result<(), String> {
        let place = self.place()?;
        let of_bucket = [
            ("endpoint", self.endpoint.is_some()),
            ("region", self.region.is_some()),
            ("access_key_id", self.access_key_id.is_some()),
            ("secret_access_key", !self.secret_access_key.is_empty()),
        ];
        if let (Place::Folder(_), Some((name, _))) =
            (place, of_bucket.iter().find(|(_, is_written)| *is_written))
        {
            return Err(format!("{name}: is for a bucket, and `folder` is written"));
        }
        if self.access_key_id.is_some() == self.secret_access_key.is_empty() {
            return Err("access_key_id, secret_access_key: belong together".to_owned());
        }
        if let Some(endpoint) = &self.endpoint
            && !["http://", "https://"].iter().any(|scheme| endpoint.starts_with(scheme))
        {
            return Err("endpoint: is not http://HOST:PORT or https://HOST:PORT".to_owned());
        }
        let (least, most) = FILE_BYTES.into_inner();
        if !FILE_BYTES.contains(&self.file_bytes_max.0) {
            return Err(format!("file_bytes_max: is {}, must be {least} to {most}", self.file_bytes_max.0));
        }
        if self.file_seconds_max.0 == 0 {
            return Err("file_seconds_max: is 0, must be at least 1".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_named_with_their_setting() {
        let with = |change: fn(&mut ParquetSettings)| {
            let mut settings = ParquetSettings { folder: Some("/x".into()), ..ParquetSettings::default() };
            change(&mut settings);
            settings.check().err().unwrap_or_default()
        };
        assert_eq!(with(|_| ()), "");
        assert!(with(|s| s.folder = None).starts_with("folder: is missing"));
        assert!(with(|s| s.url = Some("s3://b/p".into())).starts_with("folder, url: write one"));
        assert_eq!(
            with(|s| s.region = Some("eu".into())),
            "region: is for a bucket, and `folder` is written"
        );
        assert!(
            with(|s| s.file_bytes_max = ByteSize(1)).starts_with("file_bytes_max: is 1, must be 65536 to")
        );
        assert!(with(|s| s.file_seconds_max = Seconds(0)).starts_with("file_seconds_max: is 0"));
        let bucket = |url: &str| {
            let settings = ParquetSettings { url: Some(url.to_owned()), ..ParquetSettings::default() };
            settings.place().map(|place| format!("{place:?}"))
        };
        assert_eq!(bucket("s3://b/a/p/"), Ok(r#"Bucket { name: "b", prefix: "a/p" }"#.to_owned()));
        assert!(bucket("gs://b").is_err() && bucket("s3:///p").is_err());
    }
}
