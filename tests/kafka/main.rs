//! Acceptance tests: the built binary against a real Apache Kafka, read by Kafka's own Java client.
//!
//! `tests/run` fetches what they need. One single-node cluster is started for all tests, each of which
//! has topics of its own; a test that harms brokers starts its own cluster. Everything that a test
//! starts ends with the test process, however that ends.

mod bridge;
mod cluster;
mod http;
mod leash;
mod load;
mod reader;
mod samples;
mod view;
mod world;

mod commands;
mod contract;
mod crash;
mod demo;
mod durability;
mod enrichment;
mod group;
mod harness;
mod ordering;
mod outage;
mod records;
mod replay;
mod security;
mod topics;
