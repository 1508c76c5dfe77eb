//! Log lines: for a person on a terminal, else one JSON object a line, always on standard error.
//!
//! Every line is counted by severity. Text and fields carry the same facts; neither ever holds a
//! token or a body.

use std::{io::IsTerminal as _, sync::OnceLock};

use serde::{Deserialize, Serialize};
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    layer::{Context, SubscriberExt as _},
    reload,
    util::SubscriberInitExt as _,
};

use super::{family::Counters, metrics::Level};

/// `[telemetry]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Filter directives, such as `info` or `warn,mews_bridge::relay=debug`.
    pub log: String,
    /// How log lines look.
    pub log_format: Format,
}

impl Default for Config {
    fn default() -> Self {
        Self { log: "info".to_owned(), log_format: Format::Auto }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `human` on a terminal, else `json`.
    Auto,
    /// For a person.
    Human,
    /// For a log store.
    Json,
}

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directives cannot be read.
    #[error("{0:?} is no list of filter directives such as \"info\" or \"info,mews_bridge::relay=debug\"")]
    Filter(String, #[source] tracing_subscriber::filter::ParseError),
    /// The filter belongs to a logger that was not started here, or is gone.
    #[error("the log filter of this process cannot be changed")]
    Fixed,
    /// Something else in this process logs already.
    #[error("a logger is installed already")]
    Installed(#[from] tracing_subscriber::util::TryInitError),
}

impl Config {
    /// Whether the directives can be read.
    ///
    /// # Errors
    /// [`Error::Filter`].
    pub fn check(&self) -> Result<(), Error> {
        self.filter().map(drop)
    }

    fn filter(&self) -> Result<EnvFilter, Error> {
        filter(&self.log)
    }
}

fn filter(directives: &str) -> Result<EnvFilter, Error> {
    EnvFilter::builder().parse(directives).map_err(|error| Error::Filter(directives.to_owned(), error))
}

/// Counts lines once there is a registry to count in: logging starts before the metrics do.
static LINES: OnceLock<Counters<Level>> = OnceLock::new();

/// The filter of the process's logger, once there is one.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Installs the process's logger.
///
/// # Errors
/// When the directives cannot be read or a logger is there already.
pub fn start(config: &Config) -> Result<(), Error> {
    let json = match config.log_format {
        Format::Auto => !std::io::stderr().is_terminal(),
        Format::Human => false,
        Format::Json => true,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if json {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    } else {
        lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).boxed()
    };
    let (filter, handle) = reload::Layer::new(config.filter()?);
    tracing_subscriber::registry().with(filter).with(lines).with(Count).try_init()?;
    // Only one logger is ever installed, so this is the first handle.
    let _ = FILTER.set(handle);
    Ok(())
}

/// Logs by other directives from now on.
///
/// # Errors
/// When they cannot be read; then nothing changes.
pub fn set_filter(directives: &str) -> Result<(), Error> {
    let filter = filter(directives)?;
    FILTER.get().ok_or(Error::Fixed)?.reload(filter).map_err(|_| Error::Fixed)
}

/// From now on every log line is counted there.
pub fn count_in(lines: Counters<Level>) {
    // A second registry in one process is a test's; the first keeps counting.
    let _ = LINES.set(lines);
}

struct Count;

impl<S: Subscriber> Layer<S> for Count {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let Some(lines) = LINES.get() else { return };
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            tracing::Level::DEBUG => Level::Debug,
            tracing::Level::TRACE => Level::Trace,
        };
        lines.of(level).inc();
    }
}
