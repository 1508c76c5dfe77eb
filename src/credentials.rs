//! Secrets that travel through the bridge: how they are sealed, and what is known of each integration.
//!
//! Guarantees: a secret of a webhook is sealed before it is first written anywhere, can be opened
//! only with a key file, and opening gives back the exact literal. The ingress seals with it, the
//! relay publishes `mews.credentials` with it, the operator's commands open with it, the enricher asks
//! the store which access token to use.

pub mod file;
pub mod record;
pub mod seal;
pub mod store;
pub mod unseal;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::reload::Files;
pub use store::{Changes, Integration, State, Store};

/// `[credentials]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// JSON array of `{IntegrationId, EnterpriseId?, AccessToken, Alias?}`. None: only what
    /// Integration webhooks bring.
    pub file: Option<PathBuf>,
    /// Files of 32 bytes each, in hex or base64: the first seals, all open. None: the ingress
    /// starts only with `discard_secrets`.
    pub sealing_key_files: Vec<PathBuf>,
    /// Forget the secrets of webhooks instead of sealing them.
    pub discard_secrets: bool,
}

/// What is wrong with `[credentials]`.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Secrets of webhooks would have to be written as they are.
    #[error(
        "sealing_key_files is empty: give a file with 32 random bytes in hex (openssl rand -hex 32), or set discard_secrets = true to forget the secrets of webhooks"
    )]
    NoSealingKey,
    /// A key file is none.
    #[error(transparent)]
    Key(#[from] seal::KeyError),
    /// The file of access tokens cannot be used.
    #[error(transparent)]
    File(#[from] file::FileError),
    /// The enricher would know no access token.
    #[error("neither file nor sealing_key_files is set, so no access token can be known")]
    NoSource,
}

impl Config {
    /// How secrets are to be concealed.
    ///
    /// # Errors
    /// When there is neither a key nor leave to discard, or a key file is none.
    pub fn sealer(&self) -> Result<seal::Sealer, ConfigError> {
        match (self.sealing_key_files.is_empty(), self.discard_secrets) {
            (false, _) => Ok(seal::Sealer::Seal(seal::KeyRing::load(&self.sealing_key_files)?)),
            (true, true) => Ok(seal::Sealer::Discard),
            (true, false) => Err(ConfigError::NoSealingKey),
        }
    }

    /// Whether the ingress can conceal secrets.
    ///
    /// # Errors
    /// As [`Self::sealer`].
    pub fn check_sealing(&self) -> Result<(), ConfigError> {
        self.sealer().map(drop)
    }

    /// Whether the enricher can know access tokens.
    ///
    /// # Errors
    /// When it has no source of them, or one cannot be read or is wrong.
    pub fn check_source(&self) -> Result<(), ConfigError> {
        let (files, contents) = Files::read(self.file.iter().cloned().collect());
        for (path, contents) in files.paths().iter().zip(contents) {
            file::entries(path, contents)?;
        }
        match (&self.file, self.sealing_key_files.is_empty()) {
            (None, true) => Err(ConfigError::NoSource),
            (_, true) => Ok(()),
            (_, false) => Ok(seal::KeyRing::load(&self.sealing_key_files).map(drop)?),
        }
    }
}
