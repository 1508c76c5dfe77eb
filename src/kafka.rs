//! Kafka: settings, topics, the producer.

pub mod record;
