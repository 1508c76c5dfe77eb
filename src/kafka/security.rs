//! `[kafka.security]`: what a client proves itself with, from files.
//!
//! Guarantees: a secret comes from a file, or as a value for development; it is read when a client
//! is made and at no other time, so that making a client anew takes up a rotated file. Which
//! protocol and which mechanism are used stays with `security.protocol` and `sasl.mechanism` among
//! the properties. [`super::settings`] calls it.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, Serializer};

use super::{properties::HIDDEN, settings::ConfigError};
use crate::secret::Secret;

/// `[kafka.security]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// User of SASL PLAIN and SCRAM. None: no user, or the one among the properties.
    pub sasl_username: Option<String>,
    /// Password of that user, for development. None: `sasl_password_file`, or none.
    #[serde(serialize_with = "hidden", skip_serializing_if = "Option::is_none")]
    pub sasl_password: Option<Secret>,
    /// File with that password, white space at its ends trimmed. None: no password from a file.
    pub sasl_password_file: Option<PathBuf>,
    /// PEM file of the certificates that sign the brokers'. None: those of the operating system.
    pub ssl_ca_file: Option<PathBuf>,
    /// PEM file of this client's certificate and its chain. None: no client certificate.
    pub ssl_certificate_file: Option<PathBuf>,
    /// PEM file of its private key. None: none, or it stands in the certificate's file.
    pub ssl_key_file: Option<PathBuf>,
    /// Passphrase of that key, for development. None: `ssl_key_password_file`, or the key has none.
    #[serde(serialize_with = "hidden", skip_serializing_if = "Option::is_none")]
    pub ssl_key_password: Option<Secret>,
    /// File with that passphrase, white space at its ends trimmed. None: no passphrase from a file.
    pub ssl_key_password_file: Option<PathBuf>,
}

impl Config {
    /// The properties that stand for these settings, secrets read from their files.
    ///
    /// # Errors
    /// When a file cannot be read, or a secret is given both ways.
    pub(super) fn properties(&self) -> Result<Vec<(&'static str, String)>, ConfigError> {
        // librdkafka would only say that it failed, and only when it is started.
        let readable = |file: &Option<PathBuf>| match file {
            Some(path) => File::open(path)
                .map(|_| Some(path.display().to_string()))
                .map_err(|source| ConfigError::File { path: path.clone(), source }),
            None => Ok(None),
        };
        let given = |secret: Option<Secret>| secret.map(|secret| secret.expose().to_owned());
        let password = secret(
            "kafka.security.sasl_password",
            self.sasl_password.as_ref(),
            self.sasl_password_file.as_deref(),
        )?;
        let passphrase = secret(
            "kafka.security.ssl_key_password",
            self.ssl_key_password.as_ref(),
            self.ssl_key_password_file.as_deref(),
        )?;
        let properties = [
            ("sasl.username", self.sasl_username.clone()),
            ("sasl.password", given(password)),
            ("ssl.ca.location", readable(&self.ssl_ca_file)?),
            ("ssl.certificate.location", readable(&self.ssl_certificate_file)?),
            ("ssl.key.location", readable(&self.ssl_key_file)?),
            ("ssl.key.password", given(passphrase)),
        ];
        Ok(properties.into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
    }

    /// Files whose change asks for a new client.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        [
            &self.sasl_password_file,
            &self.ssl_ca_file,
            &self.ssl_certificate_file,
            &self.ssl_key_file,
            &self.ssl_key_password_file,
        ]
        .into_iter()
        .filter_map(Option::as_deref)
    }
}

/// A secret that is given as a value or as a file.
///
/// # Errors
/// When it is given both ways, or its file cannot be read.
pub(super) fn secret(
    name: &'static str,
    value: Option<&Secret>,
    file: Option<&Path>,
) -> Result<Option<Secret>, ConfigError> {
    match (value, file) {
        (Some(_), Some(_)) => Err(ConfigError::SecretTwice(name)),
        (Some(value), None) => Ok(Some(value.clone())),
        (None, Some(file)) => std::fs::read_to_string(file)
            .map(zeroize::Zeroizing::new)
            .map(|text| Some(Secret::new(text.trim_start_matches('\u{feff}').trim().to_owned())))
            .map_err(|source| ConfigError::File { path: file.to_owned(), source }),
        (None, None) => Ok(None),
    }
}

/// Serialises a secret as what may be shown of it.
pub(super) fn hidden<S: Serializer>(_: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(HIDDEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let missing = |config: &Config| match config.properties().unwrap_err() {
            ConfigError::File { path, .. } => path,
            other => panic!("{other}"),
        };
        let path = PathBuf::from("/nonexistent/file");
        let (ca, key) = (Some(path.clone()), Some(path.clone()));
        assert_eq!(missing(&Config { ssl_ca_file: ca, ..Config::default() }), path);
        assert_eq!(missing(&Config { ssl_key_file: key.clone(), ..Config::default() }), path);
        assert_eq!(missing(&Config { ssl_certificate_file: key.clone(), ..Config::default() }), path);
        assert_eq!(missing(&Config { sasl_password_file: key, ..Config::default() }), path);
    }

    #[test]
    fn a_secret_is_read_from_its_file_each_time_and_trimmed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        let config = Config { sasl_password_file: Some(file.clone()), ..Config::default() };
        for password in ["first", "second"] {
            std::fs::write(&file, format!("\u{feff}{password}\n")).unwrap();
            assert_eq!(config.properties().unwrap(), [("sasl.password", password.to_owned())]);
        }
        std::fs::remove_file(&file).unwrap();
        let error = config.properties().unwrap_err();
        assert!(error.to_string().contains("password"), "{error}");
    }

    #[test]
    fn a_secret_given_both_ways_is_refused_and_never_shown() {
        let config = Config {
            ssl_key_password: Some(Secret::new("canary".into())),
            ssl_key_password_file: Some("file".into()),
            ..Config::default()
        };
        let error = config.properties().unwrap_err();
        assert_eq!(error.to_string(), "kafka.security.ssl_key_password is given as a value and as a file");
        let shown = format!("{config:?} {}", serde_json::to_string(&config).unwrap());
        assert!(!shown.contains("canary"), "{shown}");
    }
}
