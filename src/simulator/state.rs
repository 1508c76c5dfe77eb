//! The whole world of the simulator under one lock: short turns, never across an await.
//!
//! The server, the clock of changes and the postman hold it together. What they find in it they act on
//! outside of it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Mutex, MutexGuard},
};

use fastrand::Rng;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::{
    chance,
    config::Config,
    entity::old_form,
    history::History,
    integration::{Action, Integrations, Scope},
    kind::{Happening, Kind},
    knobs::Knobs,
    meter::Meter,
    outbox::{Due, Outbox, Parcel},
    population::{Change, Population, Size},
    told::{Message, Told},
    utc::Utc,
    webhook::{self, Event},
};

/// Everything that there is.
#[derive(Debug)]
pub struct State {
    pub knobs: Knobs,
    pub population: Population,
    pub integrations: Integrations,
    pub history: History,
    pub outbox: Outbox,
    pub told: Told,
    /// By access token, from its first request on.
    pub meters: HashMap<String, Meter>,
    pub client_token: String,
    /// What users make happen is drawn from here, so that the history stays what the seed made it.
    pub hand: Rng,
    /// What knobs leave to chance.
    pub weather: Rng,
    /// The placeholder enterprises of portfolios, by chain (contract 3.7).
    placeholders: HashMap<u32, Uuid>,
}

impl State {
    /// The world at its start.
    pub fn new(config: &Config, now: Utc) -> Self {
        let mut seed = Rng::with_seed(config.seed);
        let (mut begins, history, hand, weather) = (seed.fork(), seed.fork(), seed.fork(), seed.fork());
        let portfolio_hotels = config.portfolio_hotels.min(config.hotels);
        let size = Size { hotels: config.hotels, portfolio_hotels, reservations: config.reservations };
        let population = Population::new(size, &mut begins, now);
        let mut state = Self {
            knobs: Knobs::default(),
            population,
            integrations: Integrations::default(),
            history: History::new(history),
            outbox: Outbox::default(),
            told: Told::default(),
            meters: HashMap::new(),
            client_token: format!("CLIENT-{}", chance::id(&mut begins).simple().to_string().to_uppercase()),
            hand,
            weather,
            placeholders: HashMap::new(),
        };
        state.set_knobs(config.knobs.clone());
        let alone = config.hotels - portfolio_hotels;
        let scopes = (0..alone).map(Scope::Hotel);
        let second = (0..config.second_integrations.min(alone)).map(Scope::Hotel);
        let portfolio = (portfolio_hotels > 0).then_some(Scope::Chain(alone));
        for scope in scopes.chain(second).chain(portfolio) {
            let at = state.connect(scope, &mut begins);
            if config.announce {
                state.announce(at, Action::Create, now);
            }
        }
        state
    }

    /// A new integration; its place.
    pub fn connect(&mut self, scope: Scope, chance: &mut Rng) -> usize {
        let hotels = match scope {
            Scope::Hotel(hotel) => vec![hotel],
            Scope::Chain(chain) => {
                self.placeholders.entry(chain).or_insert_with(|| chance::id(chance));
                self.population.chain(chain).to_vec()
            }
        };
        self.integrations.add(scope, &hotels, chance)
    }

    /// The enterprise of an integration: for a portfolio its placeholder (contract 3.7).
    pub fn enterprise(&self, scope: Scope) -> (Uuid, String) {
        match scope {
            Scope::Hotel(hotel) => {
                let hotel = self.population.hotel(hotel);
                (hotel.id, hotel.name.clone())
            }
            Scope::Chain(chain) => {
                let id = self.placeholders.get(&chain).copied().unwrap_or_default();
                (id, format!("Chain {}", chain + 1))
            }
        }
    }

    /// Tells of something in an integration's life, if Mews tells of it.
    pub fn announce(&mut self, at: usize, action: Action, now: Utc) {
        if self.knobs.webhooks.is_none() {
            return;
        }
        let integration = self.integrations.at(at);
        let (enterprise, name) = self.enterprise(integration.scope);
        if let Some(body) = webhook::integration(action, integration, (enterprise, &name), now) {
            self.outbox.add_integration(at, body);
        }
    }

    /// Puts what changed into the outbox, for every integration that sees the hotel: a customer's change
    /// reaches all hotels of the chain (contract 4.5). A portfolio's integration is told by the property it
    /// happened at: what Mews writes there is not documented (contract 9 #5). A disabled one is still told
    /// of, an ended one is not.
    pub fn tell(&mut self, changes: &[Change], now: Utc) {
        if self.knobs.webhooks.is_none() {
            return;
        }
        for change in changes {
            let one = [change.hotel];
            let hotels = match change.kind {
                Kind::Customer => self.population.chain(self.population.hotel(change.hotel).chain),
                _ => &one,
            };
            let happening = match change.happening {
                Happening::Deleted if !self.knobs.deletion_events => Happening::Updated,
                happening => happening,
            };
            for hotel in hotels {
                for at in self.integrations.of_hotel(*hotel) {
                    if self.integrations.at(*at).has_ended {
                        continue;
                    }
                    let delay = self.knobs.delay.mul_f64(1.0 + self.weather.f64() / 2.0);
                    for discriminator in change.kind.discriminators(happening) {
                        let event = Event { discriminator, kind: change.kind, id: change.id };
                        self.told.waits((*at, *hotel), event);
                        self.outbox.add((*at, *hotel), event, delay, now);
                    }
                }
            }
        }
    }

    /// The messages that set out now.
    pub fn set_out(&mut self, due: Due) -> Vec<Message> {
        let parcels = self.outbox.take(due, self.knobs.events_per_message);
        parcels.into_iter().map(|parcel| self.message(parcel)).collect()
    }

    fn message(&mut self, parcel: Parcel) -> Message {
        let number = self.told.sets_out();
        match parcel {
            Parcel::Integration(_, body) => Message { number, body, events: None },
            Parcel::Events((at, hotel), events) => {
                let (enterprise, integration) =
                    (self.population.hotel(hotel).id, self.integrations.at(at).id);
                let body = if chance::happens(self.knobs.old_form, &mut self.weather) {
                    let entities = self.entities(hotel, &events);
                    webhook::general_with_entities(enterprise, integration, &events, &entities)
                } else {
                    webhook::general(enterprise, integration, &events)
                };
                Message { number, body, events: Some(((at, hotel), events)) }
            }
        }
    }

    /// The latest state of what the events are about, as the old form has it: each entity once.
    fn entities(&self, hotel: u32, events: &[Event]) -> BTreeMap<&'static str, Vec<Value>> {
        let mut entities: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut seen = HashSet::new();
        for event in events.iter().filter(|event| seen.insert(event.id)) {
            let entity = self.population.find(event.kind, event.id);
            let old = entity.and_then(|entity| old_form::of(entity, self.population.hotel(hotel)));
            if let Some((list, record)) = old {
                entities.entry(list).or_default().push(record);
            }
        }
        entities
    }

    /// Turns the knobs, and what follows them.
    pub fn set_knobs(&mut self, knobs: Knobs) {
        self.population.read_lag = knobs.read_lag;
        if knobs.webhooks.is_none() {
            // Nobody is there to be told.
            for message in self.set_out(Due::All) {
                self.told.ended(&message, 0, false);
            }
        }
        self.knobs = knobs;
    }

    /// Something in the life of an integration, or of an enterprise where the action is about that. The
    /// place of the integration it is about, if any.
    ///
    /// # Errors
    /// When there is no such integration or enterprise.
    pub fn act(&mut self, id: Uuid, action: Action) -> Result<Option<usize>, &'static str> {
        let place = self.population.place(id);
        let mut hand = self.hand.clone();
        let at = match (action, place) {
            (Action::Create, Some(hotel)) => Some(self.connect(Scope::Hotel(hotel), &mut hand)),
            (Action::DisableEnterprise | Action::EnableEnterprise, Some(hotel)) => {
                let hotel = &mut self.population.hotels[hotel as usize];
                hotel.is_enabled = action == Action::EnableEnterprise;
                None
            }
            (Action::Create | Action::DisableEnterprise | Action::EnableEnterprise, None) => {
                return Err("this action wants the EnterpriseId of a hotel in the path");
            }
            (action, _) => {
                let at = self.integrations.of_id(id).ok_or("there is no integration of this id")?;
                self.integrations.act(at, action, &mut hand);
                Some(at)
            }
        };
        self.hand = hand;
        Ok(at)
    }

    /// The meter of an access token.
    pub fn meter(&mut self, access_token: &str, integration: Uuid) -> &mut Meter {
        self.meters.entry(access_token.to_owned()).or_insert_with(|| Meter::new(integration))
    }
}

/// The state, and how its holders wake each other.
#[derive(Debug)]
pub struct Shared {
    state: Mutex<State>,
    /// Something is due earlier than the postman thinks.
    pub bell: Notify,
    /// Counts up whenever a message has ended.
    pub ended: watch::Sender<u64>,
}

impl Shared {
    pub fn new(state: State) -> Self {
        Self { state: Mutex::new(state), bell: Notify::new(), ended: watch::Sender::new(0) }
    }

    /// The state, for a short turn.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics in a turn")
    }
}
