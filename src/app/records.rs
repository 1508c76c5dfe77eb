//! What `quarantine` and `dead-letters` have in common: one record among those of a topic, by its id.
//!
//! Guarantees: a record is shown only when the id means one; of the same record written twice, after
//! a crash, it is the newer; one value is in memory at a time.

use std::collections::BTreeSet;

use super::{Exit, Failure};
use crate::kafka::browse;

/// How many other records an answer names that the id could mean as well.
const OTHERS_MAX: usize = 10;

/// A look for one record.
#[derive(Debug)]
pub struct Search {
    id: String,
    /// Only records that were for this topic.
    topic: Option<String>,
    found: Option<Found>,
    others: BTreeSet<Name>,
}

/// What tells records from each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    ce_id: String,
    /// A delivery can owe one `ce_id` to two topics.
    topic: Option<String>,
}

#[derive(Debug)]
struct Found {
    name: Name,
    value: Vec<u8>,
}

impl Search {
    /// For an id, and for the topic that the record was for if that is given.
    #[must_use]
    pub fn new(id: &str, topic: Option<&str>) -> Self {
        let (id, topic) = (id.to_owned(), topic.map(str::to_owned));
        Self { id, topic, found: None, others: BTreeSet::new() }
    }

    /// Whether this is a record that is looked for.
    #[must_use]
    pub fn wants(&self, ce_id: &str, topic: Option<&str>) -> bool {
        means(&self.id, ce_id) && self.topic.as_deref().is_none_or(|wanted| topic == Some(wanted))
    }

    /// Takes a record that it [`Self::wants`].
    pub fn take(&mut self, ce_id: &str, topic: Option<&str>, value: Vec<u8>) {
        let name = Name { ce_id: ce_id.to_owned(), topic: topic.map(str::to_owned) };
        match &self.found {
            Some(found) if found.name != name => {
                if self.others.len() < OTHERS_MAX {
                    self.others.insert(name);
                }
            }
            Some(_) | None => self.found = Some(Found { name, value }),
        }
    }

    /// Whether something was found.
    #[must_use]
    pub const fn has_found(&self) -> bool {
        self.found.is_some()
    }

    /// The value of the one record.
    ///
    /// # Errors
    /// When there is none, or several; `place` is where was looked.
    pub fn one(self, place: &str) -> Result<Vec<u8>, Failure> {
        let Some(found) = self.found else {
            let message = format!("there is no record {} in {place}", self.id);
            return Err(Failure { exit: Exit::Io, message });
        };
        if self.others.is_empty() {
            return Ok(found.value);
        }
        let names = [&found.name].into_iter().chain(&self.others);
        let names: Vec<_> = names.map(Name::to_string).collect();
        let message = format!("{} could mean several records:\n{}", self.id, names.join("\n"));
        Err(Failure { exit: Exit::Configuration, message })
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.ce_id)?;
        match &self.topic {
            Some(topic) => write!(formatter, " for --topic {topic}"),
            None => Ok(()),
        }
    }
}

/// Whether an id is this `ce_id`, or that of the delivery that the record is from.
#[must_use]
pub fn means(id: &str, ce_id: &str) -> bool {
    let of_delivery = |rest: &str| {
        rest.strip_prefix('-').is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
    };
    ce_id.strip_prefix(id).is_some_and(|rest| rest.is_empty() || of_delivery(rest))
}

/// Why a topic could not be read.
#[must_use]
pub fn unread(error: &browse::Error) -> Failure {
    match error {
        browse::Error::Client(error) => Failure::configuration(error),
        browse::Error::Topic(..) | browse::Error::Away { .. } => Failure::unavailable("Kafka", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELIVERY: &str = "0199d1a4-5f60-7cc0-8000-1b6b1b6b1b6b";

    fn search(id: &str, topic: Option<&str>, records: &[(&str, &str, &str)]) -> Result<String, Exit> {
        let mut search = Search::new(id, topic);
        for (index, topic, value) in records {
            let ce_id = format!("{DELIVERY}-{index}");
            if search.wants(&ce_id, Some(topic)) {
                search.take(&ce_id, Some(topic), value.as_bytes().to_vec());
            }
        }
        search.one("the dead letters").map(|value| String::from_utf8(value).unwrap()).map_err(|f| f.exit)
    }

    #[test]
    fn a_ce_id_means_one_record_and_a_delivery_id_where_there_is_one() {
        let two = [("1", "a", "one"), ("12", "a", "twelve")];
        assert_eq!(search(&format!("{DELIVERY}-1"), None, &two).as_deref(), Ok("one"));
        assert_eq!(search(DELIVERY, None, &two[..1]).as_deref(), Ok("one"));
        assert_eq!(search(DELIVERY, None, &two), Err(Exit::Configuration));
        assert_eq!(search(&DELIVERY[..35], None, &two[..1]), Err(Exit::Io), "half an id is none");
        assert_eq!(search("x", None, &two), Err(Exit::Io));
    }

    #[test]
    fn one_ce_id_for_two_topics_is_told_apart_by_the_topic() {
        let two = [("0", "integrations", "i"), ("0", "credentials", "c")];
        let id = format!("{DELIVERY}-0");
        assert_eq!(search(&id, None, &two), Err(Exit::Configuration));
        assert_eq!(search(&id, Some("credentials"), &two).as_deref(), Ok("c"));
    }

    #[test]
    fn of_a_record_that_was_written_twice_it_is_the_newer() {
        let twice = [("0", "a", "old"), ("0", "a", "new")];
        assert_eq!(search(DELIVERY, None, &twice).as_deref(), Ok("new"));
    }
}
