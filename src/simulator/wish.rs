//! What a user makes happen in the hotels, besides what happens by itself: `POST /simulator/changes`.

use serde::Deserialize;
use uuid::Uuid;

use super::{
    birth,
    entity::{Detail, Entity},
    kind::Kind,
    population::{Change, Population},
    state::State,
    utc::Utc,
};

/// A wish.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wish {
    /// Where: its place, or its EnterpriseId. Without it: the first hotel, or any for changes that just happen.
    pub hotel: Option<HotelName>,
    /// What. Without it: whatever happens next in the history.
    pub kind: Option<Kind>,
    /// Which one.
    pub id: Option<Uuid>,
    /// Or which ones. Without ids: the newest of the hotel.
    pub ids: Vec<Uuid>,
    /// What happens. Without it: an update of what has an id, else a creation.
    pub action: Option<Deed>,
    /// How many; for those that have ids: how often.
    pub count: u32,
    /// The profile that a customer is merged into; the thread that a new message is in.
    pub into: Option<Uuid>,
    /// Whether a new thread or message is of this client, which sees no others.
    pub own: Option<bool>,
    /// Nobody is told.
    pub silent: bool,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            hotel: None,
            kind: None,
            id: None,
            ids: Vec::new(),
            action: None,
            count: 1,
            into: None,
            own: None,
            silent: false,
        }
    }
}

/// A hotel as users name it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a hotel's place or EnterpriseId")]
pub enum HotelName {
    Place(u32),
    Id(Uuid),
}

/// What can be wished for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    Create,
    Update,
    /// As its kind is deleted: a state, or no longer active.
    Delete,
    /// The API returns it no more.
    Vanish,
    /// The API returns it again.
    Return,
    /// A customer into another.
    Merge,
    /// Nothing happens by itself any more.
    Freeze,
    /// Things happen by themselves again.
    Thaw,
}

/// Changes of one wish.
pub const COUNT_MAX: u32 = 1_000_000;

impl HotelName {
    /// The hotel's place, if there is one.
    pub fn place(self, population: &Population) -> Option<u32> {
        match self {
            Self::Place(place) => ((place as usize) < population.hotels.len()).then_some(place),
            Self::Id(id) => population.place(id),
        }
    }
}

/// Makes it happen, and tells of it.
///
/// # Errors
/// Why it cannot happen, in words for the user; what happened before that stays.
pub fn grant(state: &mut State, wish: &Wish, now: Utc) -> Result<Vec<Change>, String> {
    if wish.count > COUNT_MAX {
        return Err(format!("count is {COUNT_MAX} at most"));
    }
    let hotel = match wish.hotel {
        None => None,
        Some(name) => Some(name.place(&state.population).ok_or("there is no such hotel")?),
    };
    let changes = match (wish.action, wish.kind) {
        (Some(deed @ (Deed::Freeze | Deed::Thaw)), _) => {
            state.knobs.frozen = deed == Deed::Freeze;
            Vec::new()
        }
        (None, None) => happen(state, hotel, wish.count, now),
        (Some(_), None) => return Err("kind is missing".to_owned()),
        (deed, Some(kind)) => act(state, wish, deed, kind, hotel.unwrap_or(0), now)?,
    };
    if !wish.silent {
        state.tell(&changes, now);
    }
    Ok(changes)
}

/// The history goes on by so many steps that change something.
fn happen(state: &mut State, hotel: Option<u32>, count: u32, now: Utc) -> Vec<Change> {
    let State { history, population, .. } = state;
    let mut changes = Vec::new();
    // A step now and then changes nothing; that so many in a row do cannot be.
    for _ in 0..count.saturating_mul(100) {
        if changes.len() >= count as usize {
            break;
        }
        changes.extend(match hotel {
            Some(hotel) => history.step_at(population, hotel, now),
            None => history.step(population, now),
        });
    }
    changes
}

fn act(
    state: &mut State,
    wish: &Wish,
    deed: Option<Deed>,
    kind: Kind,
    hotel: u32,
    now: Utc,
) -> Result<Vec<Change>, String> {
    let mut ids: Vec<Uuid> = wish.id.iter().chain(&wish.ids).copied().collect();
    let deed = deed.unwrap_or(if ids.is_empty() { Deed::Create } else { Deed::Update });
    if deed == Deed::Create {
        return (0..wish.count).map(|_| create(state, wish, kind, hotel, now)).collect();
    }
    let mut times = 1;
    if ids.is_empty() {
        let store = state.population.store(kind);
        let rows = store.of(state.population.owner(kind, hotel)).iter().rev().take(wish.count as usize);
        ids = rows.map(|row| store.newest(*row).id).collect();
    } else {
        times = wish.count;
    }
    let mut changes = Vec::new();
    for _ in 0..times {
        for id in &ids {
            let State { population, hand, .. } = state;
            let change: Vec<Change> = match deed {
                Deed::Update => population.live(kind, *id, hand, now).into_iter().collect(),
                Deed::Delete => population.delete(kind, *id, now).into_iter().collect(),
                Deed::Vanish => population.vanish(kind, *id, true, now).into_iter().collect(),
                Deed::Return => population.vanish(kind, *id, false, now).into_iter().collect(),
                Deed::Merge => {
                    let into = wish.into.ok_or("into is missing")?;
                    population.merge(*id, into, now).into_iter().flatten().collect()
                }
                Deed::Create | Deed::Freeze | Deed::Thaw => Vec::new(),
            };
            if change.is_empty() {
                return Err(format!("this cannot happen to {} {id}, or there is none", kind.word()));
            }
            changes.extend(change);
        }
    }
    Ok(changes)
}

fn create(state: &mut State, wish: &Wish, kind: Kind, hotel: u32, now: Utc) -> Result<Change, String> {
    let State { population, hand, .. } = state;
    let cannot = || format!("{} cannot be created, or what they need is missing", kind.word());
    let mut entity = birth::of(population, kind, hotel, hand, now, now).ok_or_else(cannot)?;
    match &mut entity.detail {
        Detail::MessageThread(thread) => thread.is_own = wish.own.unwrap_or(thread.is_own),
        Detail::Message(message) if wish.into.is_some() || wish.own.is_some() => {
            let suits = |thread: &Entity| {
                wish.into.is_none_or(|id| id == thread.id)
                    && wish.own.is_none_or(|own| own == thread.is_visible())
            };
            let store = population.store(Kind::MessageThread);
            let mut threads = store.of(hotel).iter().rev().map(|row| store.newest(*row));
            let thread = threads.find(|thread| suits(thread)).ok_or("there is no such thread")?;
            message.is_own = thread.is_visible();
            entity.parent = Some(thread.id);
        }
        _ => {}
    }
    Ok(population.add(entity, now))
}
