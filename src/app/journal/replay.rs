//! `mews-bridge journal replay`: deliveries that have left and are still in the files, once more.
//!
//! A segment is removed when it is full and everything in it is delivered, so the newest one, or two, hold
//! deliveries that Kafka has had. When it has lost them, as after the deletion of a topic, they can be sent
//! again from here.
//!
//! Guarantees: the files are read and never touched, beside a running ingress or without one; a delivery
//! that has not left is not sent, since the ingress is about to. Which deliveries have left is what is on
//! the disk, so the last tenth of a second may look as if it had not.

use super::read;
use crate::{
    app::{
        Exit, Failure,
        arguments::{Manner, WhichDeliveries},
        replay::{About, Fan, Fate, Wanted},
    },
    config::Config,
    journal::{Entry, Finding, Scan, Sequence},
    webhook::Delivery,
};

/// Sends what is asked for.
///
/// # Errors
/// When the journal cannot be read, Kafka cannot be asked, or the list cannot be written; what becomes of
/// a delivery is in the list.
pub fn run(
    scan: Scan<'_>,
    config: &Config,
    which: &WhichDeliveries,
    manner: Manner,
) -> Result<Exit, Failure> {
    let names = config.topic_names().map_err(|error| Failure::configuration(&error))?;
    let ids: Vec<_> = which.ids.iter().map(|id| of_delivery(id).to_owned()).collect();
    let mut replay = Replay {
        through: scan.completed_through(),
        named: !ids.is_empty(),
        wanted: Wanted::new(ids, Vec::new(), Vec::new()),
        fan: Fan::start(config, &names, manner)?,
        waiting: 0,
    };
    let looked = replay.all(scan);
    replay.end(looked)
}

struct Replay {
    /// What has left.
    through: Sequence,
    /// Single deliveries are asked for.
    named: bool,
    wanted: Wanted,
    fan: Fan,
    /// Deliveries that have not left.
    waiting: u64,
}

impl Replay {
    fn all(&mut self, scan: Scan<'_>) -> Result<(), Failure> {
        for finding in scan {
            if let Finding::Entry(entry) = read(finding)? {
                self.entry(&entry);
            }
            if self.fan.is_over() {
                break;
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry) {
        let delivery = Delivery::decode(&entry.payload);
        let id = delivery.as_ref().ok().map(|delivery| delivery.id.to_string());
        if !self.wanted.takes(id.as_deref(), None, None) {
            return;
        }
        let reason = delivery.as_ref().ok().map(|delivery| super::content(&delivery.content));
        let about = About { id, reason, to: None, from: Some(format!("number {}", entry.sequence)) };
        let has_left = entry.sequence <= self.through;
        match delivery {
            Ok(delivery) if has_left => self.fan.send(&delivery, about),
            Ok(_) if self.named => {
                let why = "it has not left yet, and goes out by itself while the ingress runs".to_owned();
                self.fan.told().tell(about, Fate::Refused(why));
            }
            Err(error) if has_left => {
                self.fan.told().tell(about, Fate::Refused(format!("it cannot be read: {error}")));
            }
            Ok(_) | Err(_) => self.waiting += 1,
        }
    }

    fn end(mut self, looked: Result<(), Failure>) -> Result<Exit, Failure> {
        if looked.is_ok() && !self.fan.is_over() {
            self.fan.told().missing(&self.wanted, "there is no such delivery in the journal's files");
        }
        if self.waiting > 0 {
            let waiting = self.waiting;
            tracing::info!(
                waiting,
                "{waiting} deliveries have not left yet and are not replayed: they go out by themselves"
            );
        }
        let ended = self.fan.end();
        looked.and(ended)
    }
}

/// A delivery's id, in place of the `ce_id` of one of its records.
fn of_delivery(id: &str) -> &str {
    match id.rsplit_once('-') {
        Some((delivery, index))
            if uuid::Uuid::try_parse(delivery).is_ok() && index.parse::<u32>().is_ok() =>
        {
            delivery
        }
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ce_id_means_its_delivery() {
        let id = "0199d1a4-5f60-7cc0-8000-1b6b1b6b1b6b";
        assert_eq!(of_delivery(&format!("{id}-12")), id);
        assert_eq!(of_delivery(id), id);
        assert_eq!(
            of_delivery("0199d1a4-5f60-7cc0-8000-123456789012"),
            "0199d1a4-5f60-7cc0-8000-123456789012"
        );
    }
}
