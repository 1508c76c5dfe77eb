//! What waits for room in the owner's channel, in its order.
//!
//! Guarantees: happenings are told in the order they happened; records are only put in when there is room
//! for them, so all that can pile up are notices, a few per partition, whatever the owner does.

use std::collections::VecDeque;

use tokio::sync::mpsc::{Sender, error::TrySendError};

use super::{Happening, Place};

pub(super) struct Outbox {
    sender: Sender<Happening>,
    waiting: VecDeque<Happening>,
}

impl Outbox {
    pub(super) const fn new(sender: Sender<Happening>) -> Self {
        Self { sender, waiting: VecDeque::new() }
    }

    /// Tells it now, or when all before it is told.
    pub(super) fn push(&mut self, happening: Happening) {
        self.waiting.push_back(happening);
        self.pump();
    }

    /// Tells what there is room for.
    pub(super) fn pump(&mut self) {
        while let Some(happening) = self.waiting.pop_front() {
            match self.sender.try_send(happening) {
                Ok(()) => {}
                Err(TrySendError::Full(happening)) => return self.waiting.push_front(happening),
                Err(TrySendError::Closed(_)) => self.waiting.clear(),
            }
        }
    }

    /// How many more can be told at once: none while something waits.
    pub(super) fn room(&self) -> usize {
        if self.waiting.is_empty() { self.sender.capacity() } else { 0 }
    }

    /// Half of the room there can be.
    pub(super) fn half(&self) -> usize {
        self.sender.max_capacity() / 2
    }

    /// Whether there is nobody to tell.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Takes back what was not yet told of these places, and gives those that the owner knows to be its own.
    pub(super) fn withdraw(&mut self, places: &[Place]) -> Vec<Place> {
        let mut known = places.to_vec();
        for waiting in &mut self.waiting {
            if let Happening::Assigned(assigned) = waiting {
                known.retain(|place| !assigned.contains(place));
                assigned.retain(|place| !places.contains(place));
            }
        }
        self.waiting.retain(|waiting| match waiting {
            Happening::Assigned(assigned) => !assigned.is_empty(),
            Happening::ReplayedToEnd(place) => !places.contains(place),
            Happening::Records(_) | Happening::Revoked { .. } | Happening::Lost(_) => true,
        });
        known
    }

    /// Takes back that a place was read to its end.
    pub(super) fn withdraw_end(&mut self, of: &Place) {
        self.waiting.retain(|waiting| !matches!(waiting, Happening::ReplayedToEnd(place) if place == of));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(partitions: std::ops::Range<i32>) -> Vec<Place> {
        partitions.map(|partition| Place { topic: "t".into(), partition }).collect()
    }

    #[test]
    fn what_waits_keeps_its_order() {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let mut outbox = Outbox::new(sender);
        outbox.push(Happening::Assigned(places(0..1)));
        outbox.push(Happening::Lost(places(0..1)));
        assert_eq!(outbox.room(), 0);
        assert!(matches!(receiver.try_recv(), Ok(Happening::Assigned(_))));
        outbox.pump();
        assert!(matches!(receiver.try_recv(), Ok(Happening::Lost(_))));
        assert_eq!(outbox.room(), 1);
    }

    #[test]
    fn an_assignment_that_was_not_told_need_not_be_asked_back() {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let mut outbox = Outbox::new(sender);
        outbox.push(Happening::Assigned(places(0..2)));
        outbox.push(Happening::Assigned(places(2..4)));
        outbox.push(Happening::ReplayedToEnd(places(2..3).remove(0)));
        assert_eq!(outbox.withdraw(&places(1..3)), places(1..2));
        assert!(matches!(receiver.try_recv(), Ok(Happening::Assigned(told)) if told == places(0..2)));
        outbox.pump();
        assert!(matches!(receiver.try_recv(), Ok(Happening::Assigned(told)) if told == places(3..4)));
        assert_eq!(outbox.room(), 1);
    }
}
