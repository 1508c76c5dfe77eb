//! Which access token a request was made with, without the token.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::secret::Secret;

/// Tells access tokens apart. Budgets and the breaker are kept by it, so that they hold no secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of one access token.
    #[must_use]
    pub fn of(access_token: &Secret) -> Self {
        Self(Sha256::digest(access_token.expose()).into())
    }
}

/// Says nothing: a short token could be guessed from its digest.
impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<fingerprint>")
    }
}
