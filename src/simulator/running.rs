//! A simulator that runs: what its owner holds.

use std::{io, sync::Arc};

use serde::Serialize;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    config::Config,
    control::Control,
    integration::Scope,
    kind::Kind,
    knobs::{Knobs, KnobsError},
    life, postman,
    sender::Sender,
    server,
    state::{Shared, State},
    told::Totals,
    truth,
    utc::Utc,
};

/// A running simulator. It ends when its stop is cancelled; dropped, it is aborted.
#[derive(Debug)]
pub struct Simulator {
    /// The platform address for Connector API clients: `http://127.0.0.1:<port>`.
    pub platform: String,
    /// Where the control endpoints are: `http://127.0.0.1:<port>/simulator`.
    pub control: String,
    /// The client token that it wants.
    pub client_token: String,
    shared: Arc<Shared>,
    sender: Arc<Sender>,
    stop: CancellationToken,
    parts: JoinSet<()>,
}

/// One integration, in the form of `credentials.file`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Connection {
    /// The integration.
    pub integration_id: Uuid,
    /// Its hotel; none for a portfolio token, which has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enterprise_id: Option<Uuid>,
    /// Its access token.
    pub access_token: String,
    /// A name for people.
    pub alias: String,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The listener has no address.
    #[error("the listener has no address")]
    Listener(#[source] io::Error),
    /// No HTTP client for webhooks.
    #[error("no HTTP client can be made")]
    Client(#[source] reqwest::Error),
    /// A knob makes no sense.
    #[error(transparent)]
    Knobs(#[from] KnobsError),
}

impl Simulator {
    /// Starts on this listener; it runs until `stop` is cancelled.
    ///
    /// # Errors
    /// When a knob makes no sense, or the listener or an HTTP client is missing.
    pub fn start(
        config: &Config,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> Result<Self, StartError> {
        config.knobs.check()?;
        let address = listener.local_addr().map_err(StartError::Listener)?;
        let sender = Arc::new(Sender::new().map_err(StartError::Client)?);
        let state = State::new(config, Utc::now());
        let client_token = state.client_token.clone();
        let shared = Arc::new(Shared::new(state));
        let control = Control { shared: shared.clone(), sender: sender.clone(), stop: stop.clone() };
        let mut parts = JoinSet::new();
        parts.spawn(server::run(listener, control, stop.clone()));
        parts.spawn(postman::run(shared.clone(), sender.clone(), stop.clone()));
        parts.spawn(life::run(shared.clone(), stop.clone()));
        let platform = format!("http://{address}");
        let control = format!("{platform}{}", super::control::PREFIX);
        Ok(Self { platform, control, client_token, shared, sender, stop, parts })
    }

    /// Its integrations with their tokens as they are now.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        let state = self.shared.lock();
        let connection = |integration: &super::integration::Integration| {
            let (enterprise_id, alias) = state.enterprise(integration.scope);
            let enterprise_id = matches!(integration.scope, Scope::Hotel(_)).then_some(enterprise_id);
            let (integration_id, access_token) = (integration.id, integration.access_token.clone());
            Connection { integration_id, enterprise_id, access_token, alias }
        };
        state.integrations.all().iter().map(connection).collect()
    }

    /// A reservation of this hotel, to speak of. None when there is no such hotel, or nobody stays there.
    #[must_use]
    pub fn reservation(&self, enterprise_id: Uuid) -> Option<Uuid> {
        let state = self.shared.lock();
        let store = state.population.store(Kind::Reservation);
        let row = store.of(state.population.place(enterprise_id)?).first()?;
        Some(store.newest(*row).id)
    }

    /// The newest state of everything that was told of, as `GET /simulator/truth` has it, a line each.
    #[must_use]
    pub fn truth(&self) -> String {
        truth::all(&self.shared.lock(), false)
    }

    /// Turns knobs, as `POST /simulator/knobs` does, but all at once.
    ///
    /// # Errors
    /// When a value makes no sense.
    pub fn turn(&self, knobs: Knobs) -> Result<(), KnobsError> {
        knobs.check()?;
        self.shared.lock().set_knobs(knobs);
        self.shared.bell.notify_one();
        Ok(())
    }

    /// Where the knobs are.
    #[must_use]
    pub fn knobs(&self) -> Knobs {
        self.shared.lock().knobs.clone()
    }

    /// What became of all messages so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.shared.lock().told.totals
    }

    /// Sends everything that waits, due or not, and returns when it was answered or given up.
    pub async fn flush(&self) -> Totals {
        postman::flush(&self.shared, &self.sender, &self.stop).await
    }

    /// Resolves when a part has ended: after the stop, or because it broke off.
    pub async fn ended(&mut self) {
        self.parts.join_next().await;
    }

    /// Stops it and waits for what is under way; what waits for another attempt is given up.
    pub async fn end(mut self) -> Totals {
        self.stop.cancel();
        while self.parts.join_next().await.is_some() {}
        self.totals()
    }
}
