//! All hotels and their entities: how they come to be, change and go. No HTTP, no clock.
//!
//! Every change is answered with what webhooks would tell of it; who is told, when and how is
//! others' affair. One seed makes one population, whatever the clock says.

use std::{collections::HashMap, time::Duration};

use fastrand::Rng;
use uuid::Uuid;

use super::{
    birth,
    chance::{self, pick},
    entity::{Detail, Entity, enterprise::Enterprise, service::Service},
    hotel::Hotel,
    kind::{Happening, Kind},
    store::{Row, Store},
    utc::Utc,
};

/// Something that happened to an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub kind: Kind,
    pub id: Uuid,
    /// The place of its hotel.
    pub hotel: u32,
    pub happening: Happening,
}

/// How much there is at the start.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub hotels: u32,
    /// The last so many hotels are one chain, all under one token (contract 3.7).
    pub portfolio_hotels: u32,
    /// Reservations of a hotel; the other kinds are in proportion.
    pub reservations: u32,
}

/// Hotels and entities.
#[derive(Debug)]
pub struct Population {
    pub hotels: Vec<Hotel>,
    stores: [Store; Kind::ALL.len()],
    chains: HashMap<u32, Vec<u32>>,
    places: HashMap<Uuid, u32>,
    /// How long a change cannot be read yet (contract 6 #12).
    pub read_lag: Duration,
}

/// How far back the population begins.
const AGE_DAYS: i64 = 30;

impl Population {
    /// Hotels out of one chance.
    pub fn new(size: Size, chance: &mut Rng, now: Utc) -> Self {
        let mut population = Self {
            hotels: Vec::new(),
            stores: Default::default(),
            chains: HashMap::new(),
            places: HashMap::new(),
            read_lag: Duration::ZERO,
        };
        let alone = size.hotels.saturating_sub(size.portfolio_hotels);
        let mut chain_id = Uuid::nil();
        for place in 0..size.hotels {
            let chain = place.min(alone);
            if chain == place {
                chain_id = chance::id(chance);
            }
            population.open(Hotel::new(place, chain, chain_id, now.plus_days(-AGE_DAYS), chance));
            for (kind, count) in birth::first(size.reservations) {
                for _ in 0..count {
                    population.begin(kind, place, chance, now);
                }
            }
        }
        population
    }

    fn open(&mut self, hotel: Hotel) {
        let place = u32::try_from(self.hotels.len()).expect("fewer hotels than that");
        self.chains.entry(hotel.chain).or_default().push(place);
        self.places.insert(hotel.id, place);
        let fixed = [
            (hotel.id, Detail::Enterprise(Enterprise { is_portfolio: false })),
            (hotel.stay, Detail::Service(Service::Bookable)),
            (hotel.extras, Detail::Service(Service::Additional)),
        ];
        for (id, detail) in fixed {
            let entity = Entity::new(id, place, hotel.linked, detail);
            self.stores[entity.kind().index()].add(place, entity);
        }
        self.hotels.push(hotel);
    }

    /// An entity of the time before the start: each a second younger than the one before, and some
    /// steps into its life, so that every state is there.
    fn begin(&mut self, kind: Kind, hotel: u32, chance: &mut Rng, now: Utc) {
        let seconds = i64::try_from(self.stores[kind.index()].len()).unwrap_or(i64::MAX);
        let created = now.plus_days(-AGE_DAYS).plus_ms(seconds.saturating_mul(1000)).min(now);
        let Some(mut entity) = birth::of(self, kind, hotel, chance, created, now) else { return };
        for _ in 0..chance.u32(..4) {
            entity.live(chance, created);
        }
        let owner = self.owner(kind, hotel);
        self.stores[kind.index()].add(owner, entity);
    }

    /// Creates an entity. None for kinds that only the start creates.
    pub fn create(&mut self, kind: Kind, hotel: u32, chance: &mut Rng, now: Utc) -> Option<Change> {
        let entity = birth::of(self, kind, hotel, chance, now, now)?;
        Some(self.add(entity, now))
    }

    /// Adds a new entity, and a message to its thread, which then is newer too.
    pub fn add(&mut self, entity: Entity, now: Utc) -> Change {
        let (kind, id, hotel, parent) = (entity.kind(), entity.id, entity.hotel, entity.parent);
        let (owner, lag) = (self.owner(kind, hotel), self.read_lag);
        let store = &mut self.stores[kind.index()];
        let row = store.add(owner, entity);
        if !lag.is_zero() {
            store.hide(row, None, now.plus(lag), now);
        }
        if let (Kind::Message, Some(thread)) = (kind, parent) {
            // Whether Mews does so is not documented (contract 9 #7); the sweep of 4.3 needs it.
            self.change(Kind::MessageThread, thread, now, |thread| thread.touch(now));
        }
        Change { kind, id, hotel, happening: Happening::Added }
    }

    /// Something about an entity changes as it does in a hotel. None when it is not there or does not change.
    pub fn live(&mut self, kind: Kind, id: Uuid, chance: &mut Rng, now: Utc) -> Option<Change> {
        let (hotel, lived) = self.change(kind, id, now, |entity| entity.live(chance, now))?;
        lived.then_some(Change { kind, id, hotel, happening: Happening::Updated })
    }

    /// It is deleted as its kind is; a resource or product says so by a discriminator of its own.
    pub fn delete(&mut self, kind: Kind, id: Uuid, now: Utc) -> Option<Change> {
        let (hotel, deleted) = self.change(kind, id, now, |entity| entity.delete(now))?;
        deleted.then_some(Change { kind, id, hotel, happening: Happening::Deleted })
    }

    /// The API returns it no more, or again.
    pub fn vanish(&mut self, kind: Kind, id: Uuid, has_vanished: bool, now: Utc) -> Option<Change> {
        let (hotel, ()) = self.change(kind, id, now, |entity| {
            entity.has_vanished = has_vanished;
            entity.touch(now);
        })?;
        Some(Change { kind, id, hotel, happening: Happening::Updated })
    }

    /// One customer's profile is merged into another's of the same chain (contract 4.5).
    pub fn merge(&mut self, id: Uuid, into: Uuid, now: Utc) -> Option<[Change; 2]> {
        let (from, to) = (self.find(Kind::Customer, id)?, self.find(Kind::Customer, into)?);
        let same_chain = self.owner(Kind::Customer, from.hotel) == self.owner(Kind::Customer, to.hotel);
        if id == into || !same_chain {
            return None;
        }
        let merged = self.change(Kind::Customer, id, now, |entity| {
            if let Detail::Customer(customer) = &mut entity.detail {
                customer.merge_target = Some(into);
            }
            entity.deleted = Some(now);
            entity.touch(now);
        })?;
        let kept = self.change(Kind::Customer, into, now, |entity| entity.touch(now))?;
        let change = |id, hotel| Change { kind: Kind::Customer, id, hotel, happening: Happening::Updated };
        Some([change(id, merged.0), change(into, kept.0)])
    }

    fn change<T>(
        &mut self,
        kind: Kind,
        id: Uuid,
        now: Utc,
        change: impl FnOnce(&mut Entity) -> T,
    ) -> Option<(u32, T)> {
        let (lag, store) = (self.read_lag, &mut self.stores[kind.index()]);
        let row = store.row(id)?;
        if !lag.is_zero() {
            let before = store.newest(row).clone();
            store.hide(row, Some(before), now.plus(lag), now);
        }
        let entity = store.newest_mut(row);
        Some((entity.hotel, change(entity)))
    }

    /// The newest state of an entity.
    pub fn find(&self, kind: Kind, id: Uuid) -> Option<&Entity> {
        let store = self.store(kind);
        store.row(id).map(|row| store.newest(row))
    }

    pub const fn store(&self, kind: Kind) -> &Store {
        &self.stores[kind.index()]
    }

    /// What the entities of this kind belong to at this hotel: a customer belongs to the chain.
    pub fn owner(&self, kind: Kind, hotel: u32) -> u32 {
        if kind == Kind::Customer { self.hotel(hotel).chain } else { hotel }
    }

    pub fn hotel(&self, place: u32) -> &Hotel {
        &self.hotels[place as usize]
    }

    /// The place of an enterprise.
    pub fn place(&self, enterprise: Uuid) -> Option<u32> {
        self.places.get(&enterprise).copied()
    }

    /// The hotels of a chain, by their places.
    pub fn chain(&self, chain: u32) -> &[u32] {
        self.chains.get(&chain).map_or(&[], Vec::as_slice)
    }

    /// Any entity of this kind at the hotel, new or old.
    pub fn any(&self, kind: Kind, hotel: u32, chance: &mut Rng) -> Option<Uuid> {
        let store = self.store(kind);
        let rows: &[Row] = store.of(self.owner(kind, hotel));
        (!rows.is_empty()).then(|| store.newest(pick(rows, chance)).id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Utc {
        Utc::parse(text).unwrap()
    }

    fn population() -> (Population, Rng, Utc) {
        let mut chance = Rng::with_seed(1);
        let now = utc("2026-11-01T12:00:00Z");
        let size = Size { hotels: 4, portfolio_hotels: 2, reservations: 40 };
        (Population::new(size, &mut chance, now), chance, now)
    }

    #[test]
    fn one_seed_is_one_population() {
        let records = |seed| {
            let size = Size { hotels: 3, portfolio_hotels: 2, reservations: 20 };
            let population = Population::new(size, &mut Rng::with_seed(seed), utc("2026-11-01T12:00:00Z"));
            let mut records = Vec::new();
            for kind in Kind::ALL {
                for hotel in 0..3 {
                    let rows = population.store(kind).of(population.owner(kind, hotel)).iter();
                    let record =
                        |row: &Row| population.store(kind).newest(*row).record(population.hotel(hotel));
                    records.extend(rows.map(record));
                }
            }
            records
        };
        assert_eq!(records(7), records(7));
        assert_ne!(records(7), records(8));
    }

    #[test]
    fn hotels_of_a_portfolio_share_their_chain_and_its_customers() {
        let (population, ..) = population();
        assert_eq!(population.chain(population.hotel(3).chain), [2, 3]);
        assert_eq!(population.chain(population.hotel(0).chain), [0]);
        assert_eq!(population.owner(Kind::Customer, 2), population.owner(Kind::Customer, 3));
    }

    #[test]
    fn the_time_of_an_update_never_goes_back() {
        let (mut population, mut chance, now) = population();
        let id = population.any(Kind::Reservation, 0, &mut chance).unwrap();
        population.live(Kind::Reservation, id, &mut chance, now.plus_days(1)).unwrap();
        population.live(Kind::Reservation, id, &mut chance, now).unwrap();
        assert_eq!(population.find(Kind::Reservation, id).unwrap().updated, now.plus_days(1));
    }

    #[test]
    fn what_lags_is_read_as_it_was() {
        let (mut population, mut chance, now) = population();
        population.read_lag = Duration::from_secs(3);
        let id = population.any(Kind::Resource, 0, &mut chance).unwrap();
        let before = population.find(Kind::Resource, id).unwrap().clone();
        population.live(Kind::Resource, id, &mut chance, now).unwrap();
        population.live(Kind::Resource, id, &mut chance, now.plus_ms(1000)).unwrap();
        let born = population.create(Kind::Resource, 0, &mut chance, now).unwrap().id;
        let store = population.store(Kind::Resource);
        let seen = |id, ms| store.visible(store.row(id).unwrap(), now.plus_ms(ms)).cloned();
        assert_eq!(seen(id, 3999), Some(before));
        assert_eq!(seen(id, 4000).as_ref(), population.find(Kind::Resource, id));
        assert_eq!((seen(born, 2999), seen(born, 3000).is_some()), (None, true));
    }

    #[test]
    fn profiles_are_merged_within_their_chain_only() {
        let (mut population, mut chance, now) = population();
        let at = |population: &Population, hotel, n: usize| {
            let store = population.store(Kind::Customer);
            store.newest(store.of(population.owner(Kind::Customer, hotel))[n]).id
        };
        let (one, two, other) = (at(&population, 2, 0), at(&population, 3, 1), at(&population, 0, 0));
        assert!(population.merge(one, other, now).is_none() && population.merge(one, one, now).is_none());
        assert_eq!(population.merge(one, two, now).unwrap().map(|change| change.id), [one, two]);
        let merged = population.find(Kind::Customer, one).unwrap();
        assert!(!merged.is_active() && merged.merged_into() == Some(two));
        assert!(population.any(Kind::Customer, 0, &mut chance).is_some());
    }
}
