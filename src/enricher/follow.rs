//! Follows `mews.credentials`: every record of every partition, from the beginning, for as long as the
//! process lives. No group: each instance needs all of them. Blocking work has a thread of its own, which
//! ends with the task.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::Consumer as _,
    error::{KafkaError, RDKafkaErrorCode as Code},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    credentials::Store,
    kafka::{self, consumer},
};

/// How long one question to a broker may take.
const ASK_MAX: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(200);
/// Wait before a topic that is not there is looked for again.
const AGAIN: Duration = Duration::from_secs(2);
/// How often it is looked whether the topic has other partitions than before.
const LOOK_EVERY: Duration = Duration::from_secs(60);

const SETTINGS: [(&str, &str); 6] = [
    // librdkafka wants a name even where there is no group to join.
    ("group.id", "mews-bridge-credentials"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "earliest"),
    ("queued.max.messages.kbytes", "1024"),
    ("fetch.queue.backoff.ms", "20"),
];

pub(super) struct Parts {
    pub(super) kafka: kafka::Config,
    pub(super) topic: Arc<str>,
    pub(super) store: Store,
    /// Tells that secrets of the Kafka client have changed.
    pub(super) renewed: watch::Receiver<()>,
}

/// Never ends by itself.
pub(super) async fn run(mut parts: Parts) {
    let stop = CancellationToken::new();
    let _stop_thread = stop.clone().drop_guard();
    // A panic of the thread ends the task, and with it the process.
    let _ = tokio::task::spawn_blocking(move || {
        let mut trouble = Trouble::default();
        while !stop.is_cancelled() {
            parts.renewed.mark_unchanged();
            if let Err(error) = follow(&parts, &stop, &mut trouble) {
                trouble.met(&parts.topic, error.to_string());
                std::thread::sleep(AGAIN);
            }
        }
    })
    .await;
}

/// Why the topic cannot be read; said once, not at every attempt.
#[derive(Default)]
struct Trouble(Option<String>);

impl Trouble {
    fn met(&mut self, topic: &str, reason: String) {
        if self.0.as_ref() != Some(&reason) {
            tracing::warn!(topic, reason, "credentials cannot be read, it is tried again until they can");
        }
        self.0 = Some(reason);
    }

    fn over(&mut self, topic: &str) {
        if self.0.take().is_some() {
            tracing::info!(topic, "credentials are read again");
        }
    }
}

/// Reads until it is stopped, or needs another client: for other secrets, or other partitions of the topic.
fn follow(
    parts: &Parts,
    stop: &CancellationToken,
    trouble: &mut Trouble,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let consumer = consumer::connect(&parts.kafka, &SETTINGS)?;
    let assigned = partitions(&consumer, &parts.topic)?;
    if assigned == 0 {
        return Err("the topic is not there".into());
    }
    let mut list = TopicPartitionList::new();
    for partition in 0..assigned {
        list.add_partition_offset(&parts.topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let mut looked = std::time::Instant::now();
    while !stop.is_cancelled() && !parts.renewed.has_changed().unwrap_or(false) {
        match consumer.poll(POLL) {
            Some(Ok(record)) => {
                trouble.over(&parts.topic);
                let key = String::from_utf8_lossy(record.key().unwrap_or_default()).into_owned();
                parts.store.apply(&key, record.payload());
            }
            Some(Err(error)) if is_lasting(&error) => return Err(error.into()),
            Some(Err(error)) => tracing::debug!(%error, "reading credentials"),
            None if looked.elapsed() > LOOK_EVERY => {
                looked = std::time::Instant::now();
                if partitions(&consumer, &parts.topic).is_ok_and(|now| now != assigned) {
                    return Ok(());
                }
            }
            None => {}
        }
    }
    Ok(())
}

/// Whether polling on will not mend it.
fn is_lasting(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(code, Some(Code::TopicAuthorizationFailed | Code::UnknownTopicOrPartition | Code::UnknownTopic))
}

fn partitions(consumer: &kafka::Consumer, topic: &str) -> Result<i32, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), ASK_MAX)?;
    let found = metadata.topics().iter().find(|each| each.name() == topic && each.error().is_none());
    Ok(found.map_or(0, |found| i32::try_from(found.partitions().len()).unwrap_or(i32::MAX)))
}
