//! Points in time as Mews writes and reads them (contract 3.5).
//!
//! Everything in the simulator that needs the time is given it; only the shell asks the clock.

use std::time::{Duration, SystemTime};

/// Milliseconds since 1970, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Utc(i64);

/// How many digits a record's times have: Mews's samples have both (contract 3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// `2026-05-01T13:00:00Z`
    Seconds,
    /// `2026-05-01T13:00:00.123Z`
    Milliseconds,
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const YEAR_9000_MS: i64 = 221_845_392_000_000;

impl Utc {
    /// What the clock says.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).expect("the clock is before the year 292 million"))
    }

    /// Reads ISO 8601 with `Z` and 0 to 9 digits of a second, from 1970 to the year 9000: no arithmetic
    /// leaves the four digits of a year from there.
    pub fn parse(text: &str) -> Option<Self> {
        let since = humantime::parse_rfc3339(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_millis()).ok().filter(|ms| *ms < YEAR_9000_MS).map(Self)
    }

    /// ISO 8601.
    pub fn text(self, precision: Precision) -> String {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(self.0.max(0).unsigned_abs());
        match precision {
            Precision::Seconds => humantime::format_rfc3339_seconds(at).to_string(),
            Precision::Milliseconds => humantime::format_rfc3339_millis(at).to_string(),
        }
    }

    /// As a record with this precision shows it: what is compared with what a client saw.
    pub fn shown(self, precision: Precision) -> Self {
        match precision {
            Precision::Seconds => Self(self.0 - self.0.rem_euclid(1000)),
            Precision::Milliseconds => self,
        }
    }

    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    pub const fn plus_days(self, days: i64) -> Self {
        self.plus_ms(days * DAY_MS)
    }

    /// The beginning of its day.
    pub const fn midnight(self) -> Self {
        Self(self.0 - self.0.rem_euclid(DAY_MS))
    }

    /// The same day and time so many months later; the last day where the month is shorter.
    pub fn plus_months(self, months: u32) -> Self {
        let text = self.text(Precision::Milliseconds);
        let number = |range: std::ops::Range<usize>| text[range].parse::<u32>().expect("digits of a date");
        let (year, month, day) = (number(0..4), number(5..7), number(8..10));
        let total = year * 12 + (month - 1) + months;
        let (year, month) = (total / 12, total % 12 + 1);
        (1..=day)
            .rev()
            .find_map(|day| Self::parse(&format!("{year:04}-{month:02}-{day:02}{}", &text[10..])))
            .expect("every month has a first day")
    }

    /// How long from then until now; nothing when that is still to come.
    pub fn since(self, then: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - then.0).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Utc {
        Utc::parse(text).unwrap()
    }

    #[test]
    fn both_forms_are_read_and_written() {
        let at = utc("2026-05-01T13:00:00.123Z");
        assert_eq!(at.text(Precision::Seconds), "2026-05-01T13:00:00Z");
        assert_eq!(at.text(Precision::Milliseconds), "2026-05-01T13:00:00.123Z");
        assert_eq!(at.shown(Precision::Seconds), utc("2026-05-01T13:00:00Z"));
        assert_eq!(Utc::parse("2026-05-01"), None);
        assert_eq!(utc("8999-12-31T23:59:59.999Z").plus_ms(1).0, YEAR_9000_MS);
        assert_eq!(Utc::parse("9000-01-01T00:00:00Z"), None);
        assert_eq!(Utc::parse("1969-12-31T00:00:00Z"), None);
        assert_eq!(Utc::parse("2026-05-01T13:00:00+02:00"), None);
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        assert_eq!(utc("2026-11-30T10:00:00Z").plus_months(3), utc("2027-02-28T10:00:00Z"));
        assert_eq!(utc("2026-01-15T10:00:00.5Z").plus_months(1), utc("2026-02-15T10:00:00.5Z"));
        assert_eq!(utc("2026-09-15T10:00:00Z").plus_months(3), utc("2026-12-15T10:00:00Z"));
    }
}
