//! `mews-bridge dead-letters ls|cat|replay`: what was understood and could not be delivered.
//!
//! Most are in a topic, which is read from its beginning to its end as it is now; what not even that
//! took is in files beside the journal, which are shown even while Kafka is away.

mod credentials;
mod letter;
mod replay;

use std::{borrow::Cow, io, ops::ControlFlow, path::Path};

use serde_json::Value;

use super::{
    Exit, Failure,
    arguments::{DeadLetters as Command, Output},
    output::{self, Stream},
    records::{Search, unread},
};
use crate::{
    config::Config,
    kafka::browse::browse,
    relay::leftovers::{self, Leftover},
};

const COLUMNS: &[&str] = &[
    "id",
    "time",
    "reason",
    "detail",
    "stage",
    "dead_letter_topic",
    "attempts",
    "topic",
    "partition",
    "offset",
    "file",
    "bytes",
];

/// Runs the command.
///
/// # Errors
/// When Kafka cannot be asked, a file cannot be read, or `cat` does not find its one record.
pub fn run(command: Command, config: &Config) -> Result<Exit, Failure> {
    let names = config.topic_names().map_err(|error| Failure::configuration(&error))?;
    let topic = names.dead_letters();
    match command {
        Command::Ls { output } => ls(config, &topic, output),
        Command::Cat { topic: of, id } => {
            output::print(&find(config, &topic, Search::new(&id, of.as_deref()))?)?;
            Ok(Exit::Clean)
        }
        Command::Replay { which, manner } => replay::run(config, &names, which, manner),
    }
}

fn ls(config: &Config, topic: &str, output: Output) -> Result<Exit, Failure> {
    let mut list = Stream::to_stdout(COLUMNS, output);
    for path in files(config)? {
        let leftover = read(&path)?;
        let bytes = value(&leftover, &path)?.len();
        let place = [Value::Null, Value::Null, path.display().to_string().into()];
        let header = |name: &str| leftover.header(name).into();
        if let ControlFlow::Break(result) = list.push(row(header, &leftover.topic, place, bytes)) {
            return result.map(|()| Exit::Clean);
        }
    }
    let ended = browse(&config.kafka, topic, |seen| {
        let place = [seen.partition().into(), seen.offset().into(), Value::Null];
        let header = |name: &str| seen.header(name).map(Cow::into_owned).into();
        list.push(row(header, topic, place, seen.value().map_or(0, <[u8]>::len)))
    });
    match ended {
        Ok(ControlFlow::Continue(())) => list.end()?,
        Ok(ControlFlow::Break(result)) => result?,
        Err(error) => {
            list.end()?;
            return Err(unread(&error));
        }
    }
    Ok(Exit::Clean)
}

fn row(header: impl Fn(&str) -> Value, topic: &str, place: [Value; 3], bytes: usize) -> Vec<Value> {
    let [partition, offset, file] = place;
    vec![
        header("ce_id"),
        header("ce_time"),
        header("dead_letter_reason"),
        header("dead_letter_detail"),
        header("dead_letter_stage"),
        header("dead_letter_topic"),
        header("dead_letter_attempts"),
        topic.into(),
        partition,
        offset,
        file,
        bytes.into(),
    ]
}

fn find(config: &Config, topic: &str, mut search: Search) -> Result<Vec<u8>, Failure> {
    for path in files(config)? {
        let leftover = read(&path)?;
        let of = leftover.header("dead_letter_topic");
        if let Some(ce_id) = leftover.header("ce_id")
            && search.wants(ce_id, of)
        {
            search.take(ce_id, of, value(&leftover, &path)?);
        }
    }
    let ended = browse(&config.kafka, topic, |seen| {
        let of = seen.header("dead_letter_topic");
        if let Some(ce_id) = seen.header("ce_id")
            && search.wants(&ce_id, of.as_deref())
        {
            search.take(&ce_id, of.as_deref(), seen.value().unwrap_or_default().to_vec());
        }
        ControlFlow::<()>::Continue(())
    });
    match ended {
        // A file that was found is good without Kafka.
        Err(error) if !search.has_found() => Err(unread(&error)),
        Ok(_) | Err(_) => search.one("the dead letters"),
    }
}

fn files(config: &Config) -> Result<Vec<std::path::PathBuf>, Failure> {
    let dir = config.journal.dir.join(leftovers::DIR);
    leftovers::list(&dir).map_err(|error| unreadable(&dir, &error))
}

fn read(path: &Path) -> Result<Leftover, Failure> {
    leftovers::read(path).map_err(|error| unreadable(path, &error))
}

fn value(leftover: &Leftover, path: &Path) -> Result<Vec<u8>, Failure> {
    leftover.value_bytes().map(Option::unwrap_or_default).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::io(&format!("cannot read {}", path.display()), error)
}
