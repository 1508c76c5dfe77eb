//! Durations in configuration: `"500ms"`, `"5s"`, `"10m"`. For `#[serde(with = "crate::duration")]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

/// Writes the human form.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

/// Reads the human form.
///
/// # Errors
/// When it is no duration; a number without its unit is none.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a duration with its unit, such as \"500ms\", \"5s\" or \"10m\"")]
    enum Spelled {
        Text(String),
    }
    let Spelled::Text(text) = Spelled::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|error| {
        D::Error::custom(format_args!(
            "{text:?} is no duration such as \"500ms\", \"5s\" or \"10m\": {error}"
        ))
    })
}
