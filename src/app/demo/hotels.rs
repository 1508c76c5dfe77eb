//! The demo's hotels: they send what Mews would send, at a steady pace.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    app::{Failure, arguments::Demo},
    simulator::{
        message,
        population::Population,
        sender::{Sender, Sent},
    },
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

/// Sends until it is stopped: first every hotel connects, then they live.
pub fn start(options: &Demo, url: String, stop: &CancellationToken) -> Result<JoinHandle<Tally>, Failure> {
    let sender = Sender::new(url, PAUSE)
        .map_err(|error| Failure::bug(format!("no HTTP client for the demo: {error}")))?;
    let mut population = Population::new(usize::from(options.hotels), options.seed);
    let mut pace = tokio::time::interval(Duration::from_secs(1) / u32::from(options.rate));
    let stop = stop.clone();
    Ok(tokio::spawn(async move {
        let mut tally = Tally::default();
        let connecting: Vec<_> = population.hotels().iter().map(message::integration_created).collect();
        for body in connecting {
            tally.count(sender.send(body, &stop).await);
        }
        loop {
            tokio::select! {
                _ = pace.tick() => {}
                () = stop.cancelled() => return tally,
            }
            tally.count(sender.send(next(&mut population), &stop).await);
        }
    }))
}

/// Mostly the newest form; now and then the older one, or a turn in an integration's life.
fn next(population: &mut Population) -> String {
    let (hotel, changes) = population.step();
    if population.one_in(40) {
        return message::integration(&hotel, "IntegrationDisabled");
    }
    if population.one_in(40) {
        return message::integration(&hotel, "IntegrationEnabled");
    }
    if population.one_in(6) {
        return message::general_with_entities(&hotel, &changes);
    }
    message::general(&hotel, &changes)
}

impl Tally {
    fn count(&mut self, sent: Sent) {
        match sent {
            Sent::Taken { .. } => self.taken += 1,
            Sent::Abandoned => self.abandoned += 1,
        }
    }
}
