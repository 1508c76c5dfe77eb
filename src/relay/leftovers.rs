//! Files beside the journal for what not even the dead letters take.
//!
//! One file a record, `undeliverable/<ce_id>-<topic>.json`, written aside, synced and renamed, so a file is
//! whole or not there, and the same record after a crash is the same file. The relay writes them,
//! `dead-letters ls|cat|replay` reads them, and `replay` removes those that a broker has taken.
//!
//! ```json
//! { "Topic": "mews.dead-letters", "Key": "<base64>", "Headers": [["ce_id", "…"], …], "Value": "<base64>" }
//! ```

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::kafka::Record;

/// The directory's name in the journal's.
pub const DIR: &str = "undeliverable";
/// Letters of a file's name without its extension: file systems take 255 bytes.
const NAME_LETTERS_MAX: usize = 240;

/// A record that no topic took, as its file holds it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Leftover {
    /// The topic that refused it last.
    pub topic: String,
    /// Its key, in base64.
    pub key: String,
    /// Its headers in order.
    pub headers: Vec<(String, String)>,
    /// Its value, in base64; `None` is a tombstone.
    pub value: Option<String>,
}

/// Writes a record to its file; it is on disk when this returns.
///
/// # Errors
/// Those of the file system; the record is not kept then.
pub fn keep(dir: &Path, record: &Record) -> io::Result<PathBuf> {
    let leftover = Leftover::of(record);
    let path = dir.join(format!("{}.json", leftover.name()));
    let aside = path.with_extension("new");
    std::fs::create_dir_all(dir)?;
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    let json = serde_json::to_vec(&leftover).expect("strings always serialise into memory");
    file.write_all(&json)?;
    file.sync_all()?;
    std::fs::rename(&aside, &path)?;
    File::open(dir)?.sync_all()?;
    if let Some(parent) = dir.parent() {
        File::open(parent)?.sync_all()?;
    }
    Ok(path)
}

/// The files of a directory, in the order of their names; one that is not there has none.
///
/// # Errors
/// Those of the file system.
pub fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    Ok(paths)
}

/// Reads one of these files.
///
/// # Errors
/// Those of the file system; a file that holds something else is [`io::ErrorKind::InvalidData`].
pub fn read(path: &Path) -> io::Result<Leftover> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// Removes a file whose record is where it belongs.
///
/// # Errors
/// Those of the file system.
pub fn remove(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

impl Leftover {
    fn of(record: &Record) -> Self {
        Self {
            topic: record.topic.to_string(),
            key: STANDARD.encode(&record.key),
            headers: record.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            value: record.value.as_ref().map(|value| STANDARD.encode(value)),
        }
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }

    /// Its value as it was; `None` is a tombstone.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when it is no base64.
    pub fn value_bytes(&self) -> io::Result<Option<Vec<u8>>> {
        self.value.as_deref().map(decode).transpose()
    }

    /// Its key as it was.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when it is no base64.
    pub fn key_bytes(&self) -> io::Result<Vec<u8>> {
        decode(&self.key)
    }

    /// The file's name. A delivery can owe one `ce_id` to two topics, so the topic is part of it.
    fn name(&self) -> String {
        let id = self.header("ce_id").unwrap_or("unknown");
        let topic = self.header("dead_letter_topic").unwrap_or(&self.topic);
        let safe = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.');
        let letters = id.chars().chain(['-']).chain(topic.chars());
        letters.map(|letter| if safe(letter) { letter } else { '_' }).take(NAME_LETTERS_MAX).collect()
    }
}

fn decode(base64: &str) -> io::Result<Vec<u8>> {
    STANDARD.decode(base64).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn record(id: &str, topic: &str) -> Record {
        Record {
            topic: "mews.dead-letters".into(),
            key: Bytes::from_static(b"hotel"),
            partition: None,
            value: Some(Bytes::from_static(&[0, 255])),
            headers: [("ce_id", id), ("dead_letter_topic", topic)].into_iter().collect(),
        }
    }

    #[test]
    fn what_was_kept_is_listed_and_the_same_record_is_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join(DIR);
        assert_eq!(list(&dir).unwrap().len(), 0);
        for (id, topic) in [("b-0", "mews.events.A"), ("a-0", "mews.events.A"), ("a-0", "mews.events.B")] {
            keep(&dir, &record(id, topic)).unwrap();
            keep(&dir, &record(id, topic)).unwrap();
        }
        let listed: Vec<_> = list(&dir).unwrap().iter().map(|path| read(path).unwrap()).collect();
        let ids: Vec<_> = listed.iter().map(|leftover| leftover.header("ce_id").unwrap()).collect();
        assert_eq!(ids, ["a-0", "a-0", "b-0"]);
        assert_eq!(listed[0].value_bytes().unwrap(), Some(vec![0, 255]));
        assert_eq!(listed[0].key_bytes().unwrap(), b"hotel");
    }

    #[test]
    fn what_is_removed_is_not_listed_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = keep(dir.path(), &record("a-0", "t")).unwrap();
        remove(&path).unwrap();
        assert_eq!(list(dir.path()).unwrap().len(), 0);
        assert!(remove(&path).is_err());
    }

    #[test]
    fn a_name_stays_in_the_directory_and_within_the_file_system() {
        let dir = tempfile::tempdir().unwrap();
        let path = keep(dir.path(), &record("../../x", &"/long".repeat(100))).unwrap();
        assert_eq!(path.parent(), Some(dir.path()));
        assert_eq!(path.file_name().unwrap().len(), NAME_LETTERS_MAX + ".json".len());
    }

    #[test]
    fn only_the_owner_may_read_one() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = keep(dir.path(), &record("a-0", "t")).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
