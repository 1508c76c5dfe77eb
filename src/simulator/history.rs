//! What happens in the hotels by itself: one seed, one history; only the pace is the clock's.

use fastrand::Rng;

use super::{
    kind::Kind,
    population::{Change, Population},
    utc::Utc,
};

/// Draws what happens next.
#[derive(Debug)]
pub struct History {
    chance: Rng,
}

/// How often which kind is touched, of [`WEIGHTS_SUM`], and how many of those times something new comes.
const WEIGHTS: [(Kind, u32, u32); 9] = [
    (Kind::Reservation, 40, 10),
    (Kind::Resource, 18, 1),
    (Kind::Customer, 14, 5),
    (Kind::Payment, 12, 5),
    (Kind::ResourceBlock, 4, 2),
    (Kind::Message, 5, 5),
    (Kind::MessageThread, 1, 1),
    (Kind::Product, 4, 1),
    (Kind::ProductServiceOrder, 2, 1),
];
const WEIGHTS_SUM: u32 = 100;

/// A change in so many deletes something or merges two profiles.
const ENDINGS: u32 = 60;

/// Nothing more of a kind comes to a hotel by itself when so many are there: a simulator that runs for
/// weeks stays as large as it is.
const BIRTHS_MAX: usize = 1000;

impl History {
    pub fn new(chance: Rng) -> Self {
        Self { chance }
    }

    /// What happens next, anywhere. It may be several things, or one that nobody is told of.
    pub fn step(&mut self, population: &mut Population, now: Utc) -> Vec<Change> {
        let hotels = u32::try_from(population.hotels.len()).unwrap_or(u32::MAX);
        if hotels == 0 {
            return Vec::new();
        }
        let hotel = self.chance.u32(..hotels);
        self.step_at(population, hotel, now)
    }

    /// What happens next at one hotel.
    pub fn step_at(&mut self, population: &mut Population, hotel: u32, now: Utc) -> Vec<Change> {
        let chance = &mut self.chance;
        let mut drawn = chance.u32(..WEIGHTS_SUM);
        for (kind, weight, births) in WEIGHTS {
            if drawn >= weight {
                drawn -= weight;
                continue;
            }
            let count = population.store(kind).of(population.owner(kind, hotel)).len();
            if count == 0 || (drawn < births && count < BIRTHS_MAX) {
                return population.create(kind, hotel, chance, now).into_iter().collect();
            }
            let Some(id) = population.any(kind, hotel, chance) else { return Vec::new() };
            // What is deleted is not heard of again (contract 1.4).
            if population.find(kind, id).is_none_or(|entity| !entity.is_active() || entity.has_vanished) {
                return Vec::new();
            }
            if count > 1 && chance.u32(..ENDINGS) == 0 {
                if let (Kind::Customer, Some(into)) = (kind, population.any(kind, hotel, chance)) {
                    return population.merge(id, into, now).into_iter().flatten().collect();
                }
                return population.delete(kind, id, now).into_iter().collect();
            }
            return population.live(kind, id, chance, now).into_iter().collect();
        }
        unreachable!("the weights add up to {WEIGHTS_SUM}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::population::Size;

    #[test]
    fn the_weights_add_up() {
        assert_eq!(WEIGHTS.iter().map(|(_, weight, _)| weight).sum::<u32>(), WEIGHTS_SUM);
    }

    #[test]
    fn one_seed_is_one_history_whatever_the_clock_says() {
        let history = |seed, now: &str| {
            let mut chance = Rng::with_seed(seed);
            let now = Utc::parse(now).unwrap();
            let size = Size { hotels: 3, portfolio_hotels: 2, reservations: 20 };
            let mut population = Population::new(size, &mut chance, now);
            let mut history = History::new(chance);
            (0..2000).flat_map(|n| history.step(&mut population, now.plus_ms(n * 7))).collect::<Vec<_>>()
        };
        let (one, same) = (history(7, "2026-11-01T12:00:00Z"), history(7, "2027-02-03T04:05:06Z"));
        assert_eq!(one, same);
        assert_ne!(one, history(8, "2026-11-01T12:00:00Z"));
        for (kind, ..) in WEIGHTS {
            let is_told = !kind.discriminators(crate::simulator::kind::Happening::Updated).is_empty();
            assert!(!is_told || one.iter().any(|change| change.kind == kind), "{kind:?} changes");
        }
    }
}
