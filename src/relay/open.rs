//! Deliveries that were read and are not completed, and what of them is in memory.
//!
//! Guarantees: a delivery completes when nothing of it is outstanding any more; its bytes count as
//! held exactly as long as one of its records is in memory. Pure; [`super::deliver`] keeps it.

use std::time::SystemTime;

use super::cursor::Cursor;
use crate::{
    hash::HashMap,
    journal::{Completed, Location, Sequence},
    telemetry::metrics::Disposition,
};

/// All deliveries that are open.
#[derive(Debug, Default)]
pub struct Open {
    deliveries: HashMap<Sequence, Delivery>,
    cursor: Cursor,
    held_bytes: usize,
}

/// One delivery that is not completed.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// Where to read it back from.
    pub location: Location,
    /// When it was accepted.
    pub accepted_at: SystemTime,
    /// What it still owes.
    pub outstanding: usize,
    /// What it takes while a record of it is in memory.
    pub bytes: usize,
    /// Its records that are in memory.
    pub held: usize,
    /// How it will have ended.
    pub disposition: Disposition,
}

impl Open {
    /// Takes the next delivery that was read, which owes so much, and nothing of it in memory yet.
    pub fn read(
        &mut self,
        sequence: Sequence,
        location: Location,
        accepted_at: SystemTime,
        outstanding: usize,
        bytes: usize,
    ) {
        let disposition = Disposition::Delivered;
        self.cursor.read(sequence, accepted_at);
        let delivery = Delivery { location, accepted_at, outstanding, bytes, held: 0, disposition };
        if outstanding == 0 {
            self.cursor.complete(sequence, disposition);
        } else {
            self.deliveries.insert(sequence, delivery);
        }
    }

    /// So many of its records came into memory.
    pub fn hold(&mut self, sequence: Sequence, records: usize) {
        let Some(delivery) = self.deliveries.get_mut(&sequence) else { return };
        if delivery.held == 0 && records > 0 {
            self.held_bytes += delivery.bytes;
        }
        delivery.held += records;
    }

    /// One of its records went out of memory.
    pub fn release(&mut self, sequence: Sequence) {
        let Some(delivery) = self.deliveries.get_mut(&sequence) else { return };
        delivery.held -= 1;
        if delivery.held == 0 {
            self.held_bytes -= delivery.bytes;
        }
    }

    /// One of its records becomes a dead letter.
    pub fn dead_lettered(&mut self, sequence: Sequence) {
        if let Some(delivery) = self.deliveries.get_mut(&sequence) {
            delivery.disposition = Disposition::DeadLettered;
        }
    }

    /// A delivery is given up; says how much it still owed, `None` if it is not open.
    pub fn discard(&mut self, sequence: Sequence) -> Option<usize> {
        let delivery = self.deliveries.remove(&sequence)?;
        if delivery.held > 0 {
            self.held_bytes -= delivery.bytes;
        }
        self.cursor.complete(sequence, Disposition::Discarded);
        Some(delivery.outstanding)
    }

    /// One of the things that it owed is where it belongs.
    pub fn settled(&mut self, sequence: Sequence) {
        let Some(delivery) = self.deliveries.get_mut(&sequence) else { return };
        delivery.outstanding -= 1;
        if delivery.outstanding == 0 {
            self.cursor.complete(sequence, delivery.disposition);
            self.deliveries.remove(&sequence);
        }
    }

    /// A delivery, as long as it is open.
    #[must_use]
    pub fn get(&self, sequence: Sequence) -> Option<&Delivery> {
        self.deliveries.get(&sequence)
    }

    /// Deliveries that are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.deliveries.len()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// The most that one of them takes in memory.
    #[cfg(test)]
    pub fn largest(&self) -> usize {
        self.deliveries.values().map(|delivery| delivery.bytes).max().unwrap_or(0)
    }

    /// Bytes of those that are in memory.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Deliveries from the oldest that is open to the newest read.
    #[must_use]
    pub fn span(&self) -> usize {
        self.cursor.span()
    }

    /// When the oldest that is open was accepted.
    #[must_use]
    pub fn oldest(&self) -> Option<SystemTime> {
        self.cursor.oldest()
    }

    /// What the watermark has passed since this was last asked.
    pub fn take_passed(&mut self) -> Option<Completed> {
        self.cursor.take_passed()
    }
}
