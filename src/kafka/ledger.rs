//! What was handed to one client instance and not reported yet.
//!
//! Guarantees: each ticket that was entered is reported exactly once, by its delivery report or as
//! lost when the instance ends, whichever comes first; after [`Ledger::close`] nothing is entered,
//! and no report of that instance comes any more. librdkafka's own late reports find no ticket.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::mpsc::UnboundedSender;

use super::{
    producer::{Placed, Report},
    refusal::Refusal,
};
use crate::{hash::HashMap, telemetry::metrics::Class};

/// One record that is on its way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) topic: Arc<str>,
    pub(super) class: Class,
    /// Key and value.
    pub(super) bytes: u64,
    pub(super) sent_at: Instant,
}

/// The instance takes no more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed;

/// The open tickets of one instance.
#[derive(Debug)]
pub(super) struct Ledger {
    /// None once it is closed.
    open: Mutex<Option<HashMap<u64, Pending>>>,
    reports: UnboundedSender<Report>,
}

impl Ledger {
    pub(super) fn new(reports: UnboundedSender<Report>) -> Self {
        Self { open: Mutex::new(Some(HashMap::default())), reports }
    }

    /// Takes a ticket in, before the client can report it.
    pub(super) fn enter(&self, ticket: u64, pending: Pending) -> Result<(), Closed> {
        self.lock().as_mut().map(|open| open.insert(ticket, pending)).map(drop).ok_or(Closed)
    }

    /// Takes a ticket out that the client did not take. False when it was reported as lost meanwhile.
    #[must_use]
    pub(super) fn withdraw(&self, ticket: u64) -> Option<Pending> {
        self.lock().as_mut()?.remove(&ticket)
    }

    /// Reports a ticket, unless that was done before.
    pub(super) fn settle(&self, ticket: u64, result: Result<Placed, Refusal>) -> Option<Pending> {
        let mut open = self.lock();
        let pending = open.as_mut()?.remove(&ticket)?;
        // Under the lock, so that no report comes after those of `close`.
        let _ = self.reports.send(Report { ticket, result });
        Some(pending)
    }

    /// Reports every open ticket as lost, in the order of their numbers, and takes no more.
    pub(super) fn close(&self) -> usize {
        let mut open = self.lock();
        let mut lost: Vec<u64> = open.take().into_iter().flat_map(HashMap::into_keys).collect();
        lost.sort_unstable();
        for &ticket in &lost {
            // Without a receiver nobody waits for the ticket.
            let _ = self.reports.send(Report { ticket, result: Err(Refusal::Lost) });
        }
        lost.len()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_none()
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<u64, Pending>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use tokio::sync::mpsc;

    use super::*;

    fn pending() -> Pending {
        Pending { topic: "t".into(), class: Class::Raw, bytes: 1, sent_at: Instant::now() }
    }

    proptest! {
        /// The model: a set of open tickets. Steps enter, settle, withdraw or (4) close.
        #[test]
        fn a_ticket_is_reported_exactly_once(steps in prop::collection::vec((0u8..5, 0u64..8), 0..60)) {
            let (reports, mut reported) = mpsc::unbounded_channel();
            let ledger = Ledger::new(reports);
            let (mut open, mut expected, mut closed) = (BTreeSet::new(), Vec::new(), false);
            for (step, ticket) in steps {
                match step {
                    0 | 1 if !open.contains(&ticket) => {
                        prop_assert_eq!(ledger.enter(ticket, pending()).is_err(), closed);
                        if !closed { open.insert(ticket); }
                    }
                    0 | 1 => {}
                    2 => {
                        let settled = ledger.settle(ticket, Err(Refusal::TooLarge)).is_some();
                        prop_assert_eq!(settled, open.remove(&ticket));
                        if settled { expected.push((ticket, Refusal::TooLarge)); }
                    }
                    3 => prop_assert_eq!(ledger.withdraw(ticket).is_some(), open.remove(&ticket)),
                    _ => {
                        prop_assert_eq!(ledger.close(), open.len());
                        expected.extend(std::mem::take(&mut open).into_iter().map(|ticket| (ticket, Refusal::Lost)));
                        closed = true;
                    }
                }
                prop_assert_eq!(ledger.is_closed(), closed);
            }
            let mut seen = Vec::new();
            while let Ok(Report { ticket, result }) = reported.try_recv() {
                seen.push((ticket, result.unwrap_err()));
            }
            prop_assert_eq!(seen, expected);
        }
    }
}
