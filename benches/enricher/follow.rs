//! Follows a topic and notes when Kafka's records were made.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};

/// For each key, when its records were made, in milliseconds since 1970.
pub type Times = HashMap<String, Vec<i64>>;

pub struct Follow {
    times: Arc<Mutex<Times>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Follow {
    /// From the topic's end, or from its beginning.
    pub fn start(bootstrap: &str, topic: &str, partitions: i32) -> Self {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", "follow")
            .set("enable.auto.commit", "false")
            .create()
            .expect("a consumer");
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, Offset::Beginning).expect("a place");
        }
        consumer.assign(&list).expect("assigned");
        let (times, stop) = (Arc::<Mutex<Times>>::default(), Arc::new(AtomicBool::new(false)));
        let thread = thread::spawn({
            let (times, stop) = (Arc::clone(&times), Arc::clone(&stop));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Some(Ok(record)) = consumer.poll(Duration::from_millis(50)) {
                        let key = String::from_utf8_lossy(record.key().unwrap_or_default()).into_owned();
                        let at = record.timestamp().to_millis().unwrap_or_default();
                        times.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().push(at);
                    }
                }
            }
        });
        Self { times, stop, thread: Some(thread) }
    }

    /// Different keys so far.
    pub fn keys(&self) -> usize {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// What was seen so far.
    pub fn times(&self) -> Times {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
