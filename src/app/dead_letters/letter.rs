//! One dead letter, from the topic or from a file, and the record that it was.

use std::{
    borrow::Cow,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

use crate::{
    app::replay::About,
    kafka::{Record, browse::Seen},
    relay::leftovers,
    webhook::envelope::Headers,
};

/// What a dead letter's headers have beside the record's own.
const ADDED: &str = "dead_letter_";
/// When a record was put back on its topic.
const REPLAYED: &str = "dead_letter_replayed";

/// A dead letter as it was found.
#[derive(Debug)]
pub struct Letter {
    /// Where.
    pub place: Place,
    key: Bytes,
    value: Option<Bytes>,
    headers: Headers,
}

/// Where a dead letter was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// On the topic; says where there.
    Topic(String),
    /// In a file beside the journal.
    File(PathBuf),
}

impl Letter {
    /// A record of the topic.
    #[must_use]
    pub fn of_record(seen: &Seen<'_>, topic: &str) -> Self {
        Self {
            place: Place::Topic(format!("{topic}, partition {}, offset {}", seen.partition(), seen.offset())),
            key: Bytes::copy_from_slice(seen.key()),
            value: seen.value().map(Bytes::copy_from_slice),
            headers: seen.headers().map(|(name, value)| (name.to_owned(), value)).collect(),
        }
    }

    /// What a file holds.
    ///
    /// # Errors
    /// When it cannot be read, or holds something else.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let leftover = leftovers::read(path)?;
        Ok(Self {
            place: Place::File(path.to_owned()),
            key: leftover.key_bytes()?.into(),
            value: leftover.value_bytes()?.map(Bytes::from),
            headers: leftover.headers.into_iter().collect(),
        })
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The topic that it was for.
    #[must_use]
    pub fn topic(&self) -> Option<&str> {
        self.header("dead_letter_topic")
    }

    /// What a list says of it.
    #[must_use]
    pub fn about(&self) -> About {
        let header = |name| self.header(name).map(str::to_owned);
        About {
            id: header("ce_id"),
            reason: header("dead_letter_reason"),
            to: header("dead_letter_topic"),
            from: Some(match &self.place {
                Place::Topic(place) => place.clone(),
                Place::File(path) => path.display().to_string(),
            }),
        }
    }

    /// The record as it was, for its topic, with the time at which it is put back.
    #[must_use]
    pub fn record(&self, topic: &Arc<str>, now: &str) -> Record {
        let own = self.headers.iter().filter(|(name, _)| !name.starts_with(ADDED));
        let mut headers: Headers = own.map(|(name, value)| (Cow::Owned(name.to_owned()), value)).collect();
        headers.push(REPLAYED, now);
        Record {
            topic: topic.clone(),
            key: self.key.clone(),
            partition: None,
            value: self.value.clone(),
            headers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_the_record_that_it_was_and_says_when_it_was_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let headers = [
            ("ce_id", "d-3"),
            ("traceparent", "t"),
            ("dead_letter_reason", "too_large"),
            ("dead_letter_topic", "mews.events.A"),
            ("dead_letter_replayed", "before"),
        ];
        let dead = Record {
            topic: "mews.dead-letters".into(),
            key: Bytes::from_static(b"hotel"),
            partition: None,
            value: Some(Bytes::from_static(&[0, 255])),
            headers: headers.into_iter().collect(),
        };
        let path = leftovers::keep(dir.path(), &dead).unwrap();
        let letter = Letter::of_file(&path).unwrap();
        assert_eq!((letter.topic(), &letter.place), (Some("mews.events.A"), &Place::File(path)));
        let record = letter.record(&"mews.events.A".into(), "now");
        assert_eq!((record.key, record.value, record.partition), (dead.key, dead.value, None));
        let shown: Vec<_> = record.headers.iter().collect();
        assert_eq!(shown, [("ce_id", "d-3"), ("traceparent", "t"), ("dead_letter_replayed", "now")]);
    }
}
