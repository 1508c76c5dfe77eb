//! What librdkafka is told of a group, by protocol.
//!
//! Guarantees: partitions are dealt by range, nothing is committed but what the owner said, and a new group
//! begins at the earliest record, whatever `kafka.properties` say.

use rdkafka::ClientConfig;

use super::{Protocol, Settings};
use crate::kafka::{Config, Error};

/// A protocol that a client can be made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    Consumer,
    Classic,
}

const BOTH: [(&str, &str); 10] = [
    // What is stored is committed by librdkafka: now and then, and before a partition is let go. A commit
    // of one's own would end unheard: rdkafka tells only the end of these (rust-rdkafka, issue 856).
    ("enable.auto.commit", "true"),
    ("auto.commit.interval.ms", "1000"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "earliest"),
    ("allow.auto.create.topics", "false"),
    // How soon a topic is found that was missing, or has got more partitions.
    ("topic.metadata.refresh.interval.ms", "5000"),
    // What is fetched ahead is memory, and is fetched again after a pause.
    ("queued.max.messages.kbytes", "16384"),
    // A fetch that finds nothing yet holds up what is let flow after a pause.
    ("fetch.wait.max.ms", "100"),
    // When so much is ahead, the next fetch waits for so long; librdkafka's own second is an idle one.
    ("fetch.queue.backoff.ms", "20"),
    // Lag, and whether the member is settled, are known by them.
    ("statistics.interval.ms", "1000"),
];
/// The server decides these for the new protocol, and librdkafka refuses them there.
const CLASSIC_ONLY: [&str; 4] =
    ["session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy", "group.protocol.type"];

impl Spoken {
    /// What is tried first.
    pub(super) const fn first(wanted: Protocol) -> Self {
        match wanted {
            Protocol::Auto | Protocol::Consumer => Self::Consumer,
            Protocol::Classic => Self::Classic,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Classic => "classic",
        }
    }
}

pub(super) fn options(config: &Config, settings: &Settings, spoken: Spoken) -> Result<ClientConfig, Error> {
    let mut options = config.consumer()?;
    options.set("group.id", &settings.group_id).set("group.protocol", spoken.name());
    for (key, value) in BOTH {
        options.set(key, value);
    }
    match spoken {
        Spoken::Classic => {
            options.remove("group.remote.assignor");
            options.set("partition.assignment.strategy", "range");
            // How soon a member hears that others came or went.
            if options.get("heartbeat.interval.ms").is_none() {
                options.set("heartbeat.interval.ms", "1000");
            }
        }
        Spoken::Consumer => {
            options.set("group.remote.assignor", "range");
            // Meant for the other protocol, if that should be the one; else librdkafka says what is wrong.
            if settings.protocol == Protocol::Auto {
                for key in CLASSIC_ONLY {
                    options.remove(key);
                }
            }
        }
    }
    Ok(options)
}
