//! When the process should stop: asked once it drains, asked again it aborts.
//!
//! Parts are given the tokens, never the signals, so that a test stops them itself.

use std::{io, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// `[shutdown]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a drain may take; what is not delivered by then stays in the journal. `25s`, below
    /// the 30 s that Kubernetes gives by default.
    #[serde(with = "crate::duration")]
    pub timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(25) }
    }
}

/// The two stages of stopping. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Take nothing new, finish what was accepted.
    pub drain: CancellationToken,
    /// Stop now; what was accepted is on disk.
    pub abort: CancellationToken,
}

impl Shutdown {
    /// A shutdown that SIGTERM and SIGINT bring about: the first drains, the second aborts.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::default();
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stages = shutdown.clone();
        // The task lives as long as the process: there is nothing to hand it back to.
        tokio::spawn(async move {
            for (stage, meaning) in [(&stages.drain, "draining"), (&stages.abort, "stopping at once")] {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                tracing::info!(signal = name, "received {name}, {meaning}");
                stage.cancel();
            }
        });
        Ok(shutdown)
    }
}
