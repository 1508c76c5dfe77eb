//! When a message can have been written that an event spoke of: `[start, end)`, in whole seconds.
//!
//! Events come minutes after what they tell of, and hours after when they are sent again (contract 1.5), so
//! that a search reaches back from when they were accepted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Round;
use crate::connector::{
    Interval,
    request::{INTERVAL_MAX, MESSAGES_INTERVAL_MAX},
};

/// How far the first round reaches back (contract 4.3).
const OVERLAP: Duration = Duration::from_secs(60 * 60);
/// How far the second one does: a month but a day, so that one request of messages spans it.
const OVERLAP_AGAIN: Duration = Duration::from_secs(27 * 24 * 60 * 60);
/// Mews's clock may be ahead (contract 4.3).
const AHEAD: Duration = Duration::from_secs(60);

/// The span of events accepted at these times. It is never longer than Mews allows for threads: nothing
/// waits that long here.
pub fn of(said_at: impl Iterator<Item = SystemTime>, round: Round, now: SystemTime) -> Interval {
    let overlap = match round {
        Round::First => OVERLAP,
        Round::Again => OVERLAP_AGAIN,
    };
    let end = whole(now + AHEAD) + Duration::from_secs(1);
    let oldest = said_at.fold(now, SystemTime::min);
    let start = oldest.checked_sub(overlap).map_or(UNIX_EPOCH, whole);
    Interval { start: start.max(end - INTERVAL_MAX), end }
}

/// In pieces that Mews allows for messages, the newest first.
pub fn pieces(span: Interval) -> impl Iterator<Item = Interval> {
    let mut end = span.end;
    std::iter::from_fn(move || {
        (end > span.start).then(|| {
            let piece = Interval { start: span.start.max(end - MESSAGES_INTERVAL_MAX), end };
            end = piece.start;
            piece
        })
    })
}

fn whole(time: SystemTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_800_000_000_300)
    }

    #[test]
    fn a_round_reaches_back_from_the_oldest_event() {
        let said_at = || [now() - Duration::from_secs(5), now() - DAY].into_iter();
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let first = of(said_at(), Round::First, now());
        assert_eq!(first, Interval { start: at(1_799_910_000), end: at(1_800_000_061) });
        let again = of(said_at(), Round::Again, now());
        assert_eq!(again, Interval { start: at(1_797_580_800), end: first.end });
        let later = std::iter::once(now() + DAY);
        assert_eq!(of(later, Round::First, now()), Interval { start: at(1_799_996_400), end: first.end });
    }

    #[test]
    fn an_event_of_this_day_costs_one_request_even_in_the_second_round() {
        let span = of(std::iter::once(now() - DAY / 2), Round::Again, now());
        assert_eq!(pieces(span).collect::<Vec<_>>(), [span]);
    }

    proptest! {
        #[test]
        fn pieces_are_the_span_without_gaps_and_none_is_too_long(age_days in 0u32..400, again: bool) {
            let round = if again { Round::Again } else { Round::First };
            let span = of(std::iter::once(now() - DAY * age_days), round, now());
            prop_assert!(span.length() <= INTERVAL_MAX && span.start < span.end);
            let mut end = span.end;
            for piece in pieces(span) {
                prop_assert!(piece.end == end && piece.start < end);
                prop_assert!(piece.length() <= MESSAGES_INTERVAL_MAX);
                end = piece.start;
            }
            prop_assert_eq!(end, span.start);
        }
    }
}
