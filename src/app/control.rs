//! The control socket: the way to change something in a running process, for its own operator only.
//!
//! ```text
//! mews-bridge journal … ── client ──► control.sock ──► server ──► journal::Handle, relay, log filter
//! ```
//!
//! A Unix socket of mode 0600 in the journal's directory, so that nothing that acts is on the network.
//! A connection carries one request and one answer, each one line of JSON:
//!
//! | request | what it does | answer |
//! |---|---|---|
//! | `{"do":"drain"}` | the journal takes no more; what is in it goes out | the journal's status |
//! | `{"do":"status"}` | nothing | the journal's status |
//! | `{"do":"discard","sequence":7,"id":"…"}` | that delivery is given up | `{"records":n}` of it that are not in Kafka |
//! | `{"do":"log","filter":"…"}` | other filter directives for the log, until the end of the process | `null` |
//!
//! The answer is `{"done":…}`, or `{"refused":"…"}` with a sentence for a person. [`server`] runs in the
//! ingress, [`client`] in the `journal` commands; both know the messages from here.

pub mod client;
pub mod server;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::journal::Sequence;

/// Bytes of a line, its end included.
const LINE_BYTES_MAX: u64 = 16 * 1024;
/// How long the other side may take with its line.
const WITHIN: Duration = Duration::from_secs(5);

/// What a process is asked to do. None is a unit variant: serde lets those have any members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// Take no more deliveries and bring out what was accepted. Asked twice is asked once.
    Drain {},
    /// Say how the journal is.
    Status {},
    /// Give one delivery up.
    Discard {
        /// Its place in the journal.
        sequence: Sequence,
        /// Its id.
        id: Uuid,
    },
    /// Log by other filter directives.
    Log {
        /// As `telemetry.log` has them.
        filter: String,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It is done, and this is what there is to say.
    Done(Value),
    /// It is not done, for this reason.
    Refused(String),
}

#[cfg(test)]
mod tests;
