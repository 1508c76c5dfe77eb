//! Chance with a seed: the same seed draws the same things.

use fastrand::Rng;
use uuid::Uuid;

/// An id as Mews has them.
pub fn id(chance: &mut Rng) -> Uuid {
    uuid::Builder::from_random_bytes(chance.u128(..).to_be_bytes()).into_uuid()
}

/// One of several; they must not be none.
pub fn pick<T: Copy>(several: &[T], chance: &mut Rng) -> T {
    several[chance.usize(..several.len())]
}

/// True in this share of all cases: 0.0 never, 1.0 always.
pub fn happens(share: f64, chance: &mut Rng) -> bool {
    share > 0.0 && chance.f64() < share
}

/// The chance of what never changes about a thing: drawn from its id, again and again the same.
pub fn of(id: Uuid) -> Rng {
    let (high, low) = id.as_u64_pair();
    Rng::with_seed(high ^ low)
}

/// A further id that belongs to this one, such as a reservation's group.
pub fn related(id: Uuid, what: u64) -> Uuid {
    let (high, low) = id.as_u64_pair();
    self::id(&mut Rng::with_seed(high ^ low.rotate_left(17) ^ what.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}
