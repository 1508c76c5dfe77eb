//! What the demo shows: on a terminal a table that stays in place, else a line now and then.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _},
    time::Duration,
};

use super::hotels::Tally;
use crate::{
    app::{Failure, output},
    kafka::TopicNames,
    telemetry::metrics::{Disposition, Metrics, Outcome, Webhook},
};

/// How often the table is drawn.
pub const REFRESH: Duration = Duration::from_secs(1);
/// Without a terminal, every so many draws are worth a line.
const DRAWS_PER_LINE: u64 = 2;

/// Reads the metrics of the running bridge.
pub struct Table {
    metrics: Metrics,
    topics: Vec<String>,
    is_terminal: bool,
    draws: u64,
    lines_drawn: usize,
}

impl Table {
    /// A table over the topics that the ingress writes.
    pub fn new(metrics: &Metrics, names: &TopicNames) -> Self {
        Self {
            metrics: metrics.clone(),
            topics: names.written_by_ingress().into_iter().map(|topic| topic.name.to_string()).collect(),
            is_terminal: io::stdout().is_terminal(),
            draws: 0,
            lines_drawn: 0,
        }
    }

    /// Shows how things stand.
    pub fn draw(&mut self, elapsed: Duration) -> Result<(), Failure> {
        self.draws += 1;
        if !self.is_terminal {
            if !(self.draws - 1).is_multiple_of(DRAWS_PER_LINE) {
                return Ok(());
            }
            return output::print(format!("{}\n", self.line(elapsed)).as_bytes());
        }
        let table = self.table(elapsed);
        // Up over what was drawn before, then clear to the end of the screen.
        let up =
            if self.lines_drawn > 0 { format!("\x1b[{}A\x1b[J", self.lines_drawn) } else { String::new() };
        self.lines_drawn = table.lines().count();
        output::print(format!("{up}{table}").as_bytes())
    }

    /// The last words.
    pub fn sum_up(&self, elapsed: Duration, hotels: &Tally) -> Result<(), Failure> {
        let Counts { delivered, pending, .. } = self.counts();
        let text = format!(
            "\n{}\nThe hotels sent {} messages that were taken and gave {} up.\n\
             The journal delivered {delivered} of them to Kafka and holds {pending}.\n",
            self.table(elapsed).trim_end(),
            hotels.taken,
            hotels.abandoned,
        );
        output::print(text.as_bytes())
    }

    fn line(&self, elapsed: Duration) -> String {
        let Counts { accepted, delivered, pending, records } = self.counts();
        format!(
            "{:>4} s  deliveries accepted {accepted}, delivered {delivered}, pending {pending}; records on topics {records}",
            elapsed.as_secs()
        )
    }

    fn table(&self, elapsed: Duration) -> String {
        let mut table = self.line(elapsed) + "\n\n";
        let _ = writeln!(table, "  {:<42} {:>10} {:>12}", "TOPIC", "RECORDS", "BYTES");
        for topic in &self.topics {
            let records = self.records(topic);
            if records > 0 {
                let bytes = self.metrics.kafka.produced_bytes.with_label_values(&[topic]).get();
                let _ = writeln!(table, "  {topic:<42} {records:>10} {bytes:>12}");
            }
        }
        table
    }

    fn records(&self, topic: &str) -> u64 {
        self.metrics.kafka.produced_records.with_label_values(&[topic, "ok"]).get()
    }

    fn counts(&self) -> Counts {
        let deliveries = |kind| {
            let of = |outcome| self.metrics.webhook.deliveries.of(kind, outcome).get();
            of(Outcome::Accepted) + of(Outcome::Quarantined)
        };
        Counts {
            accepted: deliveries(Webhook::General)
                + deliveries(Webhook::Integration)
                + deliveries(Webhook::Unknown),
            delivered: self.metrics.journal.completed.of(Disposition::Delivered).get(),
            pending: self.metrics.journal.pending_records.get(),
            records: self.topics.iter().map(|topic| self.records(topic)).sum(),
        }
    }
}

struct Counts {
    accepted: u64,
    delivered: u64,
    pending: i64,
    records: u64,
}
