//! Sizes in configuration: `"8MiB"`, `"512KiB"`, or a plain number of bytes. For `#[serde(with = "crate::size")]`.

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

/// Writes the largest binary unit that divides the size, so that nothing is rounded.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(size: &ByteSize, serializer: S) -> Result<S::Ok, S::Error> {
    let units = [("GiB", bytesize::GIB), ("MiB", bytesize::MIB), ("KiB", bytesize::KIB), ("B", 1)];
    let bytes = size.as_u64();
    let (name, unit) =
        units.into_iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit)).unwrap_or(("B", 1));
    serializer.collect_str(&format_args!("{}{name}", bytes / unit))
}

/// Reads a size with its unit, or a number of bytes.
///
/// # Errors
/// When it is no size.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a size such as \"8MiB\"")]
    enum Spelled {
        Bytes(u64),
        Text(String),
    }
    match Spelled::deserialize(deserializer)? {
        Spelled::Bytes(bytes) => Ok(ByteSize(bytes)),
        Spelled::Text(text) => text.parse().map_err(|_| {
            D::Error::custom(format_args!("{text:?} is no size such as \"8MiB\" or \"512KiB\""))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Sized(#[serde(with = "super")] ByteSize);
    use serde::Serialize;

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes in prop_oneof![any::<u64>().prop_map(|b| b >> 1), (0u64..64).prop_map(|n| n << 30)]) {
            let text = serde_json::to_string(&Sized(ByteSize(bytes))).unwrap();
            prop_assert_eq!(serde_json::from_str::<Sized>(&text).unwrap(), Sized(ByteSize(bytes)));
        }
    }

    #[test]
    fn units_are_binary_where_they_say_so() {
        let read = |text: &str| serde_json::from_str::<Sized>(text).map(|size| size.0.as_u64()).ok();
        assert_eq!(read("\"8MiB\""), Some(8 << 20));
        assert_eq!(read("\"8 MiB\""), Some(8 << 20));
        assert_eq!(read("4096"), Some(4096));
        assert_eq!(read("\"lots\""), None);
    }
}
