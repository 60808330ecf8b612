//! The model artifact: `model.json` and its payloads, verified whole before anything is scored.

use std::collections::BTreeMap;

use bytes::Bytes;
use clickcast_record::{Schema, Time};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::calibration::Calibration;
use crate::metrics::Metrics;
use crate::{Error, Family};

/// The manifest's file name.
pub const MANIFEST: &str = "model.json";
/// The newest artifact format that this program reads, and the one it writes.
pub const FORMAT: u32 = 1;
/// No payload's name is longer; it is part of a file name.
const PAYLOAD_NAME_LENGTH_MAX: usize = 64;
/// A SHA-256 in hex.
const SHA256_LENGTH: usize = 64;
/// Of it in a payload's file name: the files of one folder are told apart by less.
const SHA256_LENGTH_IN_NAMES: usize = 16;

/// `model.json`: everything about a model but its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelManifest {
    /// Version of this format.
    pub format: u32,
    /// The family.
    pub family: Family,
    /// The features the model takes, in order, and the columns it was trained with.
    pub schema: Schema,
    /// [`Schema::hash`] of `schema`.
    pub schema_hash: String,
    /// What the model learned from, or `None` if it was imported.
    pub training: Option<Training>,
    /// How log-odds become probabilities.
    pub calibration: Calibration,
    /// The family's own settings.
    pub parameters: serde_json::Value,
    /// The other files of the artifact, by name; [`Payload::file_name`] is where each is kept.
    pub payloads: BTreeMap<String, Payload>,
    /// SHA-256, in hex, of this manifest as it is written while this field is empty.
    pub sha256: String,
}

/// What a model learned from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Rows, held-out ones included.
    pub rows: u64,
    /// Clicked rows.
    pub positives: u64,
    /// First and last time, if the schema names one.
    pub times: Option<(Time, Time)>,
    /// A 64-bit hash of the rows as the model saw them, in hex: equal data gives an equal hash.
    pub data_hash: String,
    /// Measured on the rows held out from learning, or `None` if there were none.
    pub held_out: Option<Metrics>,
    /// The settings taken, and why, one sentence each.
    pub notes: Vec<String>,
}

/// One file of the artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// A manifest and its payloads' bytes, which agree.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    manifest: ModelManifest,
    payloads: BTreeMap<String, Bytes>,
}

impl Artifact {
    /// Puts an artifact together; the manifest's `format`, `schema_hash` and `payloads` are filled in.
    #[must_use]
    pub fn new(mut manifest: ModelManifest, payloads: BTreeMap<String, Bytes>) -> Self {
        manifest.format = FORMAT;
        manifest.schema_hash = manifest.schema.hash();
        manifest.payloads = payloads.iter().map(|(name, bytes)| (name.clone(), Payload::of(bytes))).collect();
        manifest.sha256 = manifest.computed_sha256();
        Self { manifest, payloads }
    }

    /// Returns the same artifact with one more payload.
    #[must_use]
    pub(crate) fn with_payload(mut self, name: &str, bytes: Vec<u8>) -> Self {
        self.manifest.payloads.insert(name.to_owned(), Payload::of(&bytes));
        self.payloads.insert(name.to_owned(), bytes.into());
        self.manifest.sha256 = self.manifest.computed_sha256();
        self
    }

    /// Returns the manifest.
    #[must_use]
    pub fn manifest(&self) -> &ModelManifest {
        &self.manifest
    }

    /// Returns the bytes of one payload.
    ///
    /// # Errors
    /// [`Kind::Damaged`](crate::Kind) where there is none of that name.
    pub fn payload(&self, name: &str) -> Result<&Bytes, Error> {
        let bytes = self.payloads.get(name);
        bytes.ok_or_else(|| Error::damaged(format!("payload `{name}` is not listed in {MANIFEST}")))
    }

    /// Returns the model's id: the SHA-256 of its manifest, which holds those of the payloads.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.manifest.sha256
    }

    /// Returns the files to write, the manifest last: a folder without it is no artifact, and one whose manifest is
    /// replaced holds a whole artifact before and after.
    #[must_use]
    pub fn files(&self) -> Vec<(String, Bytes)> {
        let name = |name: &String| self.manifest.payloads.get(name).map(|payload| payload.file_name(name));
        let payloads = self.payloads.iter().filter_map(|(payload, bytes)| Some((name(payload)?, bytes.clone())));
        payloads.chain(std::iter::once((MANIFEST.to_owned(), self.manifest.to_bytes().into()))).collect()
    }

    /// Reads a manifest, so that its payloads can be fetched.
    ///
    /// # Errors
    /// [`Kind::Damaged`](crate::Kind), or [`Kind::Newer`](crate::Kind) for a format of the future.
    pub fn parse_manifest(bytes: &[u8]) -> Result<ModelManifest, Error> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let unreadable = |error: serde_json::Error| Error::damaged(format!("{MANIFEST} can't be read: {error}"));
        let Format { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if format > FORMAT {
            return Err(Error::newer(format, FORMAT));
        }
        let manifest: ModelManifest = serde_json::from_slice(bytes).map_err(unreadable)?;
        if manifest.schema_hash != manifest.schema.hash() {
            return Err(Error::damaged(format!("the schema in {MANIFEST} is not the one it was written with")));
        }
        manifest.calibration.check()?;
        let plain = |name: &String| {
            name.len() <= PAYLOAD_NAME_LENGTH_MAX
                && !name.starts_with('.')
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        if let Some(name) = manifest.payloads.keys().find(|name| !plain(name)) {
            return Err(Error::damaged(format!("payload `{}` is not a plain file name", name.escape_debug())));
        }
        let is_hash = |text: &String| text.len() == SHA256_LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if let Some((name, _)) = manifest.payloads.iter().find(|(_, payload)| !is_hash(&payload.sha256)) {
            return Err(Error::damaged(format!("the SHA-256 of payload `{name}` is none")));
        }
        if manifest.sha256 != manifest.computed_sha256() {
            return Err(Error::damaged(format!("{MANIFEST} is not what was written (SHA-256 differs)")));
        }
        Ok(manifest)
    }

    /// Puts a manifest together with its payloads' bytes, all of them verified.
    ///
    /// # Errors
    /// [`Kind::Damaged`](crate::Kind) where a payload is missing or not the one that was written.
    pub fn verify(manifest: ModelManifest, payloads: BTreeMap<String, Bytes>) -> Result<Self, Error> {
        for (name, expected) in &manifest.payloads {
            let Some(bytes) = payloads.get(name) else {
                return Err(Error::damaged(format!("payload `{name}` is missing")));
            };
            if bytes.len() as u64 != expected.bytes || sha256(bytes) != expected.sha256 {
                return Err(Error::damaged(format!(
                    "payload `{name}` is not the one that was written (SHA-256 differs)"
                )));
            }
        }
        Ok(Self { manifest, payloads })
    }
}

impl Payload {
    fn of(bytes: &[u8]) -> Self {
        Self { sha256: sha256(bytes), bytes: bytes.len() as u64 }
    }

    /// Returns the file that the payload called `name` is kept in, such as `weights.0123456789abcdef.safetensors`. The hash is in
    /// it, so that a model that takes the place of another leaves the other's files alone.
    #[must_use]
    pub fn file_name(&self, name: &str) -> String {
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        let hash = self.sha256.get(..SHA256_LENGTH_IN_NAMES).unwrap_or(&self.sha256);
        format!("{stem}.{hash}.{ending}").trim_end_matches('.').to_owned()
    }
}

impl ModelManifest {
    fn to_bytes(&self) -> Vec<u8> {
        // A manifest is strings, numbers and maps with string keys: nothing in it can fail to print.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text.into_bytes()
    }

    fn computed_sha256(&self) -> String {
        sha256(&Self { sha256: String::new(), ..self.clone() }.to_bytes())
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clickcast_record::{Feature, Kind, Side};

    use super::*;

    fn artifact() -> Artifact {
        let schema = Schema::new(vec![Feature::new("age", Kind::Numeric, Side::User)]).unwrap();
        let manifest = ModelManifest {
            format: 0,
            family: Family::Lr,
            schema,
            schema_hash: String::new(),
            training: None,
            calibration: Calibration::Identity,
            parameters: serde_json::Value::Null,
            payloads: BTreeMap::new(),
            sha256: String::new(),
        };
        Artifact::new(manifest, BTreeMap::from([("weights.safetensors".to_owned(), vec![1, 2, 3].into())]))
    }

    fn read(files: &[(String, Bytes)]) -> Result<Artifact, Error> {
        let (manifest, payloads) = files.split_last().unwrap();
        let manifest = Artifact::parse_manifest(&manifest.1)?;
        let find = |file: String| payloads.iter().find(|(name, _)| *name == file).map(|(_, bytes)| bytes.clone());
        let found = manifest.payloads.iter().filter_map(|(name, payload)| {
            let bytes = find(payload.file_name(name))?;
            Some((name.clone(), bytes))
        });
        let found = found.collect();
        Artifact::verify(manifest, found)
    }

    #[test]
    fn an_artifact_reads_back_as_it_was_written() {
        let artifact = artifact();
        let back = read(&artifact.files()).unwrap();
        assert_eq!((back.id(), &back), (artifact.id(), &artifact));
    }

    #[test]
    fn a_payloads_file_is_named_by_its_content_too() {
        let payload = Payload { sha256: sha256(b""), bytes: 0 };
        for (name, expected) in [
            ("weights.safetensors", "weights.e3b0c44298fc1c14.safetensors"),
            ("a.b.c", "a.b.e3b0c44298fc1c14.c"),
            ("plain", "plain.e3b0c44298fc1c14"),
        ] {
            assert_eq!(payload.file_name(name), expected);
        }
    }

    #[test]
    fn no_single_changed_byte_goes_unnoticed() {
        let artifact = artifact();
        let files = artifact.files();
        for file in 0..files.len() {
            for place in 0..files[file].1.len() {
                let mut damaged = files.clone();
                let mut bytes = damaged[file].1.to_vec();
                bytes[place] ^= 4;
                damaged[file].1 = bytes.into();
                // White space in the manifest carries nothing; all else is the same or refused.
                if let Ok(back) = read(&damaged) {
                    assert!(back == artifact, "{file}:{place}");
                }
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let artifact = artifact();
        let text = String::from_utf8(artifact.manifest.to_bytes()).unwrap();
        for (from, to, said) in [
            ("\"format\": 1", "\"format\": 2", "use a newer clickcast"),
            ("\"age\"", "\"wage\"", "not the one it was written with"),
            ("weights.safetensors", "../weights", "not a plain file name"),
            (&sha256(&[1, 2, 3]), "../x", "the SHA-256 of payload `weights.safetensors` is none"),
            ("{", "", "can't be read"),
        ] {
            let error = Artifact::parse_manifest(text.replacen(from, to, 1).as_bytes()).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let mut files = artifact.files();
        files[0].1 = [&files[0].1[..], &[0]].concat().into();
        assert!(read(&files).unwrap_err().to_string().contains("`weights.safetensors` is not the one"));
        files.remove(0);
        assert!(read(&files).unwrap_err().to_string().contains("`weights.safetensors` is missing"));
    }
}
