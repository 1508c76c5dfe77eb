//! Hotels, their integrations, and what changes in them.

use uuid::Uuid;

/// One hotel and its connection to the client.
#[derive(Clone, Debug)]
pub struct Hotel {
    /// `EnterpriseId`
    pub enterprise_id: Uuid,
    /// `IntegrationId`
    pub integration_id: Uuid,
    /// An invented name.
    pub name: String,
    /// Reservations that keep changing.
    pub reservations: Vec<Uuid>,
    /// Rooms.
    pub resources: Vec<Uuid>,
    /// Guests.
    pub customers: Vec<Uuid>,
}

/// Something that happened to an entity of a hotel; the names are Mews's discriminators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub discriminator: &'static str,
    /// To which entity.
    pub entity_id: Uuid,
}

/// All hotels, and the chance that moves them.
#[derive(Debug)]
pub struct Population {
    hotels: Vec<Hotel>,
    chance: fastrand::Rng,
}

const NAMES: [&str; 8] = [
    "Hotel Lindenhof",
    "Harbour House",
    "Casa Azul",
    "Pension Alpenblick",
    "The Copper Kettle",
    "Villa Mirabel",
    "Nordlys Hotell",
    "Hostel Kompas",
];

impl Population {
    /// Hotels out of one seed.
    #[must_use]
    pub fn new(hotels: usize, seed: u64) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed);
        let hotels = (0..hotels).map(|n| Hotel::new(n, &mut chance)).collect();
        Self { hotels, chance }
    }

    /// The hotels in their order.
    #[must_use]
    pub fn hotels(&self) -> &[Hotel] {
        &self.hotels
    }

    /// What happens next: one hotel and its changes, which Mews would send in one message.
    pub fn step(&mut self) -> (Hotel, Vec<Change>) {
        let Self { hotels, chance } = self;
        let at = chance.usize(..hotels.len());
        let hotel = &mut hotels[at];
        let mut changes = Vec::new();
        for _ in 0..chance.usize(1..=6) {
            hotel.change(chance, &mut changes);
        }
        (hotel.clone(), changes)
    }

    /// One of `n` equally likely cases.
    pub fn one_in(&mut self, n: u32) -> bool {
        self.chance.u32(..n) == 0
    }
}

impl Hotel {
    fn new(n: usize, chance: &mut fastrand::Rng) -> Self {
        let name = NAMES[n % NAMES.len()];
        let several = |count: usize, chance: &mut fastrand::Rng| (0..count).map(|_| id(chance)).collect();
        Self {
            enterprise_id: id(chance),
            integration_id: id(chance),
            name: if n < NAMES.len() { name.to_owned() } else { format!("{name} {}", n / NAMES.len() + 1) },
            reservations: several(40, chance),
            resources: several(12, chance),
            customers: several(30, chance),
        }
    }

    fn change(&mut self, chance: &mut fastrand::Rng, changes: &mut Vec<Change>) {
        let mut push = |discriminator, entity_id| changes.push(Change { discriminator, entity_id });
        match chance.u32(..20) {
            0..9 => push("ServiceOrderUpdated", pick(&self.reservations, chance)),
            9..12 => push("ResourceUpdated", pick(&self.resources, chance)),
            12..14 => push("CustomerUpdated", pick(&self.customers, chance)),
            14 => {
                // A new customer is told of twice, in one message (reference: "Added / Updated").
                let customer = id(chance);
                self.customers.push(customer);
                push("CustomerAdded", customer);
                push("CustomerUpdated", customer);
            }
            15..17 => push("PaymentUpdated", id(chance)),
            17 => push("ResourceBlockUpdated", id(chance)),
            18 => push("MessageAdded", id(chance)),
            _ => push("ProductUpdated", id(chance)),
        }
    }
}

fn pick(ids: &[Uuid], chance: &mut fastrand::Rng) -> Uuid {
    ids[chance.usize(..ids.len())]
}

fn id(chance: &mut fastrand::Rng) -> Uuid {
    uuid::Builder::from_random_bytes(chance.u128(..).to_be_bytes()).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_is_one_history() {
        let history = |seed| {
            let mut population = Population::new(5, seed);
            (0..50).map(|_| population.step().1).collect::<Vec<_>>()
        };
        assert_eq!(history(7), history(7));
        assert_ne!(history(7), history(8));
    }
}
