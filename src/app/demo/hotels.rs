//! The demo's hotels: the simulator, made fast enough to watch.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    app::{Failure, arguments::Demo},
    simulator::{Config, Connection, Knobs, Simulator, Totals},
};

/// Mews waits minutes between attempts; nobody would watch that.
const PAUSE: Duration = Duration::from_secs(2);
/// Nor that webhooks are minutes late.
const DELAY: Duration = Duration::from_secs(1);
/// Share of webhooks in the older form.
const OLD_FORM: f64 = 1.0 / 6.0;

/// All hotels, and Mews behind them.
pub struct Hotels {
    /// Mews.
    pub simulator: Simulator,
    /// Hotels whose access token the bridge is told in `credentials.file`.
    pub known: Vec<Connection>,
    /// How many there are.
    pub count: u16,
}

/// What can be told of: a hotel, its integration and one of its reservations.
#[derive(Clone, Copy, Debug)]
pub struct Stay {
    /// The hotel.
    pub enterprise_id: Uuid,
    /// Its integration.
    pub integration_id: Uuid,
    /// One of its reservations.
    pub reservation_id: Uuid,
}

impl Hotels {
    /// Opens them: each connects, which webhooks to this URL tell, and then they live.
    pub async fn open(options: &Demo, url: &str) -> Result<Self, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .map_err(|error| Failure::io("the simulator cannot listen", &error))?;
        let config = Config {
            hotels: options.hotels.into(),
            seed: options.seed,
            announce: true,
            knobs: Knobs {
                webhooks: Some(url.to_owned()),
                pace: f64::from(options.rate) / f64::from(options.hotels),
                delay: DELAY,
                retry_pause: PAUSE,
                old_form: OLD_FORM,
                ..Knobs::default()
            },
            ..Config::default()
        };
        let simulator = Simulator::start(&config, listener, CancellationToken::new())
            .map_err(|error| Failure::bug(format!("the simulator does not start: {error}")))?;
        let mut known = simulator.connections();
        // The other half is known by what their webhooks bring, over `mews.credentials`.
        known.truncate(known.len().div_ceil(2));
        Ok(Self { simulator, known, count: options.hotels })
    }

    /// Something that is there, for the line to paste.
    pub fn stay(&self) -> Option<Stay> {
        let Connection { integration_id, enterprise_id, .. } = self.known.first()?;
        let enterprise_id = (*enterprise_id)?;
        let reservation_id = self.simulator.reservation(enterprise_id)?;
        Some(Stay { enterprise_id, integration_id: *integration_id, reservation_id })
    }

    /// Resolves when the simulator breaks off, which it never should.
    pub async fn failed(&mut self) -> Failure {
        self.simulator.ended().await;
        Failure::bug("a part of the simulator broke off")
    }

    /// Nothing happens any more, and whatever happened is told.
    pub async fn fall_silent(&self) {
        let knobs = Knobs { frozen: true, ..self.simulator.knobs() };
        if let Err(error) = self.simulator.turn(knobs) {
            tracing::error!(%error, "the hotels cannot be stopped: {error}");
        }
        self.simulator.flush().await;
    }

    /// Closes them.
    pub async fn close(self) -> Totals {
        self.simulator.end().await
    }
}
