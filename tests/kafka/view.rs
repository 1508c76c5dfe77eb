//! What a subscriber sees: the last record of every key of some topics, followed as they are written.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::Headers as _,
};

/// The last record of a key.
#[derive(Clone, Debug)]
pub struct Last {
    /// `None` is a tombstone.
    pub value: Option<String>,
    /// Headers that are UTF-8.
    pub headers: BTreeMap<String, String>,
    /// Records of this key so far.
    pub count: usize,
}

/// By topic, without the prefix, and key.
pub type Table = HashMap<(String, String), Last>;

/// A running reader.
pub struct View {
    table: Arc<Mutex<Table>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl View {
    /// Reads these topics of a prefix from their beginning; they must be there.
    pub fn start(bootstrap: &str, prefix: &str, topics: &[&str]) -> Self {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", "view")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .create()
            .expect("a consumer");
        let mut list = TopicPartitionList::new();
        for topic in topics {
            let topic = format!("{prefix}.{topic}");
            for partition in 0..partitions(&consumer, &topic) {
                list.add_partition_offset(&topic, partition, Offset::Beginning).expect("a place");
            }
        }
        consumer.assign(&list).expect("assigned");
        let (table, stop) = (Arc::<Mutex<Table>>::default(), Arc::new(AtomicBool::new(false)));
        let thread = thread::spawn({
            let (table, stop, prefix) = (Arc::clone(&table), Arc::clone(&stop), format!("{prefix}."));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Some(Ok(record)) = consumer.poll(Duration::from_millis(50)) {
                        let topic = record.topic().trim_start_matches(&prefix).to_owned();
                        let key = String::from_utf8_lossy(record.key().unwrap_or_default()).into_owned();
                        let headers = record.headers().into_iter().flat_map(|headers| headers.iter());
                        let headers = headers.filter_map(|header| {
                            Some((header.key.to_owned(), String::from_utf8(header.value?.to_vec()).ok()?))
                        });
                        let headers = headers.collect();
                        let value = record.payload().map(|value| String::from_utf8_lossy(value).into_owned());
                        let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
                        let place = (topic, key);
                        let count = table.get(&place).map_or(0, |last| last.count) + 1;
                        table.insert(place, Last { value, headers, count });
                    }
                }
            }
        });
        Self { table, stop, thread: Some(thread) }
    }

    /// As it is now.
    pub fn table(&self) -> Table {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last record of a key, if there is one.
    pub fn last(&self, topic: &str, key: &str) -> Option<Last> {
        let place = (topic.to_owned(), key.to_owned());
        self.table.lock().unwrap_or_else(PoisonError::into_inner).get(&place).cloned()
    }

    /// Records of a topic so far.
    pub fn count(&self, topic: &str) -> usize {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.iter().filter(|((of, _), _)| of == topic).map(|(_, last)| last.count).sum()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> i32 {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Ok(metadata) = consumer.fetch_metadata(Some(topic), Duration::from_secs(5))
            && let Some(found) = metadata.topics().iter().find(|each| each.error().is_none())
            && !found.partitions().is_empty()
        {
            return i32::try_from(found.partitions().len()).expect("few partitions");
        }
        assert!(Instant::now() < deadline, "there is no topic {topic}");
        thread::sleep(Duration::from_millis(100));
    }
}
