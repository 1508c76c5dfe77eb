//! What waits for room in the owner's channel, in its order.
//!
//! Guarantees: happenings are told in the order they happened; records are only put in when there is room
//! for them, so all that can pile up are notices, a few per partition, whatever the owner does.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::{
    Semaphore,
    mpsc::{Sender, error::TrySendError},
};

use super::{Consumed, Happening, Place, happening::Batch};

/// Records that wait for their owner, in KiB of their keys, values and headers; the last that found room
/// may be larger than it was.
const ROOM_KIB: u32 = 32 * 1024;

pub(super) struct Outbox {
    sender: Sender<Happening>,
    waiting: VecDeque<Happening>,
    room: Arc<Semaphore>,
}

impl Outbox {
    pub(super) fn new(sender: Sender<Happening>) -> Self {
        Self { sender, waiting: VecDeque::new(), room: Arc::new(Semaphore::new(ROOM_KIB as usize)) }
    }

    /// Hands records over; there has to be room.
    pub(super) fn hand_over(&mut self, records: Vec<Consumed>) {
        let kib = records.iter().map(Consumed::size).sum::<usize>().div_ceil(1024);
        let kib = u32::try_from(kib.min(self.room.available_permits())).unwrap_or(ROOM_KIB);
        let room = Arc::clone(&self.room).try_acquire_many_owned(kib).expect("nobody else takes of it");
        self.push(Happening::Records(Batch::new(records, room)));
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

    /// Whether records can be handed over: not while something waits.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.is_empty() && self.sender.capacity() > 0 && self.room.available_permits() > 0
    }

    /// Whether half of all room is free.
    pub(super) fn is_half_empty(&self) -> bool {
        self.waiting.is_empty()
            && self.sender.capacity() >= self.sender.max_capacity() / 2
            && self.room.available_permits() >= ROOM_KIB as usize / 2
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
    use crate::webhook::envelope::Headers;

    fn places(partitions: std::ops::Range<i32>) -> Vec<Place> {
        partitions.map(|partition| Place { topic: "t".into(), partition }).collect()
    }

    #[test]
    fn what_waits_keeps_its_order() {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let mut outbox = Outbox::new(sender);
        outbox.push(Happening::Assigned(places(0..1)));
        outbox.push(Happening::Lost(places(0..1)));
        assert!(!outbox.has_room());
        assert!(matches!(receiver.try_recv(), Ok(Happening::Assigned(_))));
        outbox.pump();
        assert!(matches!(receiver.try_recv(), Ok(Happening::Lost(_))));
        assert!(outbox.has_room());
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
        assert!(outbox.has_room());
    }

    #[tokio::test]
    async fn records_take_room_by_their_bytes_until_their_owner_has_them() {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(100);
        let mut outbox = Outbox::new(sender);
        let record = |kib: u32| Consumed {
            topic: "t".into(),
            partition: 0,
            offset: 0,
            key: None,
            value: Some(vec![0; kib as usize * 1024].into()),
            headers: Headers::default(),
            timestamp: None,
        };
        outbox.hand_over(vec![record(ROOM_KIB / 2)]);
        assert!(outbox.has_room() && outbox.is_half_empty());
        outbox.hand_over(vec![record(1)]);
        assert!(outbox.has_room() && !outbox.is_half_empty());
        outbox.hand_over(vec![record(ROOM_KIB)]);
        assert!(!outbox.has_room());
        for _ in 0..2 {
            receiver.recv().await.unwrap();
        }
        assert!(outbox.is_half_empty());
        receiver.recv().await.unwrap();
        assert_eq!(outbox.room.available_permits(), ROOM_KIB as usize);
    }
}
