//! `[journal]`.

use std::path::PathBuf;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// Where the journal is and how large it may become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Directory of the journal. It is made when it is missing, and belongs to one process. Default
    /// `data/journal`.
    pub dir: PathBuf,
    /// Bytes that all segments may take on disk; beyond them appends are refused. At least two segments
    /// and four of the largest bodies. Default `8GiB`.
    #[serde(with = "crate::size")]
    pub max_bytes: ByteSize,
    /// Bytes that are allocated at once, and given back at once when everything in them is delivered.
    /// At least `1MiB`. Default `64MiB`.
    #[serde(with = "crate::size")]
    pub segment_bytes: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("data/journal"),
            max_bytes: ByteSize::gib(8),
            segment_bytes: ByteSize::mib(64),
        }
    }
}

/// Sizes with which a journal could not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Segments would be made all the time.
    #[error("journal.segment_bytes is {0}, and must be 1MiB at least")]
    SegmentTooSmall(ByteSize),
    /// One segment could not be filled while another is delivered.
    #[error("journal.max_bytes is {max}, and must be two segments at least, which is {least}")]
    BelowTwoSegments {
        /// What is configured.
        max: ByteSize,
        /// What would do.
        least: ByteSize,
    },
    /// A few large deliveries would fill it.
    #[error("journal.max_bytes is {max}, and must be four of the largest bodies at least, which is {least}")]
    BelowFourBodies {
        /// What is configured.
        max: ByteSize,
        /// What would do.
        least: ByteSize,
    },
}

impl Config {
    /// Whether a journal of these sizes can work, given the largest body that can be accepted.
    ///
    /// # Errors
    /// Says which size must be larger.
    pub fn validate(&self, body_bytes_max: u64) -> Result<(), ConfigError> {
        let max = self.max_bytes;
        if self.segment_bytes < ByteSize::mib(1) {
            return Err(ConfigError::SegmentTooSmall(self.segment_bytes));
        }
        let two = ByteSize(self.segment_bytes.as_u64().saturating_mul(2));
        if max < two {
            return Err(ConfigError::BelowTwoSegments { max, least: two });
        }
        let four = ByteSize(body_bytes_max.saturating_mul(4));
        if max < four { Err(ConfigError::BelowFourBodies { max, least: four }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_work_and_the_bounds_are_exact() {
        assert_eq!(Config::default().validate(8 << 20), Ok(()));
        let config = |max, segment| Config {
            max_bytes: ByteSize(max),
            segment_bytes: ByteSize(segment),
            ..Config::default()
        };
        assert_eq!(config(2 << 20, 1 << 20).validate(512 << 10), Ok(()));
        assert!(matches!(config(4 << 20, (1 << 20) - 1).validate(0), Err(ConfigError::SegmentTooSmall(_))));
        assert!(matches!(
            config((2 << 20) - 1, 1 << 20).validate(0),
            Err(ConfigError::BelowTwoSegments { .. })
        ));
        assert!(matches!(
            config(2 << 20, 1 << 20).validate((512 << 10) + 1),
            Err(ConfigError::BelowFourBodies { .. })
        ));
    }

    #[test]
    fn unknown_keys_are_errors_and_sizes_are_human() {
        let config: Config = toml::from_str("max_bytes = \"1GiB\"\nsegment_bytes = \"2MiB\"").unwrap();
        assert_eq!((config.max_bytes, config.segment_bytes), (ByteSize::gib(1), ByteSize::mib(2)));
        assert!(toml::from_str::<Config>("max_byte = \"1GiB\"").is_err());
    }
}
