//! A hotel: what its entities need to know of it.

use fastrand::Rng;
use uuid::Uuid;

use super::{chance, invented, utc::Utc};

/// One hotel, of a chain.
#[derive(Clone, Debug)]
pub struct Hotel {
    /// `EnterpriseId`
    pub id: Uuid,
    /// The chain's place; several hotels may have one.
    pub chain: u32,
    /// `ChainId`
    pub chain_id: Uuid,
    pub name: String,
    /// The bookable service: reservations are of it.
    pub stay: Uuid,
    /// The additional service: orders that are no reservations are of it (contract 1.3).
    pub extras: Uuid,
    pub currency: &'static str,
    pub time_zone: &'static str,
    pub legal_environment: &'static str,
    pub language: &'static str,
    /// Since when it is connected.
    pub linked: Utc,
    /// Whether Mews has switched the whole enterprise off: 401 for all its tokens (contract 3.3).
    pub is_enabled: bool,
    /// Numbers given so far, to reservations, customers and rooms.
    pub numbers: u32,
}

impl Hotel {
    /// The hotel of this place in the population.
    pub fn new(place: u32, chain: u32, chain_id: Uuid, linked: Utc, chance: &mut Rng) -> Self {
        let at = place as usize;
        let name = invented::HOTELS[at % invented::HOTELS.len()];
        let round = at / invented::HOTELS.len();
        let (currency, time_zone, legal_environment, language) =
            invented::PLACES[at % invented::PLACES.len()];
        Self {
            id: chance::id(chance),
            chain,
            chain_id,
            name: if round == 0 { name.to_owned() } else { format!("{name} {}", round + 1) },
            stay: chance::id(chance),
            extras: chance::id(chance),
            currency,
            time_zone,
            legal_environment,
            language,
            linked,
            is_enabled: true,
            numbers: 0,
        }
    }

    /// The next number of this hotel.
    pub const fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }
}
