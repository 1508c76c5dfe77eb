//! Whether the entity topics hold what is so: the last record of every entity that was told of, held against
//! the simulator's own, byte for byte.
//!
//! It is exact only when the hotels are silent and every event is done with, so it is asked then only. It
//! reads the topics through a client like anybody's, and blocks.

use std::{
    collections::{HashMap, hash_map::Entry},
    ops::ControlFlow,
};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::kafka::{self, TopicNames, browse, topics::ENTITIES};

/// Entities that webhooks told of, each counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// All of them.
    pub told: u64,
    /// Whose last record is their newest state.
    pub exact: u64,
    /// Which the Connector API does not return, such as messages of another client's threads.
    pub withheld: u64,
}

/// The last value of every key, by the entity's kind.
type Records = HashMap<&'static str, HashMap<String, Vec<u8>>>;

/// A line of the simulator's truth.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Line<'a> {
    kind: &'a str,
    id: &'a str,
    told: Told,
    #[serde(borrow)]
    record: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    taken: u32,
    waiting: u32,
    abandoned: u32,
}

impl Comparison {
    /// Reads the topics. None when the broker has dropped records already: it keeps a few MiB per partition.
    ///
    /// # Errors
    /// When a topic cannot be read.
    pub fn new(
        truth: &str,
        kafka: &kafka::Config,
        names: &TopicNames,
    ) -> Result<Option<Self>, browse::Error> {
        let mut records = Records::new();
        for entity in ENTITIES {
            let topic = names.entities(entity).expect("every kind has a topic");
            let Some(read) = last_values(kafka, &topic)? else { return Ok(None) };
            records.insert(entity, read);
        }
        Ok(Some(Self::of(truth, &records)))
    }

    fn of(truth: &str, records: &Records) -> Self {
        let mut comparison = Self::default();
        for line in truth.lines().filter_map(|line| serde_json::from_str::<Line<'_>>(line).ok()) {
            let Told { taken, waiting, abandoned } = line.told;
            // What the bridge was not told of in full it cannot know.
            if taken == 0 || waiting > 0 || abandoned > 0 {
                continue;
            }
            comparison.told += 1;
            let record = records.get(topic_of(line.kind)).and_then(|records| records.get(line.id));
            let truth = line.record.get();
            if truth == "null" {
                comparison.withheld += 1;
            } else if record.is_some_and(|record| record == truth.as_bytes()) {
                comparison.exact += 1;
            }
        }
        comparison
    }
}

/// Both kinds of service orders are on one topic.
fn topic_of(kind: &str) -> &str {
    if kind == "product-service-orders" { "reservations" } else { kind }
}

fn last_values(
    kafka: &kafka::Config,
    topic: &str,
) -> Result<Option<HashMap<String, Vec<u8>>>, browse::Error> {
    let (mut values, mut begun) = (HashMap::new(), HashMap::new());
    let read = browse::browse(kafka, topic, |seen| {
        if let Entry::Vacant(first) = begun.entry(seen.partition()) {
            first.insert(());
            if seen.offset() > 0 {
                return ControlFlow::Break(());
            }
        }
        let id = seen.header("ce_subject").unwrap_or_default().into_owned();
        values.insert(id, seen.value().unwrap_or_default().to_owned());
        ControlFlow::Continue(())
    })?;
    Ok(read.is_continue().then_some(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: &str, id: &str, abandoned: u32, record: &str) -> String {
        format!(
            r#"{{"EnterpriseId":"e","Kind":"{kind}","Id":"{id}","State":"present","Told":{{"Waiting":0,"Taken":1,"Abandoned":{abandoned}}},"Record":{record}}}"#
        ) + "\n"
    }

    #[test]
    fn only_the_same_bytes_are_exact() {
        let on_topic = |records: &[(&str, &str)]| {
            records.iter().map(|(id, value)| ((*id).to_owned(), value.as_bytes().to_vec())).collect()
        };
        let records = Records::from([
            ("reservations", on_topic(&[("a", r#"{"Id":"a"}"#), ("b", r#"{"Id":"b"}"#)])),
            ("customers", on_topic(&[("c", r#"{ "Id":"c"}"#)])),
        ]);
        let truth = [
            line("reservations", "a", 0, r#"{"Id":"a"}"#),
            line("product-service-orders", "b", 0, r#"{"Id":"b"}"#),
            line("customers", "c", 0, r#"{"Id":"c"}"#),
            line("messages", "d", 0, "null"),
            line("messages", "not told in full", 1, "{}"),
        ];
        let comparison = Comparison::of(&truth.concat(), &records);
        assert_eq!(comparison, Comparison { told: 4, exact: 2, withheld: 1 });
    }
}
