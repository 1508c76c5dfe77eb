//! Messages: the one kind that cannot be asked for by id, only by thread (contract 4.3).
//!
//! ```text
//! threads that events named ─► messages of them
//!   still open? threads that changed in the span, page by page ─► messages of them
//!     at the last page also those that were seen in earlier rounds
//! ```
//!
//! The application sees the threads that it created itself, so that a message of any other is never found,
//! however long it is searched for.

use std::{collections::HashSet, sync::Arc, time::SystemTime};

use super::{
    Round, Wanted,
    account::Account,
    ask::{Ask, Stopped},
    span,
};
use crate::{
    connector::{Error, Interval, Request, operation::IDS_PER_REQUEST_MAX},
    webhook::id,
};

/// Searches until every message was found, or there is nowhere left to look.
pub async fn fetch(
    ask: &mut Ask<'_>,
    wanted: &[Wanted],
    round: Round,
    account: &mut Account,
) -> Result<(), Stopped> {
    let mut search = Search::new(ask, wanted, round, account);
    search.in_named_threads(wanted).await?;
    if search.goes_on() {
        search.in_swept_threads(wanted, round).await?;
    }
    if search.ask.is_spent() && !search.account.is_settled() {
        tracing::warn!(
            integration_id = search.ask.integration_id,
            enterprise_id = search.ask.enterprise_id,
            "gave up searching for messages among too many others"
        );
    }
    Ok(())
}

struct Search<'s, 'a> {
    ask: &'s mut Ask<'a>,
    account: &'s mut Account,
    now: SystemTime,
    span: Interval,
    /// Threads that were looked into.
    asked: HashSet<Arc<str>>,
}

impl<'s, 'a> Search<'s, 'a> {
    fn new(ask: &'s mut Ask<'a>, wanted: &[Wanted], round: Round, account: &'s mut Account) -> Self {
        let now = SystemTime::now();
        let span = span::of(wanted.iter().map(|wanted| wanted.said_at), round, now);
        Self { ask, account, now, span, asked: HashSet::new() }
    }

    fn goes_on(&self) -> bool {
        !self.account.is_settled() && !self.ask.is_spent()
    }

    async fn in_named_threads(&mut self, wanted: &[Wanted]) -> Result<(), Stopped> {
        let named = |wanted: &Wanted| {
            let thread = wanted.thread_id.as_deref().filter(|thread| id::usable(thread))?;
            Some((wanted.id.clone(), Arc::<str>::from(id::normal(thread))))
        };
        let named: Vec<_> = wanted.iter().filter_map(named).collect();
        let mut threads: Vec<_> = named.iter().map(|(_, thread)| thread.clone()).collect();
        threads.sort_unstable();
        threads.dedup();
        match self.among(&threads).await {
            // One of another application may be as good as none; the sweep goes without names.
            Err(Stopped { error: Error::BadRequest(_), .. }) => return Ok(()),
            ended => ended?,
        }
        let (account, memory) = (&*self.account, self.ask.memory);
        let found = named.into_iter().filter(|(message, _)| !account.is_open(message));
        let ours: HashSet<_> = found.map(|(_, thread)| thread).collect();
        let ours: Vec<_> = threads.iter().filter(|thread| ours.contains(*thread)).cloned().collect();
        memory.threads.remember(&self.ask.hotel, &ours);
        self.asked.extend(threads);
        Ok(())
    }

    async fn in_swept_threads(&mut self, wanted: &[Wanted], round: Round) -> Result<(), Stopped> {
        let open = wanted.iter().filter(|wanted| self.account.is_open(&wanted.id));
        self.span = span::of(open.map(|wanted| wanted.said_at), round, self.now);
        let (memory, hotel) = (self.ask.memory, self.ask.hotel.clone());
        let before = memory.threads.of(&hotel);
        let mut swept: Vec<Arc<str>> = Vec::new();
        let mut next = Some(Request::message_threads_updated(self.ask.enterprise_id, self.span));
        while let Some(request) = next.take_if(|_| self.goes_on()) {
            let answer = self.ask.call(&request).await?;
            next = request.next_page(&answer);
            let page: Vec<Arc<str>> = answer.records.iter().map(|record| record.id.as_str().into()).collect();
            swept.extend_from_slice(&page);
            memory.threads.remember(&hotel, &swept);
            let mut threads = self.new_of(&page);
            let of_page = threads.len();
            if next.is_none() {
                let swept: HashSet<_> = swept.iter().collect();
                threads.extend(self.new_of(&before).into_iter().filter(|thread| !swept.contains(thread)));
            }
            match self.among(&threads).await {
                // One of those from before is no more; Mews then refuses them all (contract 6 #14).
                Err(Stopped { error: Error::BadRequest(_), .. }) if threads.len() > of_page => {
                    memory.threads.forget(&hotel);
                    memory.threads.remember(&hotel, &swept);
                    threads.truncate(of_page);
                    self.among(&threads).await?;
                }
                ended => ended?,
            }
            self.asked.extend(threads);
        }
        Ok(())
    }

    fn new_of(&self, threads: &[Arc<str>]) -> Vec<Arc<str>> {
        threads.iter().filter(|thread| !self.asked.contains(*thread)).cloned().collect()
    }

    /// Messages of these threads in the span, the newest first.
    async fn among(&mut self, threads: &[Arc<str>]) -> Result<(), Stopped> {
        let mut parts: Vec<_> = threads.chunks(IDS_PER_REQUEST_MAX).rev().collect();
        while let Some(part) = parts.pop() {
            match self.among_part(part).await {
                // Halved here: no message is named in the request, so that fewer of them would not make it less.
                Err(Stopped {
                    error: Error::TooHeavy(_) | Error::AnswerTooLarge(_) | Error::BodyTooLarge(_),
                    ..
                }) if part.len() > 1 && !self.ask.is_spent() => {
                    let (newer, older) = part.split_at(part.len() / 2);
                    parts.extend([older, newer]);
                }
                ended => ended?,
            }
        }
        Ok(())
    }

    async fn among_part(&mut self, threads: &[Arc<str>]) -> Result<(), Stopped> {
        for piece in span::pieces(self.span) {
            let request = Request::messages(self.ask.enterprise_id, threads, piece);
            self.ask.collect(request, self.account).await?;
        }
        Ok(())
    }
}
