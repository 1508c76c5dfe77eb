//! Secrets that travel through the bridge: how they are sealed, and what is known of each integration.
//!
//! Guarantees: a secret of a webhook is sealed before it is first written anywhere, can be opened
//! only with a key file, and opening gives back the exact literal. The ingress seals with it, the
//! relay publishes `mews.credentials` with it, the operator's commands open with it.

pub mod seal;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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
