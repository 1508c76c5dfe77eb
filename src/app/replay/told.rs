//! What a replay says: a row for each record, at the end the sum in the log, and the exit code.
//!
//! A reader of the list that has gone does not end the replay: what was asked for is done all the same.

use std::{io::StdoutLock, ops::ControlFlow};

use serde_json::Value;

use super::Wanted;
use crate::app::{Exit, Failure, arguments::Output, output::Stream};

const COLUMNS: &[&str] = &["id", "result", "reason", "to", "detail", "from"];

/// Which record a row is about.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Its `ce_id`, or the id that was asked for.
    pub id: Option<String>,
    /// Why it was not delivered when it came.
    pub reason: Option<String>,
    /// Where it goes.
    pub to: Option<String>,
    /// Where it was found.
    pub from: Option<String>,
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is where it belongs, confirmed; says where, or what was done.
    Replayed(String),
    /// It would be sent, if this were no dry run.
    Selected,
    /// It cannot be sent; says why.
    Refused(String),
    /// Kafka did not confirm it in time: it may be there or not.
    Unconfirmed,
}

impl Fate {
    /// The value of the column `result`.
    #[must_use]
    pub const fn result(&self) -> &'static str {
        match self {
            Self::Replayed(_) => "replayed",
            Self::Selected => "selected",
            Self::Refused(_) => "refused",
            Self::Unconfirmed => "unconfirmed",
        }
    }

    fn detail(self) -> Value {
        match self {
            Self::Replayed(detail) | Self::Refused(detail) => detail.into(),
            Self::Selected => Value::Null,
            Self::Unconfirmed => {
                "Kafka has not answered; it may have it, and sending it again is safe".into()
            }
        }
    }
}

/// The list and the sum so far.
pub struct Told {
    /// None once nobody reads it.
    list: Option<Stream<StdoutLock<'static>>>,
    unwritten: Option<Failure>,
    sum: Sum,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    replayed: u64,
    selected: u64,
    refused: u64,
    unconfirmed: u64,
}

impl Told {
    /// With nothing said yet.
    #[must_use]
    pub fn new(output: Output) -> Self {
        let list = Some(Stream::to_stdout(COLUMNS, output));
        Self { list, unwritten: None, sum: Sum::default() }
    }

    /// Says what became of a record.
    pub fn tell(&mut self, about: About, fate: Fate) {
        self.sum.add(&fate);
        let About { id, reason, to, from } = about;
        let row = vec![id.into(), fate.result().into(), reason.into(), to.into(), fate.detail(), from.into()];
        if let Some(list) = &mut self.list
            && let ControlFlow::Break(ended) = list.push(row)
        {
            self.list = None;
            self.unwritten = ended.err();
        }
    }

    /// Says of each id that nothing had it; `detail` is where was looked.
    pub fn missing(&mut self, wanted: &Wanted, detail: &str) {
        for id in wanted.missing() {
            let about = About { id: Some(id.to_owned()), ..About::default() };
            self.tell(about, Fate::Refused(detail.to_owned()));
        }
    }

    /// Ends the list and says the sum.
    ///
    /// # Errors
    /// When the list could not be written.
    pub fn end(mut self) -> Result<Exit, Failure> {
        let ended = self.list.take().map_or(Ok(()), Stream::end);
        let Sum { replayed, selected, refused, unconfirmed } = self.sum;
        if selected > 0 {
            tracing::info!(selected, refused, "{selected} would be replayed, {refused} cannot be");
        } else {
            tracing::info!(
                replayed,
                refused,
                unconfirmed,
                "{replayed} replayed, {refused} refused, {unconfirmed} not confirmed"
            );
        }
        self.unwritten.map_or(ended, Err)?;
        Ok(self.sum.exit())
    }
}

impl Sum {
    fn add(&mut self, fate: &Fate) {
        *match fate {
            Fate::Replayed(_) => &mut self.replayed,
            Fate::Selected => &mut self.selected,
            Fate::Refused(_) => &mut self.refused,
            Fate::Unconfirmed => &mut self.unconfirmed,
        } += 1;
    }

    const fn exit(self) -> Exit {
        match self {
            Self { unconfirmed: 1.., .. } => Exit::Unavailable,
            Self { refused: 1.., .. } => Exit::Io,
            Self { .. } => Exit::Clean,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_done_is_in_the_exit_code() {
        let exit = |fates: &[Fate]| {
            let mut sum = Sum::default();
            fates.iter().for_each(|fate| sum.add(fate));
            sum.exit()
        };
        let (done, refused) = (Fate::Replayed(String::new()), Fate::Refused(String::new()));
        assert_eq!(exit(&[]), Exit::Clean);
        assert_eq!(exit(&[done.clone(), Fate::Selected]), Exit::Clean);
        assert_eq!(exit(&[done.clone(), refused.clone(), done]), Exit::Io);
        assert_eq!(exit(&[refused, Fate::Unconfirmed]), Exit::Unavailable);
    }
}
