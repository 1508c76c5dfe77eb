//! `mews-bridge dead-letters replay`: back to the topics that they were for.
//!
//! ```text
//! files beside the journal ─┐
//! mews.dead-letters ────────┴─► letter ─► record, dead_letter_* taken off ─► post ─► its topic
//!                                                mews.credentials: merged first
//! ```
//!
//! Guarantees: a record goes out with its own key, value and headers, behind its topic's newest; a file
//! is removed only after a broker has confirmed its record; what cannot be sent is said and holds up
//! nothing. A topic's record stays, so a replay can be repeated, and repeats: subscribers know it by its
//! `ce_id`. Nothing is remembered of earlier replays.

use std::{ops::ControlFlow, path::Path, sync::Arc, time::SystemTime};

use super::{
    credentials,
    letter::{Letter, Place},
};
use crate::{
    app::{
        Exit, Failure,
        arguments::{Manner, WhichDeadLetters},
        records::unread,
        replay::{About, Fate, Post, Told, Wanted},
    },
    config::Config,
    kafka::{TopicNames, browse::browse},
    relay::leftovers,
};

/// Sends what is asked for.
///
/// # Errors
/// When Kafka cannot be asked or the list cannot be written; what becomes of a record is in the list.
pub fn run(
    config: &Config,
    names: &TopicNames,
    which: WhichDeadLetters,
    manner: Manner,
) -> Result<Exit, Failure> {
    let post = if manner.dry_run { None } else { Some(Post::start(config, names)?) };
    let mut replay = Replay {
        config,
        names,
        wanted: Wanted::new(which.ids, which.reasons, which.topics),
        now: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
        post,
        told: Told::new(manner.output),
    };
    for path in super::files(config)? {
        replay.file(&path);
    }
    let ended = browse(&config.kafka, &names.dead_letters(), |seen| {
        replay.letter(&Letter::of_record(seen, &names.dead_letters()));
        if replay.is_silent() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    replay.end(ended.map(drop).map_err(|error| unread(&error)))
}

struct Replay<'a> {
    config: &'a Config,
    names: &'a TopicNames,
    wanted: Wanted,
    /// The value of the header that marks a replayed record.
    now: String,
    /// None for a dry run.
    post: Option<Post>,
    told: Told,
}

impl Replay<'_> {
    fn file(&mut self, path: &Path) {
        let letter = match Letter::of_file(path) {
            Ok(letter) => letter,
            // Nobody can tell whether it is one that was asked for.
            Err(error) => {
                let from = Some(path.display().to_string());
                let about = About { from, ..Default::default() };
                return self.told.tell(about, Fate::Refused(format!("cannot be read: {error}")));
            }
        };
        self.letter(&letter);
    }

    fn letter(&mut self, letter: &Letter) {
        let (id, reason, topic) =
            (letter.header("ce_id"), letter.header("dead_letter_reason"), letter.topic());
        if self.is_silent() || !self.wanted.takes(id, reason, topic) {
            return;
        }
        let mut fate = self.fate(letter);
        if let (Fate::Replayed(place), Place::File(path)) = (&fate, &letter.place)
            && let Err(error) = leftovers::remove(path)
        {
            fate = Fate::Refused(format!("it was sent ({place}), but its file cannot be removed: {error}"));
        }
        self.told.tell(letter.about(), fate);
    }

    fn fate(&mut self, letter: &Letter) -> Fate {
        let topic = match self.origin(letter) {
            Ok(topic) => topic,
            Err(reason) => return Fate::Refused(reason),
        };
        let Some(post) = &mut self.post else { return Fate::Selected };
        let record = letter.record(&topic, &self.now);
        if topic == self.names.credentials() {
            return credentials::merge(&self.config.kafka, &record, post);
        }
        post.send(&record)
    }

    /// The topic that a dead letter was for, if that is one where it does what it would have done.
    fn origin(&self, letter: &Letter) -> Result<Arc<str>, String> {
        let topic = letter.topic().ok_or("it does not say which topic it was for")?;
        if topic == &*self.names.dead_letters() {
            return Err("it was for no topic: this build could not read it in the journal".to_owned());
        }
        let known = self.names.written_by_ingress().into_iter().find(|spec| &*spec.name == topic);
        let known = known.ok_or_else(|| format!("{topic} is no topic of this configuration ([topics])"))?;
        Ok(known.name)
    }

    fn is_silent(&self) -> bool {
        self.post.as_ref().is_some_and(Post::is_silent)
    }

    /// Says which ids were not found, unless there was no looking for them.
    fn end(mut self, looked: Result<(), Failure>) -> Result<Exit, Failure> {
        if looked.is_ok() && !self.is_silent() {
            self.told.missing(&self.wanted, "there is no such record in the dead letters");
        }
        let told = self.told.end();
        looked.and(told)
    }
}
