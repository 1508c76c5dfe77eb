//! The demo's last words.

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
        let Figures { delivered, pending, enriched, calls, throttled, .. } = figures;
        let mut text = format!(
            "\n\
             {} hotels sent {taken} webhooks that were answered 2xx, with {events_taken} events, and gave {abandoned} up.\n\
             The journal delivered {delivered} to Kafka and holds {pending}.\n\
             {enriched} events took {calls} API calls, {throttled} of them throttled; coalescing saved {}.\n",
            self.hotels,
            figures.saved(),
        );
        if let Some(Comparison { told, exact, withheld }) = self.comparison {
            text += &format!(
                "Of {told} entities that were told of, {exact} are on their topics exactly as they are now at the hotels;\n\
                 {withheld} the API does not return to this client (messages in other clients' threads), see {}.dead-letters.\n",
                figures.prefix,
            );
        }
        text
    }
}
