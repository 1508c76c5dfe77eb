//! The demo's hotels: the simulator, made fast enough to watch.

use std::time::Duration;

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    app::{Failure, arguments::Demo},
    simulator::{Config, Knobs, Simulator},
};

/// What became of the messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Answered 2xx.
    pub taken: u64,
    /// Given up after three attempts.
    pub abandoned: u64,
}

/// Mews waits minutes between attempts; nobody would watch that.
const PAUSE: Duration = Duration::from_secs(2);
/// Nor that webhooks are minutes late.
const DELAY: Duration = Duration::from_millis(500);
/// Changes that a message holds at the demo's pace, about.
const CHANGES_PER_MESSAGE: f64 = 2.0;

/// Runs until it is stopped: first every hotel connects, then they live.
pub async fn start(
    options: &Demo,
    url: String,
    stop: &CancellationToken,
) -> Result<JoinHandle<Tally>, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .map_err(|error| Failure::io("the simulator cannot listen", &error))?;
    let config = Config {
        hotels: options.hotels.into(),
        seed: options.seed,
        announce: true,
        knobs: Knobs {
            webhooks: Some(url),
            pace: f64::from(options.rate) * CHANGES_PER_MESSAGE / f64::from(options.hotels),
            delay: DELAY,
            retry_pause: PAUSE,
            old_form: 1.0 / 6.0,
            ..Knobs::default()
        },
        ..Config::default()
    };
    let simulator = Simulator::start(&config, listener, stop.child_token())
        .map_err(|error| Failure::bug(format!("the simulator does not start: {error}")))?;
    let stop = stop.clone();
    Ok(tokio::spawn(async move {
        stop.cancelled().await;
        let totals = simulator.end().await;
        Tally { taken: totals.taken, abandoned: totals.abandoned }
    }))
}
