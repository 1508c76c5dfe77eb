//! The demo's last words.

use std::fmt::Write as _;

use super::{comparison::Comparison, figures::Figures};
use crate::simulator::Totals;

/// What is known beside the figures.
pub struct Summary {
    /// How many hotels there were.
    pub hotels: u16,
    /// What became of their webhooks.
    pub totals: Totals,
    /// The entity topics against the simulator's truth.
    pub comparison: Option<Comparison>,
}

impl Summary {
    /// A few sentences.
    pub fn text(&self, figures: &Figures) -> String {
        let Totals { taken, abandoned, events_taken, .. } = self.totals;
        let Figures { delivered, pending, enriched, calls, throttled, prefix, .. } = figures;
        let hotels = match self.hotels {
            1 => "The hotel".to_owned(),
            hotels => format!("The {hotels} hotels"),
        };
        let saved = figures.saved();
        let mut text = format!(
            "\n{hotels} sent {taken} webhooks with {events_taken} events, and gave {abandoned} webhooks up.\n\
             The journal delivered {delivered} webhooks to Kafka and holds {pending}.\n\
             {enriched} events took {calls} API calls, of which Mews throttled {throttled}; coalescing saved {saved}.\n",
        );
        let Some(Comparison { told, exact, withheld }) = self.comparison else { return text };
        let _ = writeln!(
            text,
            "Of {told} entities that were told of, {exact} are on their topics exactly as the hotels have them."
        );
        if withheld > 0 {
            let _ = writeln!(
                text,
                "The API returns {withheld} to other clients only (messages): see {prefix}.dead-letters."
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_compares_only_when_there_is_something_exact_to_say() {
        let totals = Totals { taken: 40, abandoned: 1, events_taken: 100, attempts: 43 };
        let figures = Figures {
            prefix: "mews".to_owned(),
            delivered: 40,
            enriched: 100,
            calls: 31,
            ..Figures::default()
        };
        let mut summary = Summary { hotels: 12, totals, comparison: None };
        let first = "\nThe 12 hotels sent 40 webhooks with 100 events, and gave 1 webhooks up.\n\
                     The journal delivered 40 webhooks to Kafka and holds 0.\n\
                     100 events took 31 API calls, of which Mews throttled 0; coalescing saved 69.\n";
        assert_eq!(summary.text(&figures), first);
        summary.comparison = Some(Comparison { told: 80, exact: 80, withheld: 0 });
        let second =
            "Of 80 entities that were told of, 80 are on their topics exactly as the hotels have them.\n";
        assert_eq!(summary.text(&figures), format!("{first}{second}"));
        summary.comparison = Some(Comparison { told: 80, exact: 78, withheld: 2 });
        let third = "The API returns 2 to other clients only (messages): see mews.dead-letters.\n";
        assert!(summary.text(&figures).ends_with(third));
    }
}
