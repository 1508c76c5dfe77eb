//! The account of one request's ids: which are still open, and what was found.
//!
//! Guarantees: an id leaves the open ones once, when its first record comes; records of other ids are left
//! out. Spellings of one id are asked for once and settled together.

use std::sync::Arc;

use bytes::Bytes;

use super::{Found, Wanted};
use crate::{
    connector::{Operation, Record},
    hash::HashMap,
    webhook::id,
};

/// Ids that are asked for together.
#[derive(Debug)]
pub struct Account {
    /// In their one spelling, in the order in which they were asked for.
    order: Vec<Arc<str>>,
    /// That spelling to those that were asked for.
    open: HashMap<Arc<str>, Vec<Arc<str>>>,
    found: Vec<Found>,
}

/// How an account ends.
#[derive(Debug)]
pub struct Settled {
    pub found: Vec<Found>,
    /// As they were asked for.
    pub open: Vec<Arc<str>>,
}

impl Account {
    pub fn new(wanted: &[Wanted]) -> Self {
        let mut account = Self { order: Vec::new(), open: HashMap::default(), found: Vec::new() };
        for Wanted { id: asked, .. } in wanted {
            let normal = normal(asked);
            let spellings = account.open.entry(normal.clone()).or_default();
            if spellings.is_empty() {
                account.order.push(normal);
            }
            if !spellings.contains(asked) {
                spellings.push(asked.clone());
            }
        }
        account
    }

    /// Whether everything was found.
    pub fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether this one was not found yet.
    pub fn is_open(&self, asked: &str) -> bool {
        self.open.contains_key(&*id::normal(asked))
    }

    /// What was not found yet, as it is asked of Mews.
    pub fn open(&self) -> Vec<Arc<str>> {
        self.order.iter().filter(|id| self.open.contains_key(*id)).cloned().collect()
    }

    /// Takes what is wanted of an answer.
    pub fn take(&mut self, operation: Operation, records: &[Record]) {
        let wanted: Vec<_> = records
            .iter()
            .filter_map(|record| Some((record, self.open.remove(record.id.as_str())?)))
            .collect();
        // A record keeps its whole answer in memory: few of many are copied out of it.
        let all: usize = records.iter().map(|record| record.bytes.len()).sum();
        let kept: usize = wanted.iter().map(|(record, _)| record.bytes.len()).sum();
        for (record, spellings) in wanted {
            let bytes =
                if kept < all / 2 { Bytes::copy_from_slice(&record.bytes) } else { record.bytes.clone() };
            let found = |id| Found { id, updated: record.updated, bytes: bytes.clone(), operation };
            self.found.extend(spellings.into_iter().map(found));
        }
    }

    /// Closes it.
    pub fn settle(mut self) -> Settled {
        let open = self.order.iter().filter_map(|id| self.open.remove(id)).flatten().collect();
        Settled { found: self.found, open }
    }
}

fn normal(asked: &Arc<str>) -> Arc<str> {
    match id::normal(asked) {
        normal if *normal == **asked => asked.clone(),
        normal => normal.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    fn uuid(n: u8) -> String {
        format!("851df8c8-90f2-4c4a-8e01-a4fc46b251{n:02x}")
    }

    fn wanted(ids: &[String]) -> Vec<Wanted> {
        let wanted = |id: &String| Wanted { id: id.as_str().into(), thread_id: None, said_at: UNIX_EPOCH };
        ids.iter().map(wanted).collect()
    }

    fn record(id: String) -> Record {
        let bytes = Bytes::from(format!(r#"{{"Id":"{id}"}}"#));
        Record { id, updated: None, bytes }
    }

    #[test]
    fn spellings_of_one_id_are_asked_for_once_and_found_together() {
        let mut account = Account::new(&wanted(&[uuid(1), uuid(1).to_uppercase(), uuid(1)]));
        assert_eq!(account.open(), [uuid(1).into()]);
        assert!(account.is_open(&uuid(1).to_uppercase()));
        account.take(Operation::Payments, &[record(uuid(1))]);
        assert!(account.is_settled() && !account.is_open(&uuid(1)));
        let settled = account.settle();
        let ids: Vec<_> = settled.found.iter().map(|found| found.id.to_string()).collect();
        assert_eq!((ids, settled.open.len()), (vec![uuid(1), uuid(1).to_uppercase()], 0));
    }

    #[test]
    fn few_of_many_records_do_not_keep_the_answer() {
        let answer = Bytes::from(r#"{"Id":"a"}{"Id":"b"}{"Id":"c"}{"Id":"d"}"#);
        let records: Vec<_> = ["a", "b", "c", "d"]
            .into_iter()
            .enumerate()
            .map(|(n, id)| Record { bytes: answer.slice(n * 10..n * 10 + 10), ..record(id.to_owned()) })
            .collect();
        for (ids, shares) in [(["a"].as_slice(), false), (&["a", "b", "c"], true)] {
            let ids: Vec<_> = ids.iter().map(|id| (*id).to_owned()).collect();
            let mut account = Account::new(&wanted(&ids));
            account.take(Operation::Messages, &records);
            let settled = account.settle();
            assert_eq!(settled.found[0].bytes, r#"{"Id":"a"}"#);
            assert_eq!(settled.found[0].bytes.as_ptr() == answer.as_ptr(), shares);
        }
    }

    proptest! {
        #[test]
        fn every_id_ends_in_exactly_one_place(
            asked in prop::collection::vec((0u8..40, any::<bool>()), 0..60),
            answers in prop::collection::vec(prop::collection::vec(0u8..40, 0..20), 0..5),
        ) {
            let spelled = |(n, upper): &(u8, bool)| if *upper { uuid(*n).to_uppercase() } else { uuid(*n) };
            let ids: Vec<String> = asked.iter().map(spelled).collect();
            let mut account = Account::new(&wanted(&ids));
            let mut returned = HashSet::new();
            for answer in &answers {
                let records: Vec<_> = answer.iter().map(|n| record(uuid(*n))).collect();
                account.take(Operation::Resources, &records);
                returned.extend(answer.iter().map(|n| uuid(*n)));
                let open = account.open();
                prop_assert!(open.iter().all(|id| !returned.contains(&**id)));
            }
            let Settled { found, open } = account.settle();
            let mut ends: Vec<String> = open.iter().map(|id| id.to_string()).collect();
            prop_assert!(ends.iter().all(|id| !returned.contains(&id.to_lowercase())));
            for found in found {
                prop_assert_eq!(found.bytes, record(found.id.to_lowercase()).bytes);
                ends.push(found.id.to_string());
            }
            let distinct: HashSet<_> = ids.into_iter().collect();
            prop_assert_eq!(ends.len(), distinct.len());
            prop_assert_eq!(ends.into_iter().collect::<HashSet<_>>(), distinct);
        }
    }
}
