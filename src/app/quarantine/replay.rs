//! `mews-bridge quarantine replay`: what was not understood is judged once more.
//!
//! ```text
//! mews.quarantine ─► unseal ─► judge, as the ingress does ─► delivery of the same id ─► relay ─► Kafka
//! ```
//!
//! It does not post to a running ingress: that would give the body a new delivery id, and a record that is
//! replayed carries the `ce_id` that it had. The judging and the relaying are those of the ingress, called
//! here, so no ingress has to run, and nothing is understood here that would not be understood there.
//!
//! Guarantees: what is still not understood is refused with its reason and not written a second time;
//! nothing of a body is ever printed. A topic's record stays, so a replay can be repeated, and repeats.

use std::{borrow::Cow, ops::ControlFlow};

use super::understood::{Judge, Quarantined};
use crate::{
    app::{
        Exit, Failure,
        arguments::{Manner, WhichQuarantined},
        records::unread,
        replay::{About, Fan, Fate, Wanted},
    },
    config::Config,
    credentials::seal::{KeyRing, Sealer},
    kafka::{
        TopicNames,
        browse::{Seen, browse},
    },
};

/// Sends what is asked for and understood.
///
/// # Errors
/// When Kafka cannot be asked, a key is missing, or the list cannot be written; what becomes of a record is
/// in the list.
pub fn run(
    config: &Config,
    names: TopicNames,
    which: WhichQuarantined,
    manner: Manner,
) -> Result<Exit, Failure> {
    let sealer = config.credentials.sealer().map_err(|error| Failure::configuration(&error))?;
    let keys = match &sealer {
        Sealer::Seal(keys) => keys.clone(),
        Sealer::Discard => KeyRing::of(&[]),
    };
    let judge = Judge { keys, sealer, discriminators: config.topics.known() };
    let wanted = Wanted::new(which.ids, which.reasons, Vec::new());
    let fan = Fan::start(config, &names, manner)?;
    let topic = names.quarantine();
    let mut replay = Replay { names, wanted, judge, fan };
    let ended = browse(&config.kafka, &topic, |seen| {
        replay.record(seen);
        if replay.fan.is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let looked = ended.map(drop).map_err(|error| unread(&error));
    if looked.is_ok() && !replay.fan.is_over() {
        replay.fan.told().missing(&replay.wanted, "there is no such record in the quarantine");
    }
    let ended = replay.fan.end();
    looked.and(ended)
}

struct Replay {
    names: TopicNames,
    wanted: Wanted,
    judge: Judge,
    fan: Fan,
}

impl Replay {
    fn record(&mut self, seen: &Seen<'_>) {
        let header = |name| seen.header(name).map(Cow::into_owned);
        let (id, reason) = (header("ce_id"), header("quarantine_reason"));
        if !self.wanted.takes(id.as_deref(), reason.as_deref(), None) {
            return;
        }
        let (time, trace) =
            (header("ce_time").unwrap_or_default(), header("traceparent").unwrap_or_default());
        let record = Quarantined {
            ce_id: id.as_deref().unwrap_or_default(),
            ce_time: &time,
            traceparent: &trace,
            value: seen.value().unwrap_or_default(),
        };
        let understood = self.judge.understand(record);
        let quarantine = self.names.quarantine();
        let from = Some(format!("{quarantine}, partition {}, offset {}", seen.partition(), seen.offset()));
        let about = About { id, reason, to: None, from };
        match understood {
            Err(why) => self.fan.told().tell(about, Fate::Refused(why)),
            Ok(delivery) => {
                let topics = self.fan.topics(&delivery.encode());
                if !topics.is_empty() && topics.iter().all(|topic| *topic == quarantine) {
                    let why = "still not understood: none of its events is in order".to_owned();
                    return self.fan.told().tell(about, Fate::Refused(why));
                }
                self.fan.send(&delivery, about);
            }
        }
    }
}
