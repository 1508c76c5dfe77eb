//! How a simulator begins.

use super::knobs::Knobs;

/// What there is at the start. The same seed and sizes make the same hotels, tokens and history.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// One seed, one history.
    pub seed: u64,
    /// Hotels, each a chain of its own, with one integration.
    pub hotels: u32,
    /// The last so many hotels are one chain instead, under one Portfolio Access Token.
    pub portfolio_hotels: u32,
    /// The first so many hotels have a second integration.
    pub second_integrations: u32,
    /// Reservations of a hotel at the start; all else is in proportion.
    pub reservations: u32,
    /// Begin with `IntegrationCreated` of every integration.
    pub announce: bool,
    /// Where the knobs are at the start.
    pub knobs: Knobs,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 1,
            hotels: 3,
            portfolio_hotels: 0,
            second_integrations: 0,
            reservations: 40,
            announce: false,
            knobs: Knobs::default(),
        }
    }
}
