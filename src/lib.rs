//! mews-bridge stands between Mews webhooks and Kafka: it answers at once and loses nothing that it answered.
//!
//! ```text
//! 6  main          arguments, logging, exit code
//! 5  app           one file per command: builds the parts, supervises them, drains in a written order
//! 4  config        nests the parts' own settings
//! 3  ingress       HTTP → journal
//!    relay         journal → Kafka
//!    enricher      Kafka → Connector API → Kafka
//!    simulator     plays Mews
//! 2  journal       every accepted delivery, durable until it is delivered
//!    kafka         settings, topics, producer, consumer group
//!    connector     asks the Connector API, within each access token's budget
//!    credentials   secrets sealed, what is known of integrations and which access token counts
//! 1  telemetry     metrics, logs, health;  shutdown  backoff  secret  reload  duration  size  hash
//! 0  webhook       what Mews sends, what Kafka gets
//! ```
//!
//! A file imports only from lower floors and from its own module's children; `tests/house` holds it to
//! that. The README walks an event's path through the files. The library exists for the binary, its
//! tests and its benchmarks: none of its names is a promise to others.

pub mod app;
pub mod backoff;
pub mod causes;
pub mod config;
pub mod connector;
pub mod credentials;
pub mod duration;
pub mod enricher;
pub mod hash;
pub mod ingress;
pub mod journal;
pub mod kafka;
pub mod relay;
pub mod reload;
pub mod secret;
pub mod shutdown;
pub mod simulator;
pub mod size;
pub mod telemetry;
pub mod webhook;
