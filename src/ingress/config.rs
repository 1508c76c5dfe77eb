//! `[ingress]`: every key with its meaning, its unit and its default.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use bytesize::ByteSize;
use serde::{Deserialize, Serialize, Serializer};

use crate::secret::Secret;

/// `[ingress]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port for webhooks. Default `0.0.0.0:8080`; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Webhook tokens by alias; all are valid at once. For development: in production use
    /// `token_files`. Default: none.
    #[serde(serialize_with = "hidden")]
    pub tokens: BTreeMap<String, Secret>,
    /// Files with one webhook token each, by alias; white space around it is trimmed, and a change works
    /// within 10 s. Default: none.
    pub token_files: BTreeMap<String, PathBuf>,
    /// Take webhooks from anybody. Default `false`: without a token the ingress does not start.
    pub allow_unauthenticated: bool,
    /// Largest body. Default 8 MiB; a larger one is answered 413.
    #[serde(with = "crate::size")]
    pub max_body_bytes: ByteSize,
    /// Bytes of bodies in memory over all requests; more are told to come again. Default 256 MiB. A body
    /// takes up to three times its size while it is judged and appended.
    #[serde(with = "crate::size")]
    pub max_in_flight_bytes: ByteSize,
    /// From the first byte of a request, or the opening of its connection, to the end of its head.
    /// Default 5 s: Mews itself gives up after 5.
    #[serde(with = "crate::duration")]
    pub head_timeout: Duration,
    /// From the end of the head to the end of the body. Default 5 s.
    #[serde(with = "crate::duration")]
    pub body_timeout: Duration,
    /// How long a connection may stay open between two requests. Default 75 s: longer than the 60 s of
    /// common load balancers, so that it is they who close.
    #[serde(with = "crate::duration")]
    pub idle_timeout: Duration,
    /// Connections that are served at once. Default 4096. At the limit the longest idle one is closed for
    /// a new one; when none is idle the new one waits.
    pub max_connections: usize,
    /// Requests without a right token that one address (of IPv6: one /64) may make in a minute before it
    /// is answered 429 instead of 401. Default 120. A right token always passes.
    pub failed_tokens_per_minute: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)),
            tokens: BTreeMap::new(),
            token_files: BTreeMap::new(),
            allow_unauthenticated: false,
            max_body_bytes: ByteSize::mib(8),
            max_in_flight_bytes: ByteSize::mib(256),
            head_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(75),
            max_connections: 4096,
            failed_tokens_per_minute: 120,
        }
    }
}

/// Why `[ingress]` cannot work.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Nobody could deliver.
    #[error("ingress.tokens and ingress.token_files are empty: set one, or ingress.allow_unauthenticated")]
    NoToken,
    /// A token that everybody knows.
    #[error("ingress.tokens.{0} is empty")]
    EmptyToken(String),
    /// One alias for two tokens: the metric of its use would speak of both.
    #[error("{0} is in ingress.tokens and in ingress.token_files")]
    AliasTwice(String),
    /// A limit that lets nothing through.
    #[error("ingress.{0} must be more than 0")]
    Zero(&'static str),
    /// Not even one of the largest bodies would fit.
    #[error("ingress.max_in_flight_bytes must be at least ingress.max_body_bytes")]
    BodyOverBudget,
}

impl Config {
    /// Checks what a type cannot say.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.tokens.is_empty() && self.token_files.is_empty() && !self.allow_unauthenticated {
            return Err(ConfigError::NoToken);
        }
        if let Some((alias, _)) = self.tokens.iter().find(|(_, token)| token.expose().is_empty()) {
            return Err(ConfigError::EmptyToken(alias.clone()));
        }
        if let Some(alias) = self.tokens.keys().find(|alias| self.token_files.contains_key(*alias)) {
            return Err(ConfigError::AliasTwice(alias.clone()));
        }
        let zero = [
            ("max_body_bytes", self.max_body_bytes.as_u64() == 0),
            ("head_timeout", self.head_timeout.is_zero()),
            ("body_timeout", self.body_timeout.is_zero()),
            ("idle_timeout", self.idle_timeout.is_zero()),
            ("max_connections", self.max_connections == 0),
        ];
        if let Some((key, _)) = zero.into_iter().find(|(_, zero)| *zero) {
            return Err(ConfigError::Zero(key));
        }
        if self.max_in_flight_bytes < self.max_body_bytes {
            return Err(ConfigError::BodyOverBudget);
        }
        Ok(())
    }

    /// Every alias, in the order in which [`super::Tokens`] knows them: for the metric of their use.
    pub fn token_aliases(&self) -> impl Iterator<Item = &str> {
        self.tokens.keys().chain(self.token_files.keys()).map(String::as_str)
    }
}

fn hidden<S: Serializer>(tokens: &BTreeMap<String, Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(tokens.keys().map(|alias| (alias, "<hidden>")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |text: &str| read(text).validate().unwrap_err();
        assert_eq!(wrong(""), ConfigError::NoToken);
        assert_eq!(wrong("tokens.a = ''"), ConfigError::EmptyToken("a".into()));
        assert_eq!(wrong("tokens.a = 'x'\ntoken_files.a = '/x'"), ConfigError::AliasTwice("a".into()));
        assert_eq!(wrong("tokens.a = 'x'\nmax_connections = 0"), ConfigError::Zero("max_connections"));
        assert_eq!(wrong("tokens.a = 'x'\nmax_in_flight_bytes = '1MiB'"), ConfigError::BodyOverBudget);
        assert_eq!(read("allow_unauthenticated = true").validate(), Ok(()));
        assert_eq!(read("token_files.a = '/x'").validate(), Ok(()));
    }

    #[test]
    fn a_token_is_not_written_out() {
        let config = read("tokens.main = 'canary'");
        let text = toml::to_string(&config).unwrap();
        assert!(text.contains("main = \"<hidden>\""), "{text}");
        assert!(!format!("{text}{config:?}").contains("canary"));
        assert_eq!(config.token_aliases().collect::<Vec<_>>(), ["main"]);
    }
}
