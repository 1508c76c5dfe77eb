//! `mews-bridge quarantine ls|cat|replay`: what was authenticated and not understood.
//!
//! It reads the topic from its beginning to its end as it is now. Bodies are printed by `cat` only,
//! and their secrets only with `--open` and a key file.

mod replay;
mod understood;

use std::{borrow::Cow, ops::ControlFlow};

use super::{
    Exit, Failure,
    arguments::{Output, Quarantine as Command},
    output::{self, Stream},
    records::{Search, unread},
};
use crate::{
    config::Config,
    credentials::{
        seal::{KeyRing, OpenError},
        unseal::unseal,
    },
    kafka::browse::browse,
};

/// Runs the command.
///
/// # Errors
/// When Kafka cannot be asked, `cat` does not find its one record or cannot open it, or a replay cannot begin.
pub fn run(command: Command, config: &Config) -> Result<Exit, Failure> {
    let names = config.topic_names().map_err(|error| Failure::configuration(&error))?;
    let topic = names.quarantine();
    match command {
        Command::Ls { output } => ls(config, &topic, output),
        Command::Cat { open: true, id } => {
            // Found missing before Kafka is asked for what could not be opened then.
            let keys = KeyRing::load(&config.credentials.sealing_key_files)
                .map_err(|error| Failure::configuration(&error))?;
            let opened = unseal(&find(config, &topic, &id)?, &keys).map_err(|error| unopened(&id, &error))?;
            output::print(&opened)?;
            Ok(Exit::Clean)
        }
        Command::Cat { open: false, id } => {
            output::print(&find(config, &topic, &id)?)?;
            Ok(Exit::Clean)
        }
        Command::Replay { which, manner } => replay::run(config, names, which, manner),
    }
}

fn ls(config: &Config, topic: &str, output: Output) -> Result<Exit, Failure> {
    let columns = &["id", "time", "reason", "detail", "topic", "partition", "offset", "bytes"];
    let mut list = Stream::to_stdout(columns, output);
    let ended = browse(&config.kafka, topic, |seen| {
        let header = |name| seen.header(name).map(Cow::into_owned).into();
        list.push(vec![
            header("ce_id"),
            header("ce_time"),
            header("quarantine_reason"),
            header("quarantine_detail"),
            topic.into(),
            seen.partition().into(),
            seen.offset().into(),
            seen.value().map_or(0, <[u8]>::len).into(),
        ])
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

fn find(config: &Config, topic: &str, id: &str) -> Result<Vec<u8>, Failure> {
    let mut search = Search::new(id, None);
    let ended = browse(&config.kafka, topic, |seen| {
        if let Some(ce_id) = seen.header("ce_id")
            && search.wants(&ce_id, None)
        {
            search.take(&ce_id, None, seen.value().unwrap_or_default().to_vec());
        }
        ControlFlow::<()>::Continue(())
    });
    ended.map(drop).map_err(|error| unread(&error))?;
    search.one("the quarantine")
}

/// A key that is missing can be added; what was damaged stays damaged.
fn unopened(id: &str, error: &OpenError) -> Failure {
    let exit = match error {
        OpenError::UnknownKey(_) => Exit::Configuration,
        OpenError::NotSealed | OpenError::Damaged => Exit::Io,
    };
    Failure { exit, message: format!("{id} cannot be opened: {error} (credentials.sealing_key_files)") }
}
