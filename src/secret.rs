//! A string that must not be shown: webhook tokens, client tokens, passwords.

use std::fmt;

use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// A secret. It has no `Display`, its `Debug` says nothing, and its memory is wiped when it goes.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a string that must not be shown from here on.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(Zeroizing::new(secret))
    }

    /// The secret itself, for the one place that has to send or compare it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it equals what somebody sent, in a time that tells at most the length.
    #[must_use]
    pub fn matches(&self, sent: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(sent).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<hidden>")
    }
}

/// Numbers and booleans are taken as they are spelled: an environment variable has no types.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a string")]
        enum Spelled {
            Text(String),
            Number(i64),
            Flag(bool),
        }
        Ok(Self::new(match Spelled::deserialize(deserializer)? {
            Spelled::Text(text) => text,
            Spelled::Number(number) => number.to_string(),
            Spelled::Flag(flag) => flag.to_string(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_it() {
        let secret = Secret::new("canary".to_owned());
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "<hidden> Some(<hidden>)");
    }

    #[test]
    fn only_the_same_bytes_match() {
        let secret = Secret::new("right".to_owned());
        assert!(secret.matches(b"right"));
        assert!(!secret.matches(b"wrong") && !secret.matches(b"righ") && !secret.matches(b""));
    }
}
