//! The HTTP client itself: what it trusts, what it keeps, and what it never does.
//!
//! Guarantees: it sends to the configured address only, whatever a server or the environment asks for, and
//! sends nothing twice. The certificates that it trusts are read again when their file changes; an unusable
//! one keeps what was loaded. Requests that are under way end with the client that they began with.

use std::{
    convert::Infallible,
    sync::{Mutex, PoisonError, RwLock},
    time::Duration,
};

use reqwest::{Certificate, redirect, retry};

use crate::{
    connector::{Config, ConfigError, config},
    reload::{self, Contents, Files},
    telemetry::metrics::{Process, SecretFile},
};

/// Idle connections are let go before the servers and load balancers on the way do so.
const IDLE_MAX: Duration = Duration::from_secs(50);
/// A dead HTTP/2 connection is found out within the sum, before requests pile up on it.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// The HTTP client that is in use.
pub(super) struct Transport {
    config: Config,
    http: RwLock<reqwest::Client>,
    /// Taken by the one [`Transport::watch`].
    files: Mutex<Option<Files>>,
}

impl Transport {
    /// One that has not connected yet.
    ///
    /// # Errors
    /// When there are no certificates to trust.
    pub(super) fn new(config: &Config) -> Result<Self, ConfigError> {
        let (files, contents) = config.ca_files();
        let http = http(config, trusted(&files, contents)?)?;
        Ok(Self { config: config.clone(), http: RwLock::new(http), files: Mutex::new(Some(files)) })
    }

    /// What to send with now.
    pub(super) fn http(&self) -> reqwest::Client {
        self.http.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the certificates again whenever they change. Never ends; the second watch waits for nothing.
    pub(super) async fn watch(&self, metrics: &Process) -> Infallible {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut files) = files.filter(|files| !files.paths().is_empty()) else {
            return std::future::pending().await;
        };
        loop {
            let contents = files.changed().await;
            let result = self.take_over(&files, contents);
            reload::record(SecretFile::ConnectorCa, metrics, result);
        }
    }

    fn take_over(&self, files: &Files, contents: Vec<Contents>) -> Result<(), ConfigError> {
        let http = http(&self.config, trusted(files, contents)?)?;
        *self.http.write().unwrap_or_else(PoisonError::into_inner) = http;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn look_every(&self, every: Duration) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        *files = files.take().map(|files| files.every(every));
    }
}

/// The certificates of the file, if there is one.
fn trusted(files: &Files, contents: Vec<Contents>) -> Result<Option<Vec<Certificate>>, ConfigError> {
    let mut all =
        files.paths().iter().zip(contents).map(|(path, contents)| config::certificates(path, contents));
    all.next().transpose()
}

fn http(config: &Config, trusted: Option<Vec<Certificate>>) -> Result<reqwest::Client, ConfigError> {
    // Another part may have been first; they install the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let is_tls = config.platform_address.starts_with("https:");
    let mut http = reqwest::Client::builder()
        .user_agent(concat!("mews-bridge/", env!("CARGO_PKG_VERSION")))
        .https_only(is_tls)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .connect_timeout(config.connect_timeout)
        .pool_idle_timeout(IDLE_MAX)
        .http2_keep_alive_interval(PING.0)
        .http2_keep_alive_timeout(PING.1)
        .http2_adaptive_window(true);
    match trusted {
        Some(certificates) => http = http.tls_certs_only(certificates),
        // Without TLS no certificates are needed, and the system may have none.
        None if !is_tls => http = http.tls_certs_only([]),
        None => {}
    }
    http.build().map_err(|error| ConfigError::Http(error.without_url()))
}
