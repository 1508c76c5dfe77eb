//! How a command ends: a code for scripts, a sentence for people.

use std::{error::Error, process::ExitCode};

use crate::{causes::with_causes, config::Problems};

/// Exit codes, as in `sysexits.h` where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, and drained clean.
    Clean,
    /// `topics plan` found a difference.
    Differs,
    /// Bad configuration or arguments.
    Configuration,
    /// A needed thing could not be reached at start.
    Unavailable,
    /// A bug.
    Bug,
    /// Input or output failed.
    Io,
    /// Stopped before all was drained; nothing is lost, it is in the journal.
    Pending,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Clean => 0,
            Exit::Differs => 1,
            Exit::Configuration => 64,
            Exit::Unavailable => 69,
            Exit::Bug => 70,
            Exit::Io => 74,
            Exit::Pending => 75,
        })
    }
}

/// Why a command could not do its work.
#[derive(Debug)]
pub struct Failure {
    /// The code to exit with.
    pub exit: Exit,
    /// What to tell the person, with all causes.
    pub message: String,
}

impl Failure {
    /// Something in the configuration is wrong.
    #[must_use]
    pub fn configuration(error: &dyn Error) -> Self {
        Self { exit: Exit::Configuration, message: with_causes(error) }
    }

    /// A file, a socket or the disk failed.
    #[must_use]
    pub fn io(what: &str, error: &dyn Error) -> Self {
        Self { exit: Exit::Io, message: format!("{what}: {}", with_causes(error)) }
    }

    /// Something that the command cannot do without did not answer.
    #[must_use]
    pub fn unavailable(what: &str, error: &dyn Error) -> Self {
        Self { exit: Exit::Unavailable, message: format!("{what}: {}", with_causes(error)) }
    }

    /// A part ended that never ends by itself.
    #[must_use]
    pub fn bug(message: impl Into<String>) -> Self {
        Self { exit: Exit::Bug, message: message.into() }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self { exit: Exit::Configuration, message: problems.to_string() }
    }
}
