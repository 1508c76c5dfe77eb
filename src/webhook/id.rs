//! Ids as Mews writes them, brought to one spelling.

use std::borrow::Cow;

use uuid::Uuid;

/// Longest id that is taken as one. Mews's are UUIDs of 36 characters.
pub const LENGTH_MAX: usize = 256;

/// The one spelling of an id: a UUID in lower case with hyphens, anything else as it came.
///
/// Two spellings of one hotel would be two keys, and so two partitions.
#[must_use]
pub fn normal(id: &str) -> Cow<'_, str> {
    if is_normal_uuid(id) {
        return Cow::Borrowed(id);
    }
    match Uuid::try_parse(id) {
        Ok(uuid) => Cow::Owned(uuid.to_string()),
        Err(_) => Cow::Borrowed(id),
    }
}

/// Whether it is a UUID in the one spelling already, as nearly all are.
pub(super) fn is_normal_uuid(id: &str) -> bool {
    let Ok(id) = <&[u8; 36]>::try_from(id.as_bytes()) else { return false };
    // Without a way out in the middle, so that the compiler looks at many bytes in one step.
    let are_digits = |from: usize, to: usize| {
        id[from..to].iter().fold(true, |all, byte| all & matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let has_hyphens = [8, 13, 18, 23].iter().all(|at| id[*at] == b'-');
    has_hyphens
        && are_digits(0, 8)
        && are_digits(9, 13)
        && are_digits(14, 18)
        && are_digits(19, 23)
        && are_digits(24, 36)
}

/// Whether a string can serve as an id: not empty, not endless, nothing that a terminal would obey.
#[must_use]
pub fn usable(id: &str) -> bool {
    is_normal_uuid(id) || (!id.is_empty() && id.len() <= LENGTH_MAX && !id.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_and_plain_can_serve_as_an_id() {
        for id in ["851df8c8-90f2-4c4a-8e01-a4fc46b25178", "Hotel 7", "ü", &"ü".repeat(18)] {
            assert!(usable(id), "{id}");
        }
        let long = "x".repeat(LENGTH_MAX + 1);
        for id in ["", "851df8c8-90f2-4c4a-8e01-a4fc46b2517\n", "a\u{1b}[1m", &long] {
            assert!(!usable(id), "{id:?}");
        }
    }

    #[test]
    fn every_spelling_of_a_uuid_is_one_key() {
        for spelling in [
            "851df8c8-90f2-4c4a-8e01-a4fc46b25178",
            "851DF8C8-90F2-4C4A-8E01-A4FC46B25178",
            "851df8c890f24c4a8e01a4fc46b25178",
            "{851df8c8-90f2-4c4a-8e01-a4fc46b25178}",
        ] {
            assert_eq!(normal(spelling), "851df8c8-90f2-4c4a-8e01-a4fc46b25178");
        }
        for at in 0..36 {
            let mut odd = "851df8c8-90f2-4c4a-8e01-a4fc46b25178".to_owned();
            odd.replace_range(at..=at, "G");
            assert!(!is_normal_uuid(&odd), "{odd}");
            assert_eq!(normal(&odd), odd, "no UUID, so it stays as it is");
        }
        assert_eq!(normal("Hotel-7"), "Hotel-7");
    }
}
