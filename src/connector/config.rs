//! `[connector]`: where the Connector API is, who asks, and how much is asked at a time.

use std::{
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use bytesize::ByteSize;
use reqwest::Certificate;
use serde::{Deserialize, Serialize};

use super::{ClientToken, client_token::ClientTokenError};
use crate::reload::{Contents, Files};

/// Largest budget that is taken: more is no limit, and every request of a window is remembered.
const REQUESTS_PER_WINDOW_MAX: usize = 10_000;
/// Smallest limit on answers: below it a single record might not fit.
const RESPONSE_BYTES_MIN: ByteSize = ByteSize::kib(64);

/// `[connector]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the Connector API is: `https://api.mews.com`, in the demo environment `https://api.mews-demo.com`.
    pub platform_address: String,
    /// Name and version that Mews asks every client for: `mews-bridge <version>`.
    pub client: String,
    /// File with the client token of this application. None: the enricher does not start.
    pub client_token_file: Option<PathBuf>,
    /// Allow `http` to other hosts than this one. The tokens travel in request bodies.
    pub allow_plain_http: bool,
    /// PEM file of the certificates that sign Mews's. None: those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// How long making a connection may take: `5s`.
    #[serde(with = "crate::duration")]
    pub connect_timeout: Duration,
    /// From sending a request to the end of its answer: `30s`.
    #[serde(with = "crate::duration")]
    pub request_timeout: Duration,
    /// Largest answer, unpacked; one that is larger is asked for in halves: `16MiB`.
    #[serde(with = "crate::size")]
    pub response_bytes_max: ByteSize,
    /// Requests per access token and window: `198`. Mews allows 200 in any 30 s.
    pub requests_per_window: usize,
    /// How long a request counts after its answer: `30s`.
    #[serde(with = "crate::duration")]
    pub window: Duration,
    /// Requests under way at a time, of all access tokens together: `128`. Each may hold an answer.
    pub requests_in_flight_max: usize,
    /// Requests under way at a time with one access token, so that a slow hotel leaves room: `16`.
    pub requests_in_flight_per_token_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            platform_address: "https://api.mews.com".to_owned(),
            client: concat!("mews-bridge ", env!("CARGO_PKG_VERSION")).to_owned(),
            client_token_file: None,
            allow_plain_http: false,
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            response_bytes_max: ByteSize::mib(16),
            requests_per_window: 198,
            window: Duration::from_secs(30),
            requests_in_flight_max: 128,
            requests_in_flight_per_token_max: 16,
        }
    }
}

/// What is wrong with `[connector]`.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not an address at all.
    #[error("platform_address {0:?} is not an http or https address without a path")]
    Address(String),
    /// Tokens would be readable on the way.
    #[error(
        "platform_address {0:?} is not https; set connector.allow_plain_http = true if nobody can listen in"
    )]
    PlainHttp(String),
    /// Mews wants to know who asks.
    #[error("client {0:?} is no name and version")]
    Client(String),
    /// Nothing would ever be sent, or nothing ever held back.
    #[error("{key} must be from {min} to {max}")]
    Count {
        /// Which setting.
        key: &'static str,
        /// Its least value.
        min: usize,
        /// Its greatest value.
        max: usize,
    },
    /// A time of zero.
    #[error("{0} must be longer than 0s")]
    Zero(&'static str),
    /// No record would fit.
    #[error("response_bytes_max must be at least 64KiB")]
    ResponseBytes,
    /// Nothing to say who asks.
    #[error("client_token_file is not set")]
    NoToken,
    /// There is no token in it.
    #[error(transparent)]
    Token(#[from] ClientTokenError),
    /// The certificates cannot be read.
    #[error("ca_file {path}", path = .0.display())]
    CaFile(PathBuf, #[source] io::Error),
    /// They are no certificates, or the operating system has none.
    #[error("no HTTP client can be made")]
    Http(#[source] reqwest::Error),
}

impl Config {
    /// Whether the settings can work, as far as no file has to be read.
    ///
    /// # Errors
    /// The first that cannot.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_address()?;
        if self.client.trim().is_empty() || self.client.contains(char::is_control) {
            return Err(ConfigError::Client(self.client.clone()));
        }
        for (key, value, min, max) in [
            ("requests_per_window", self.requests_per_window, 2, REQUESTS_PER_WINDOW_MAX),
            ("requests_in_flight_max", self.requests_in_flight_max, 1, 10_000),
            ("requests_in_flight_per_token_max", self.requests_in_flight_per_token_max, 1, 10_000),
        ] {
            if !(min..=max).contains(&value) {
                return Err(ConfigError::Count { key, min, max });
            }
        }
        for (key, value) in [
            ("connect_timeout", self.connect_timeout),
            ("request_timeout", self.request_timeout),
            ("window", self.window),
        ] {
            if value.is_zero() {
                return Err(ConfigError::Zero(key));
            }
        }
        if self.response_bytes_max < RESPONSE_BYTES_MIN {
            return Err(ConfigError::ResponseBytes);
        }
        Ok(())
    }

    fn check_address(&self) -> Result<(), ConfigError> {
        let wrong = || ConfigError::Address(self.platform_address.clone());
        let address: hyper::Uri = self.platform_address.parse().map_err(|_| wrong())?;
        let host = address.host().ok_or_else(wrong)?;
        let has_user = address.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if !matches!(address.path(), "" | "/") || address.query().is_some() || has_user {
            return Err(wrong());
        }
        match address.scheme_str() {
            Some("https") => Ok(()),
            Some("http") if self.allow_plain_http || is_loopback(host) => Ok(()),
            Some("http") => Err(ConfigError::PlainHttp(self.platform_address.clone())),
            _ => Err(wrong()),
        }
    }

    /// Whether requests could be sent: there is a client token, and the certificates can be read.
    ///
    /// # Errors
    /// When a file is missing or holds something else.
    pub fn check_token(&self) -> Result<(), ConfigError> {
        self.client_token()?;
        let (files, contents) = self.ca_files();
        files
            .paths()
            .iter()
            .zip(contents)
            .try_for_each(|(path, contents)| certificates(path, contents).map(drop))
    }

    /// Reads the client token.
    ///
    /// # Errors
    /// When its file is not set, cannot be read, or holds no token.
    pub fn client_token(&self) -> Result<ClientToken, ConfigError> {
        let file: &Path = self.client_token_file.as_deref().ok_or(ConfigError::NoToken)?;
        Ok(ClientToken::load(file)?)
    }

    /// `ca_file`, to be read again when it changes.
    pub(super) fn ca_files(&self) -> (Files, Vec<Contents>) {
        Files::read(self.ca_file.iter().cloned().collect())
    }
}

/// The certificates in a PEM file.
pub(super) fn certificates(path: &Path, contents: Contents) -> Result<Vec<Certificate>, ConfigError> {
    let unusable = |error| ConfigError::CaFile(path.to_owned(), error);
    let certificates =
        Certificate::from_pem_bundle(&contents.map_err(unusable)?).map_err(ConfigError::Http)?;
    if certificates.is_empty() {
        return Err(unusable(io::Error::new(io::ErrorKind::InvalidData, "no PEM certificate in it")));
    }
    Ok(certificates)
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(platform_address: &str, allow_plain_http: bool) -> Result<(), ConfigError> {
        Config { platform_address: platform_address.to_owned(), allow_plain_http, ..Config::default() }
            .check()
    }

    #[test]
    fn https_is_required_but_for_this_host() {
        for fine in ["https://api.mews.com", "http://127.0.0.1:80", "http://localhost:1", "http://[::1]:1/"] {
            assert!(checked(fine, false).is_ok(), "{fine}");
        }
        assert!(matches!(checked("http://api.mews.com", false), Err(ConfigError::PlainHttp(_))));
        assert!(checked("http://api.mews.com", true).is_ok());
        for wrong in ["api.mews.com", "ftp://x", "https://api.mews.com/api", "", "https://a:b@api.mews.com"] {
            assert!(matches!(checked(wrong, true), Err(ConfigError::Address(_))), "{wrong}");
        }
    }

    #[test]
    fn figures_that_cannot_work_are_named() {
        let said = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().map_err(|error| error.to_string()).unwrap_err()
        };
        assert!(Config::default().check().is_ok());
        assert!(said(|config| config.requests_per_window = 1).starts_with("requests_per_window must be"));
        assert!(
            said(|config| config.requests_in_flight_max = 0).starts_with("requests_in_flight_max must be")
        );
        assert!(said(|config| config.requests_in_flight_per_token_max = 0).contains("per_token_max must be"));
        assert!(said(|config| config.window = Duration::ZERO).starts_with("window must be longer"));
        assert!(said(|config| config.request_timeout = Duration::ZERO).contains("request_timeout"));
        assert!(said(|config| config.connect_timeout = Duration::ZERO).contains("connect_timeout"));
        assert!(said(|config| config.response_bytes_max = ByteSize(1)).contains("64KiB"));
        assert!(said(|config| config.client = " ".to_owned()).contains("client"));
    }

    #[test]
    fn token_and_certificates_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let mut config = Config::default();
        assert!(matches!(config.check_token(), Err(ConfigError::NoToken)));
        config.client_token_file = Some(at("token"));
        assert!(matches!(config.check_token(), Err(ConfigError::Token(_))));
        std::fs::write(at("token"), "CLIENT\n").unwrap();
        config.check_token().unwrap();
        config.ca_file = Some(at("ca"));
        assert!(matches!(config.check_token(), Err(ConfigError::CaFile(..))));
        std::fs::write(at("ca"), "no certificate").unwrap();
        assert!(config.check_token().is_err());
    }
}
