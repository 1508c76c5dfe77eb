//! One command that sends deliveries again: its list, and a relay unless it is a dry run.

use std::{collections::BTreeMap, sync::Arc};

use super::{About, Again, Fate, Told};
use crate::{
    app::{Exit, Failure, arguments::Manner},
    config::Config,
    kafka::TopicNames,
    relay,
    webhook::{Delivery, Discriminators},
};
use bytes::Bytes;

/// What a list says of a delivery while it is under way.
struct Tag {
    about: About,
    records: usize,
}

/// Deliveries, each of which ends in the list.
pub struct Fan {
    names: TopicNames,
    discriminators: Discriminators,
    /// None for a dry run.
    again: Option<Again<Tag>>,
    told: Told,
}

impl Fan {
    /// Starts it, once Kafka has answered.
    ///
    /// # Errors
    /// As [`Again::start`].
    pub fn start(config: &Config, names: &TopicNames, manner: Manner) -> Result<Self, Failure> {
        let again = if manner.dry_run { None } else { Some(Again::start(config, names)?) };
        let told = Told::new(manner.output);
        Ok(Self { names: names.clone(), discriminators: config.topics.known(), again, told })
    }

    /// The list, for what is not sent.
    pub fn told(&mut self) -> &mut Told {
        &mut self.told
    }

    /// The topics of the records that a delivery owes.
    #[must_use]
    pub fn topics(&self, payload: &Bytes) -> Vec<Arc<str>> {
        relay::topics(payload, &self.discriminators, &self.names)
    }

    /// Sends a delivery.
    pub fn send(&mut self, delivery: &Delivery, about: About) {
        let payload = delivery.encode();
        let topics = self.topics(&payload);
        let about = About { to: counted(&topics), ..about };
        let Some(again) = &mut self.again else { return self.told.tell(about, Fate::Selected) };
        let tag = Tag { about, records: topics.len() };
        let settled = again.send(&payload, &topics, tag);
        self.tell(settled);
    }

    /// Whether nothing more is sent: Kafka has fallen silent, or a signal has come.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.again.as_ref().is_some_and(Again::is_over)
    }

    /// Waits for what is under way and ends the list. Stopped by a signal, it says so and so does the code.
    ///
    /// # Errors
    /// When the relay came to grief or the list cannot be written.
    pub fn end(mut self) -> Result<Exit, Failure> {
        let mut stopped = false;
        if let Some(again) = self.again.take() {
            stopped = again.is_stopped();
            let (settled, dead_lettered) = again.end()?;
            self.tell(settled);
            if dead_lettered > 0 {
                tracing::warn!(
                    dead_lettered,
                    "{dead_lettered} of them have a record among the dead letters now; dead-letters ls says why"
                );
            }
        }
        if stopped {
            tracing::warn!("stopped by a signal: what is not in the list was not sent");
        }
        match self.told.end()? {
            Exit::Clean if stopped => Ok(Exit::Pending),
            exit => Ok(exit),
        }
    }

    fn tell(&mut self, settled: Vec<(Tag, Fate)>) {
        for (Tag { about, records }, fate) in settled {
            let fate = match fate {
                Fate::Replayed(_) => Fate::Replayed(format!("records: {records}")),
                other => other,
            };
            self.told.tell(about, fate);
        }
    }
}

/// Topics with how many records are for each; `None` for no records.
fn counted(topics: &[Arc<str>]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for topic in topics {
        *counts.entry(topic).or_default() += 1;
    }
    let each = |(topic, count): (&str, usize)| {
        if count == 1 { topic.to_owned() } else { format!("{topic} ×{count}") }
    };
    let text: Vec<_> = counts.into_iter().map(each).collect();
    (!text.is_empty()).then(|| text.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_shown_by_its_topics() {
        let topics: Vec<Arc<str>> = ["b", "a", "b"].map(Arc::from).into();
        assert_eq!(counted(&topics).as_deref(), Some("a, b ×2"));
        assert_eq!(counted(&[]), None);
    }
}
