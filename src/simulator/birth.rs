//! How entities come to be: each kind needs others that are there already.

use fastrand::Rng;

use super::{
    chance,
    entity::{
        Detail, Entity, block::Block, customer::Customer, message::Message, order::Order, payment::Payment,
        product::Product, reservation::Reservation, resource::Resource, thread::Thread,
    },
    kind::Kind,
    population::Population,
    utc::Utc,
};

/// What a hotel has at the start, in an order in which each finds what it needs.
pub fn first(reservations: u32) -> [(Kind, u32); 9] {
    let share = |part: u32| reservations.div_ceil(part);
    [
        (Kind::Resource, share(4)),
        (Kind::Customer, share(2)),
        (Kind::Product, share(8)),
        (Kind::Reservation, reservations),
        (Kind::ProductServiceOrder, share(8)),
        (Kind::Payment, share(2)),
        (Kind::ResourceBlock, share(8)),
        (Kind::MessageThread, share(8)),
        (Kind::Message, share(4)),
    ]
}

/// One thread in three is of another client, which sees it alone (contract 4.3).
const FOREIGN_THREADS: u32 = 3;

/// A new entity of a hotel. None when something it needs is missing, or when it is of a kind that only
/// the start creates.
pub fn of(
    population: &mut Population,
    kind: Kind,
    hotel: u32,
    chance: &mut Rng,
    created: Utc,
    now: Utc,
) -> Option<Entity> {
    let number = population.hotels[hotel as usize].number();
    let population = &*population;
    let (stay, extras) = (population.hotel(hotel).stay, population.hotel(hotel).extras);
    let any = |kind, chance: &mut Rng| population.any(kind, hotel, chance);
    let id = chance::id(chance);
    let plain = |detail| Entity::new(id, hotel, created, detail);
    Some(match kind {
        Kind::Reservation => {
            let customer = any(Kind::Customer, chance)?;
            let room = if chance.u32(..4) > 0 { any(Kind::Resource, chance) } else { None };
            plain(Detail::Reservation(Reservation::new(customer, room, number, chance, now))).of(stay)
        }
        Kind::ProductServiceOrder => {
            let customer = any(Kind::Customer, chance)?;
            let linked = if chance.bool() { any(Kind::Reservation, chance) } else { None };
            plain(Detail::ProductServiceOrder(Order::new(customer, number, linked))).of(extras)
        }
        Kind::Resource => plain(Detail::Resource(Resource::new(number, chance))),
        Kind::ResourceBlock => {
            let room = any(Kind::Resource, chance)?;
            plain(Detail::ResourceBlock(Block::new(room, chance, now)))
        }
        Kind::MessageThread => {
            let is_own = !number.is_multiple_of(FOREIGN_THREADS);
            plain(Detail::MessageThread(Thread { is_own, is_resolved: false }))
        }
        Kind::Message => {
            let thread = any(Kind::MessageThread, chance)?;
            let is_own = population.find(Kind::MessageThread, thread).is_some_and(Entity::is_visible);
            plain(Detail::Message(Message { is_own })).of(thread)
        }
        Kind::Customer => plain(Detail::Customer(Customer { number, merge_target: None })),
        Kind::Payment => {
            let customer = any(Kind::Customer, chance)?;
            let reservation = if chance.bool() { any(Kind::Reservation, chance) } else { None };
            plain(Detail::Payment(Payment::new(customer, reservation, number, chance)))
        }
        Kind::Product => {
            let service = if chance.bool() { stay } else { extras };
            plain(Detail::Product(Product { number })).of(service)
        }
        Kind::Service | Kind::Enterprise => return None,
    })
}
