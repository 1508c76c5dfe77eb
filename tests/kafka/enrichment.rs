//! From ids to full records: the enricher against a real Kafka and a simulated Mews.

mod kinds;
