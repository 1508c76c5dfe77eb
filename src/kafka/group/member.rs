//! One client's life in the group: turn by turn, orders, polls, rebalances, records.
//!
//! ```text
//! turn: orders ─► room? pause or resume ─► rewind, ends ─► poll ─► rebalances ─► hand over
//! ```
//!
//! Guarantees: librdkafka is polled while the owner is waited for too, and every rebalance it asks for is
//! answered, also when the life ends; it would wait for that for ever.

mod offsets;
mod rebalance;

use std::{
    collections::VecDeque,
    sync::{Arc, mpsc::TryRecvError},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use rdkafka::{
    Message as _, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaResult, RDKafkaErrorCode as Code},
    message::{BorrowedHeaders, BorrowedMessage, Headers as _},
};
use tokio::sync::oneshot;

use super::{
    Consumed, Happening, Order, Place,
    assignment::Assignment,
    context::{Context, Rebalanced},
    options::Spoken,
    thread::Parts,
};
use crate::webhook::envelope::Headers;

/// How long a poll waits; an order waits as long for its turn.
const POLL: Duration = Duration::from_millis(20);
/// What is handed over at once.
const RECORDS_MAX: usize = 500;
const BYTES_MAX: usize = 1 << 20;
/// How long giving back and leaving may take.
const LEAVE_WITHIN: Duration = Duration::from_secs(8);

/// Why a client's life ended.
pub(super) enum Ended {
    /// It was told to, or has no owner any more.
    Asked(Option<oneshot::Sender<()>>),
    /// Another client is to take over.
    Renewed,
    /// The broker does not speak its protocol.
    Unspoken(String),
    /// There is no going on with this client.
    Failed(String),
}

pub(super) struct Member<'a> {
    consumer: BaseConsumer<Context>,
    spoken: Spoken,
    parts: &'a mut Parts,
    assignment: Assignment,
    /// What librdkafka waits for.
    rebalances: VecDeque<Rebalanced>,
    /// What was read and not handed over.
    batch: Vec<Consumed>,
    batch_bytes: usize,
    /// There is no room, so nothing is fetched.
    is_stalled: bool,
    ask_ends_at: Instant,
    /// The owner asked for the end while something else was waited for.
    end_is_asked: Option<Option<oneshot::Sender<()>>>,
    /// Another client is to take over.
    is_renewed: bool,
    /// The client met a fatal error.
    is_fatal: bool,
    /// The client did not take partitions it was to take, or does not read them.
    failure: Option<String>,
}

impl<'a> Member<'a> {
    pub(super) fn new(consumer: BaseConsumer<Context>, spoken: Spoken, parts: &'a mut Parts) -> Self {
        Self {
            consumer,
            spoken,
            parts,
            assignment: Assignment::default(),
            rebalances: VecDeque::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            is_stalled: false,
            ask_ends_at: Instant::now(),
            end_is_asked: None,
            is_renewed: false,
            is_fatal: false,
            failure: None,
        }
    }

    pub(super) fn run(mut self) -> Ended {
        let topics = self.parts.settings.topics.iter().chain(&self.parts.settings.replayed);
        let topics: Vec<&str> = topics.map(|topic| &**topic).collect();
        let ended = match self.consumer.subscribe(&topics) {
            Ok(()) => self.turn_until_ended(),
            Err(error) => Ended::Failed(error.to_string()),
        };
        if let Ended::Asked(_) | Ended::Renewed = &ended {
            self.leave();
        }
        // What is left now was not asked back.
        self.lose(&self.assignment.places());
        self.close();
        ended
    }

    fn turn_until_ended(&mut self) -> Ended {
        loop {
            if let Some(done) = self.end_is_asked.take() {
                return Ended::Asked(done);
            }
            match self.orders() {
                Ok(()) if self.parts.outbox.is_closed() => return Ended::Asked(None),
                Ok(()) if self.is_renewed => return Ended::Renewed,
                Ok(()) => {}
                Err(done) => return Ended::Asked(done),
            }
            if let Err(ended) = self.turn() {
                return ended;
            }
        }
    }

    fn turn(&mut self) -> Result<(), Ended> {
        self.make_room();
        self.rewind();
        self.ask_ends();
        let is_idle = self.attend(POLL);
        while let Some(rebalanced) = self.rebalances.pop_front() {
            self.rebalance(rebalanced);
        }
        if self.is_fatal {
            return Err(self.fatal());
        }
        if let Some(reason) = self.failure.take() {
            return Err(Ended::Failed(reason));
        }
        self.hand_over(is_idle);
        Ok(())
    }

    /// Polls and notes what librdkafka tells. Gives whether nothing was waiting.
    fn attend(&mut self, wait: Duration) -> bool {
        self.parts.outbox.pump();
        let is_idle = self.poll(wait);
        let noted = self.consumer.context().take();
        if let Some(statistics) = noted.statistics {
            self.parts.standing.settled(statistics.is_settled(), self.spoken.name());
            self.measure(&statistics);
        }
        self.rebalances.extend(noted.rebalances);
        self.is_fatal |= !noted.errors.is_empty() && self.consumer.client().fatal_error().is_some();
        if !self.is_fatal {
            for (error, reason) in &noted.errors {
                self.consumer.context().complain(error, reason);
            }
        }
        self.parts.standing.came_round(Instant::now());
        is_idle
    }

    /// Does what the owner has asked for; an end is for the caller.
    fn orders(&mut self) -> Result<(), Option<oneshot::Sender<()>>> {
        loop {
            match self.parts.orders.try_recv() {
                Ok(Order::Commit(offsets)) => self.store(offsets),
                Ok(Order::Pause(places)) => self.assignment.set_paused(&places, true),
                Ok(Order::Resume(places)) => self.assignment.set_paused(&places, false),
                Ok(Order::Rewind(places)) => {
                    for place in places.iter().filter(|place| self.assignment.rewind(place)) {
                        self.batch.retain(|record| !record.is_of(place));
                        self.parts.outbox.withdraw_end(place);
                    }
                }
                Ok(Order::Renew) => self.is_renewed = true,
                Ok(Order::End(done)) => return Err(Some(done)),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(None),
            }
        }
    }

    /// While the owner has no room nothing is fetched; what librdkafka had ahead it fetches again, so
    /// flowing on waits for more than a little room.
    fn make_room(&mut self) {
        if !self.parts.outbox.has_room() {
            self.is_stalled = true;
        } else if self.parts.outbox.is_half_empty() {
            self.is_stalled = false;
        }
        let (stop, flow) = self.assignment.turn(self.is_stalled);
        self.stop(&stop);
        self.flow(&flow);
    }

    /// Reads a batch, or until something else happened. Gives whether nothing was waiting.
    fn poll(&mut self, longest: Duration) -> bool {
        let begun = Instant::now();
        let mut wait = longest;
        loop {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    let consumed = consumed(&message, &self.parts.settings);
                    self.batch_bytes += consumed.size();
                    self.batch.push(consumed);
                }
                // The context was told.
                Some(Err(error)) => tracing::debug!(%error, "consumer group"),
                None => return wait == longest && begun.elapsed() >= longest,
            }
            // While there is no room nothing should come, and what comes is one at a time.
            let is_full = self.batch.len() >= RECORDS_MAX || self.batch_bytes >= BYTES_MAX;
            if is_full || self.is_stalled {
                return false;
            }
            wait = Duration::ZERO;
        }
    }

    /// Hands the batch over, if there is room, and says which replays are over with it.
    fn hand_over(&mut self, is_idle: bool) {
        if !self.parts.outbox.has_room() {
            return;
        }
        let mut batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        batch.retain(|record| self.assignment.takes(&record.place()));
        for run in batch.chunk_by(|one, next| Arc::ptr_eq(&one.topic, &next.topic)) {
            let consumed = &self.parts.metrics.consumed_records;
            consumed.with_label_values(&[&*run[0].topic]).inc_by(run.len() as u64);
        }
        for record in &batch {
            if let Some(replay) = self.assignment.replay(&record.place()) {
                replay.passed(record.offset);
            }
        }
        if !batch.is_empty() {
            self.parts.outbox.hand_over(batch);
        }
        let is_flowing = is_idle && !self.is_stalled;
        for (place, is_paused, replay) in self.assignment.replays() {
            if is_flowing && !is_paused {
                replay.idle();
            }
            if replay.is_over() {
                self.parts.outbox.push(Happening::ReplayedToEnd(place.clone()));
            }
        }
    }

    /// Gives everything back and waits until that is done.
    fn leave(&mut self) {
        let deadline = Instant::now() + LEAVE_WITHIN;
        self.consumer.unsubscribe();
        while self.assignment.len() > 0 && Instant::now() < deadline {
            if self.turn().is_err() {
                return;
            }
        }
    }

    fn fatal(&self) -> Ended {
        let (code, reason) = self.consumer.client().fatal_error().unzip();
        let reason = reason.unwrap_or_else(|| "it does not say why".to_owned());
        match code {
            Some(
                Code::UnsupportedFeature
                | Code::UnsupportedVersion
                | Code::UnsupportedAssignor
                | Code::InconsistentGroupProtocol,
            ) => Ended::Unspoken(reason),
            Some(_) | None => Ended::Failed(reason),
        }
    }

    fn stop(&self, places: &[Place]) {
        self.tell_client(places, "pause", |list| self.consumer.pause(list));
    }

    fn flow(&self, places: &[Place]) {
        self.tell_client(places, "resume", |list| self.consumer.resume(list));
    }

    fn tell_client(
        &self,
        places: &[Place],
        what: &str,
        tell: impl FnOnce(&TopicPartitionList) -> KafkaResult<()>,
    ) {
        if places.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::with_capacity(places.len());
        for place in places {
            list.add_partition(&place.topic, place.partition);
        }
        if let Err(error) = tell(&list) {
            tracing::warn!(%error, what, "the consumer group's client did not do what it was told");
        }
    }
}

fn consumed(message: &BorrowedMessage<'_>, settings: &super::Settings) -> Consumed {
    let mut topics = settings.topics.iter().chain(&settings.replayed);
    let topic = topics.find(|topic| ***topic == *message.topic());
    let millis = message.timestamp().to_millis().and_then(|millis| u64::try_from(millis).ok());
    Consumed {
        topic: topic.map_or_else(|| message.topic().into(), Arc::clone),
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        headers: message.headers().map(headers).unwrap_or_default(),
        timestamp: millis.map(|millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis)),
    }
}

fn headers(read: &BorrowedHeaders) -> Headers {
    let bytes = read.iter().map(|header| header.value.map_or(0, <[u8]>::len)).sum();
    let mut headers = Headers::with_capacity(read.count(), bytes);
    for header in read.iter() {
        headers.take(header.key, header.value.unwrap_or_default());
    }
    headers
}
