//! The Connector API, as far as it is configured.
//!
//! Every command reads the same configuration, so its section is known and checked here; the client
//! that uses it comes with the enricher.

use std::{net::IpAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

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
}

impl Default for Config {
    fn default() -> Self {
        Self {
            platform_address: "https://api.mews.com".to_owned(),
            client: concat!("mews-bridge ", env!("CARGO_PKG_VERSION")).to_owned(),
            client_token_file: None,
            allow_plain_http: false,
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
    /// Nothing to say who asks.
    #[error("client_token_file is not set")]
    NoToken,
    /// It cannot be read.
    #[error("client_token_file {path}", path = .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
}

impl Config {
    /// Whether the address can be used.
    ///
    /// # Errors
    /// [`ConfigError::Address`] and [`ConfigError::PlainHttp`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = || ConfigError::Address(self.platform_address.clone());
        let address: hyper::Uri = self.platform_address.parse().map_err(|_| wrong())?;
        let host = address.host().ok_or_else(wrong)?;
        if !matches!(address.path(), "" | "/") || address.query().is_some() {
            return Err(wrong());
        }
        match address.scheme_str() {
            Some("https") => Ok(()),
            Some("http") if self.allow_plain_http || is_loopback(host) => Ok(()),
            Some("http") => Err(ConfigError::PlainHttp(self.platform_address.clone())),
            _ => Err(wrong()),
        }
    }

    /// Whether there is a client token to read.
    ///
    /// # Errors
    /// [`ConfigError::NoToken`] and [`ConfigError::Unreadable`].
    pub fn check_token(&self) -> Result<(), ConfigError> {
        let file = self.client_token_file.as_ref().ok_or(ConfigError::NoToken)?;
        std::fs::read(file).map(drop).map_err(|error| ConfigError::Unreadable(file.clone(), error))
    }
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
        for wrong in ["api.mews.com", "ftp://x", "https://api.mews.com/api", ""] {
            assert!(matches!(checked(wrong, true), Err(ConfigError::Address(_))), "{wrong}");
        }
    }
}
