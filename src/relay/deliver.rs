//! Delivers: which record goes to which topic next, and what became of each delivery.
//!
//! ```text
//! admit ──► lanes ── next ──► Send ──► client ──► report ──► settled ──► cursor ──► passed
//!             ▲               Load ◄── journal      │
//!             └── dead letters ◄────────────────────┴─► leftover ──► file
//! ```
//!
//! Guarantees: a delivery completes when every record it owes is in its topic, in the dead letters,
//! or kept in a file, and not before; on one lane records of a key keep their order; a held lane
//! does not stop the others; what is in memory is bounded by the constants below, and at the bound
//! [`Deliver::has_room`] says no, which stops the reading of the journal.
//!
//! Pure: it is asked for steps and told how they ended. The shell in [`super`] does the I/O.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    capacity::Capacities,
    credentials::{Done, Update},
    dead_letter::DeadLetter,
    draft::{Draft, Form, Part},
    fan_out::FanOut,
    item::{Content, Item},
    lane::{Lane, Limits, Position},
    notice::Notice,
    open::Open,
    verdict::Verdict,
};
use crate::{
    hash::HashMap,
    journal::{Completed, Location, Sequence},
    kafka::{Record, Report, SendError, TopicNames},
    telemetry::metrics,
};

/// What is in memory at most; above any of these no more deliveries are read.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of deliveries in memory; one more may be on top, and one for each lane that reads back.
    pub held_bytes: usize,
    /// Records on lanes, in memory or aside. Only a held lane comes near it: then the others wait as
    /// well, at the latest until the lane is given up.
    pub items: usize,
    /// Deliveries from the oldest pending to the newest read.
    pub span: usize,
    /// News of integrations that wait for `mews.credentials`.
    pub news: usize,
}

/// What the process runs with; together some 200 MiB when all are reached at once.
pub const BOUNDS: Bounds = Bounds { held_bytes: 64 << 20, items: 500_000, span: 1_000_000, news: 10_000 };

/// What an item costs beside the body that it is cut from.
const ITEM_BYTES: usize = 384;
/// How long nothing is sent after the client's queue was full, unless a report comes first.
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(20);
/// Lanes that a ticket can tell apart are more than any configuration names.
const LANE_SHIFT: u32 = 40;

/// Names one sending of one record; the client's report repeats it.
pub type Ticket = u64;

/// What the shell shall do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Hand [`Deliver::record`] to the client, then tell [`Deliver::sent`].
    Send(Ticket),
    /// Read a delivery back from the journal, then tell [`Deliver::loaded`].
    Load(Ticket, Sequence, Location),
}

/// The machine.
#[derive(Debug)]
pub struct Deliver {
    names: TopicNames,
    limits: Limits,
    capacities: Capacities,
    bounds: Bounds,
    lanes: Vec<Lane>,
    by_topic: HashMap<Arc<str>, usize>,
    /// Where the round over the lanes goes on.
    turn: usize,
    open: Open,
    /// What no topic takes, on its way to the file.
    leftovers: VecDeque<Item>,
    news: usize,
    client: Client,
    notices: Vec<Notice>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Takes,
    Full { until: Instant },
    Down,
}

impl Deliver {
    /// With nothing to deliver yet.
    #[must_use]
    pub fn new(names: TopicNames, limits: Limits, bounds: Bounds) -> Self {
        Self {
            names,
            limits,
            capacities: Capacities::default(),
            bounds,
            lanes: Vec::new(),
            by_topic: HashMap::default(),
            turn: 0,
            open: Open::default(),
            leftovers: VecDeque::new(),
            news: 0,
            client: Client::Takes,
            notices: Vec::new(),
        }
    }

    /// What brokers have said of the topics.
    pub fn learn(&mut self, capacities: Capacities) {
        self.capacities = capacities;
        for lane in &mut self.lanes {
            lane.learn(self.capacities.of(&lane.topic));
        }
    }

    /// Whether another delivery may be admitted.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.open.held_bytes() < self.bounds.held_bytes
            && self.lanes.iter().map(Lane::len).sum::<usize>() < self.bounds.items
            && self.open.span() < self.bounds.span
            && self.news < self.bounds.news
    }

    /// Takes the next delivery of the journal. What comes back is for the caller to bring to
    /// `mews.credentials`, and to report with [`Self::updated`].
    pub fn admit(
        &mut self,
        sequence: Sequence,
        location: Location,
        fan_out: FanOut,
        now: Instant,
    ) -> Option<Update> {
        let FanOut { source, drafts, news } = fan_out;
        let outstanding = drafts.len() + usize::from(news.is_some());
        let bytes = source.delivery.body.len() + outstanding * ITEM_BYTES;
        self.open.read(sequence, location, source.delivery.accepted_at, outstanding, bytes);
        let mut numbers = 0u32..;
        for (draft, number) in drafts.into_iter().zip(numbers.by_ref()) {
            let form = self.first_form(&draft);
            let content = Content { source: source.clone(), draft: Box::new(draft) };
            self.push(Item::new(sequence, number, form, content, now));
        }
        self.set_aside_if_tight();
        self.news += usize::from(news.is_some());
        self.open.hold(sequence, usize::from(news.is_some()));
        let (draft, number) = (Box::new(news?), numbers.next()?);
        Some(Update { sequence, number, content: Content { source, draft } })
    }

    /// What cannot be read is a dead letter from the start.
    fn first_form(&mut self, draft: &Draft) -> Form {
        let Part::Undecodable { detail } = &draft.part else { return Form::Whole };
        let reason = metrics::DeadLetter::Undecodable;
        self.notices.push(Notice::DeadLetter(reason));
        let topic = self.names.dead_letters();
        Form::DeadLetter(Box::new(DeadLetter { reason, detail: detail.to_string(), topic, attempts: 0 }))
    }

    fn push(&mut self, item: Item) {
        let topic = match (&item.form, &item.content) {
            (Form::Whole | Form::WithoutEntity, Some(content)) => content.draft.topic(&self.names),
            (Form::DeadLetter(_), _) | (_, None) => self.names.dead_letters(),
        };
        let delivery = item.delivery;
        if item.is_dead() {
            self.open.dead_lettered(delivery);
        }
        self.open.hold(delivery, usize::from(item.content.is_some()));
        let lane = self.lane(&topic);
        if self.lanes[lane].push(item).is_some() {
            self.open.release(delivery);
        }
    }

    fn lane(&mut self, topic: &Arc<str>) -> usize {
        if let Some(lane) = self.by_topic.get(topic) {
            return *lane;
        }
        // A dead letter has nowhere else to go: its lane waits for its topic as long as it takes.
        let for_ever = *topic == self.names.dead_letters();
        let give_up_after = self.limits.give_up_after.filter(|_| !for_ever);
        let capacity = self.capacities.of(topic);
        self.lanes.push(Lane::new(topic.clone(), Limits { give_up_after, ..self.limits }, capacity));
        self.by_topic.insert(topic.clone(), self.lanes.len() - 1);
        self.lanes.len() - 1
    }

    /// What to do next; `None` until something is reported, admitted, or [`Self::wake_at`] has come.
    pub fn next(&mut self, now: Instant) -> Option<Step> {
        match self.client {
            Client::Down => return None,
            Client::Full { until } if now < until => return None,
            Client::Full { .. } | Client::Takes => self.client = Client::Takes,
        }
        for _ in 0..self.lanes.len() {
            self.turn = (self.turn + 1) % self.lanes.len();
            if let Some(step) = self.next_of(self.turn, now) {
                return Some(step);
            }
        }
        None
    }

    fn next_of(&mut self, lane: usize, now: Instant) -> Option<Step> {
        let position = self.lanes[lane].next(now)?;
        let ticket = ticket(lane, position);
        let item = self.lanes[lane].get(position)?;
        if item.content.is_some() {
            return Some(Step::Send(ticket));
        }
        // At the bound, a lane reads back only when nothing else could make it go on.
        if self.open.held_bytes() >= self.bounds.held_bytes && self.lanes[lane].in_flight() > 0 {
            return None;
        }
        let location = self.open.get(item.delivery)?.location;
        Some(Step::Load(ticket, item.delivery, location))
    }

    /// The record to send under a ticket that [`Self::next`] gave.
    #[must_use]
    pub fn record(&self, ticket: Ticket) -> Option<Record> {
        let (lane, position) = place(ticket);
        self.build(self.lanes.get(lane)?.get(position)?)
    }

    fn build(&self, item: &Item) -> Option<Record> {
        let Content { source, draft } = item.content.as_ref()?;
        Some(draft.record(source, &item.form, &self.names))
    }

    /// Whether the client took the record of a ticket.
    pub fn sent(&mut self, ticket: Ticket, result: Result<(), SendError>, now: Instant) {
        let (lane, position) = place(ticket);
        match result {
            Ok(()) => self.lanes[lane].sent(position, now),
            Err(SendError::QueueFull) => self.client = Client::Full { until: now + QUEUE_FULL_WAIT },
            Err(SendError::Down) => self.client = Client::Down,
            Err(SendError::TooLarge) => {
                let verdict = self.lanes[lane].unsendable(position);
                self.judged(lane, verdict, now);
            }
        }
    }

    /// A delivery that was read back for a ticket. Says how many records have their contents again.
    pub fn loaded(&mut self, ticket: Ticket, fan_out: &FanOut) -> u32 {
        let (lane, position) = place(ticket);
        let Some(delivery) =
            self.lanes.get(lane).and_then(|lane| lane.get(position)).map(|item| item.delivery)
        else {
            return 0;
        };
        let loaded = self.lanes[lane].load(delivery, |number| {
            let draft = fan_out.draft(usize::try_from(number).ok()?)?;
            Some(Content { source: fan_out.source.clone(), draft: Box::new(draft.clone()) })
        });
        self.open.hold(delivery, loaded as usize);
        loaded
    }

    /// A report of the client.
    pub fn report(&mut self, report: Report, now: Instant) {
        let (lane, position) = place(report.ticket);
        if lane >= self.lanes.len() {
            return;
        }
        if let Client::Full { .. } = self.client {
            self.client = Client::Takes;
        }
        let accepted_at = self.lanes[lane]
            .get(position)
            .and_then(|item| self.open.get(item.delivery))
            .map(|open| open.accepted_at);
        let verdict = self.lanes[lane].report(position, report.result.map(drop), now);
        if let (Verdict::Acknowledged, Some(accepted_at)) = (&verdict, accepted_at) {
            self.notices.push(Notice::Acknowledged(accepted_at));
        }
        self.judged(lane, verdict, now);
    }

    fn judged(&mut self, lane: usize, verdict: Verdict, now: Instant) {
        match verdict {
            Verdict::Acknowledged | Verdict::Again | Verdict::Discarded => {}
            Verdict::Never(item, reason, detail) => self.never(lane, item, reason, &detail, now),
        }
        self.settle(lane, now);
        if let Some(change) = self.lanes[lane].take_change() {
            self.set_aside_if_tight();
            let (topic, waiting) = (self.lanes[lane].topic.clone(), self.lanes[lane].len());
            self.notices.push(Notice::Lane(topic, change, waiting));
        }
    }

    /// Settles what can be settled at the front of a lane, and gives up what has waited too long.
    fn settle(&mut self, lane: usize, now: Instant) {
        let mut given_up = 0;
        loop {
            if let Some(item) = self.lanes[lane].settle() {
                self.done(&item);
            } else if self.lanes[lane].is_held()
                && let others_took = self.others_took(lane)
                && let Some(item) = self.lanes[lane].give_up(others_took, now)
            {
                given_up += 1;
                let reason = metrics::DeadLetter::TopicUnavailable;
                self.never(lane, item, reason, "topic is missing or forbidden", now);
            } else {
                break;
            }
        }
        if given_up > 0 {
            self.notices.push(Notice::GivenUp(self.lanes[lane].topic.clone(), given_up));
        }
    }

    /// When any topic but that of a lane last took something.
    fn others_took(&self, lane: usize) -> Option<Instant> {
        let others = self.lanes.iter().enumerate().filter(|(other, _)| *other != lane);
        others.filter_map(|(_, other)| other.took_at()).max()
    }

    /// A record that its topic will not take: to the dead letters, or from there to the file.
    fn never(&mut self, lane: usize, item: Item, reason: metrics::DeadLetter, detail: &str, now: Instant) {
        if item.is_dead() {
            self.leftovers.push_back(item);
            return;
        }
        if item.content.is_some() {
            self.open.release(item.delivery);
        }
        self.notices.push(Notice::DeadLetter(reason));
        let topic = self.lanes[lane].topic.clone();
        let dead_letter = DeadLetter { reason, detail: detail.to_owned(), topic, attempts: item.attempts };
        self.push(item.again(Form::DeadLetter(Box::new(dead_letter)), now));
    }

    /// A record that no topic takes: write it to a file, then tell [`Self::kept`].
    #[must_use]
    pub fn leftover(&self) -> Option<Record> {
        self.build(self.leftovers.front()?)
    }

    /// The record of [`Self::leftover`] is safe in its file.
    pub fn kept(&mut self) {
        if let Some(item) = self.leftovers.pop_front() {
            self.done(&item);
        }
    }

    /// Gives a delivery up: it is completed as discarded, whatever becomes of its records in flight,
    /// and none is sent that is not. Says how many it still owed; `None` if it is not open.
    ///
    /// News of an integration that were handed out are still brought to their topic.
    pub fn discard(&mut self, sequence: Sequence, now: Instant) -> Option<usize> {
        let outstanding = self.open.discard(sequence)?;
        self.leftovers.retain(|item| item.delivery != sequence);
        for lane in 0..self.lanes.len() {
            self.lanes[lane].discard(sequence);
            self.settle(lane, now);
        }
        Some(outstanding)
    }

    /// How an update that [`Self::admit`] gave out ended.
    pub fn updated(&mut self, done: Done, now: Instant) {
        self.news = self.news.saturating_sub(1);
        match done {
            Done::Delivered(sequence) => {
                self.open.release(sequence);
                self.open.settled(sequence);
            }
            // It was given up meanwhile.
            Done::Refused(Update { sequence, .. }, _) if self.open.get(sequence).is_none() => {}
            Done::Refused(Update { sequence, number, content }, dead_letter) => {
                self.notices.push(Notice::DeadLetter(dead_letter.reason));
                let form = Form::DeadLetter(Box::new(dead_letter));
                self.push(Item::new(sequence, number, form, content, now));
                self.open.release(sequence);
            }
        }
    }

    fn done(&mut self, item: &Item) {
        if item.content.is_some() {
            self.open.release(item.delivery);
        }
        self.open.settled(item.delivery);
    }

    /// Half full, the lanes that do not flow keep in the journal what they will not need soon.
    fn set_aside_if_tight(&mut self) {
        if self.open.held_bytes() <= self.bounds.held_bytes / 2 {
            return;
        }
        let (lanes, open) = (&mut self.lanes, &mut self.open);
        for lane in lanes {
            lane.set_aside(|delivery| open.release(delivery));
        }
    }

    /// The client takes records again, should it have been down.
    pub fn client_up(&mut self) {
        if self.client == Client::Down {
            self.client = Client::Takes;
        }
    }

    /// The client is down: nothing is sent until [`Self::client_up`].
    pub fn client_down(&mut self) {
        self.client = Client::Down;
    }

    /// When [`Self::next`] should be asked again though nothing has happened.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        let full = match self.client {
            Client::Full { until } => Some(until),
            Client::Takes => None,
            Client::Down => return None,
        };
        self.lanes.iter().filter_map(Lane::wake_at).chain(full).min()
    }

    /// What happened since this was last asked.
    pub fn take_notices(&mut self) -> impl Iterator<Item = Notice> {
        self.notices.drain(..)
    }

    /// What the watermark has passed since this was last asked.
    pub fn take_passed(&mut self) -> Option<Completed> {
        self.open.take_passed()
    }

    /// The deliveries that were admitted and are not completed.
    #[must_use]
    pub const fn open(&self) -> &Open {
        &self.open
    }
}

const fn ticket(lane: usize, position: Position) -> Ticket {
    (lane as u64) << LANE_SHIFT | position
}

const fn place(ticket: Ticket) -> (usize, Position) {
    ((ticket >> LANE_SHIFT) as usize, ticket & ((1 << LANE_SHIFT) - 1))
}

#[cfg(test)]
mod tests;
