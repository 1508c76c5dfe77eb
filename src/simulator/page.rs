//! Which records a query selects, and the page of them that is answered (contract 3.6).
//!
//! Newest first. The answer's `Cursor` is the id of the oldest record in it, and null only when there is
//! none, so that whoever loops until null asks once more than needed.

use std::{collections::HashSet, fmt::Write as _};

use serde_json::Value;
use uuid::Uuid;

use super::{
    check::{Given, Query},
    entity::{Detail, Entity, product::Shelf},
    integration::Scope,
    kind::Kind,
    population::Population,
    refusal::Refusal,
    rules::{Filter, LooksAt, Rules, Scoping},
    store::Row,
    utc::Utc,
};

/// The hotels that a token and its query cover, by their places.
///
/// # Errors
/// When an id is not in the token's scope, or a portfolio token asks for customers without `ChainIds`
/// (contract 3.7).
pub fn hotels(
    population: &Population,
    rules: &Rules,
    query: &Query,
    scope: Scope,
) -> Result<Vec<u32>, Refusal> {
    let all: Vec<u32> = match scope {
        Scope::Hotel(hotel) => vec![hotel],
        Scope::Chain(chain) => population.chain(chain).to_vec(),
    };
    let id_of = |hotel: &u32| match rules.scope {
        Scoping::Chains => population.hotel(*hotel).chain_id,
        Scoping::Enterprises | Scoping::Enterprise => population.hotel(*hotel).id,
    };
    let name = match rules.scope {
        Scoping::Chains => "ChainIds",
        Scoping::Enterprises => "EnterpriseIds",
        Scoping::Enterprise => "EnterpriseId",
    };
    match (&query.scope, scope, rules.scope) {
        (_, Scope::Hotel(_), Scoping::Chains) | (None, _, Scoping::Enterprises | Scoping::Enterprise) => {
            Ok(all)
        }
        (None, Scope::Chain(_), Scoping::Chains) => {
            Err(Refusal::invalid(name, "it is required with a portfolio token"))
        }
        (Some(ids), ..) => {
            let in_scope: HashSet<Uuid> = all.iter().map(id_of).collect();
            if let Some(id) = ids.iter().find(|id| !in_scope.contains(id)) {
                return Err(Refusal::invalid(name, format!("{id} is not in the scope of this token")));
            }
            Ok(all.into_iter().filter(|hotel| ids.contains(&id_of(hotel))).collect())
        }
    }
}

/// The answer's body, and how many records are in it.
///
/// # Errors
/// When the cursor is none of ours.
pub fn answer(
    population: &Population,
    rules: &Rules,
    kind: Kind,
    query: &Query,
    hotels: &[u32],
    now: Utc,
) -> Result<(String, usize), Refusal> {
    let entities = select(population, kind, query, hotels, now)?;
    let mut body = String::from("{");
    let records = |wanted: &dyn Fn(&Entity) -> bool| {
        let records = entities.iter().filter(|entity| wanted(entity));
        let records = records.map(|entity| entity.record(population.hotel(entity.hotel)));
        format!("[{}]", records.collect::<Vec<_>>().join(","))
    };
    let on_shelf = |shelf: Shelf| {
        move |entity: &Entity| match &entity.detail {
            Detail::Product(product) => matches!(product.shelf(), Shelf::Both) || product.shelf() == shelf,
            _ => shelf == Shelf::Products,
        }
    };
    // Without its extent an answer has a cursor and no data (contract 4.5).
    let main = if query.wants_records { records(&on_shelf(Shelf::Products)) } else { "null".to_owned() };
    let _ = write!(body, r#""{}":{main}"#, rules.array);
    if kind == Kind::Product {
        let _ = write!(body, r#","CustomerProducts":{}"#, records(&on_shelf(Shelf::CustomerProducts)));
    }
    for name in rules.nulls {
        let _ = write!(body, r#","{name}":null"#);
    }
    let cursor = entities.last().map_or("null".to_owned(), |oldest| format!(r#""{}""#, oldest.id));
    let _ = write!(body, r#","Cursor":{cursor}}}"#);
    Ok((body, entities.len()))
}

fn select<'a>(
    population: &'a Population,
    kind: Kind,
    query: &Query,
    hotels: &[u32],
    now: Utc,
) -> Result<Vec<&'a Entity>, Refusal> {
    let store = population.store(kind);
    let before = match query.cursor {
        None => Row::MAX,
        Some(id) => store.row(id).ok_or_else(|| Refusal::invalid("Cursor", "no record has this id"))?,
    };
    let owners: HashSet<u32> = hotels.iter().map(|hotel| population.owner(kind, *hotel)).collect();
    let by_id = query.filters.iter().find_map(|(filter, given)| match given {
        Given::Ids(ids) if filter.looks_at == LooksAt::Id => Some(ids),
        _ => None,
    });
    // Ids that are not there are left out in silence (contract 6 #13).
    let mut rows: Vec<Row> = match by_id {
        Some(ids) => ids.iter().filter_map(|id| store.row(*id)).collect(),
        None => owners.iter().flat_map(|owner| store.of(*owner)).copied().collect(),
    };
    rows.retain(|row| *row < before);
    if by_id.is_some() || owners.len() > 1 {
        rows.sort_unstable();
    }
    let is_wanted = |entity: &&Entity| {
        owners.contains(&population.owner(kind, entity.hotel))
            && entity.is_visible()
            && !entity.has_vanished
            && (if entity.is_active() { query.wants_active } else { query.wants_deleted })
            && is_listed(entity, query)
            && matches(entity, population, query)
    };
    let newest_first = rows.iter().rev().filter_map(|row| store.visible(*row, now));
    Ok(newest_first.filter(is_wanted).take(query.count).collect())
}

/// Default products are left out unless asked for, or when ids are given (contract 4.7).
fn is_listed(entity: &Entity, query: &Query) -> bool {
    match &entity.detail {
        Detail::Product(product) if product.is_default() => {
            query.flag("IncludeDefault").unwrap_or_else(|| query.ids("ProductIds").is_some())
        }
        _ => true,
    }
}

/// Whether all filters let it pass. Its record is only made when a filter looks into it.
fn matches(entity: &Entity, population: &Population, query: &Query) -> bool {
    let mut record = None;
    query.filters.iter().all(|(filter, given)| match filter.looks_at {
        LooksAt::Nothing => true,
        LooksAt::Id => is_in(Some(entity.id), given),
        LooksAt::Parent => is_in(entity.parent, given),
        LooksAt::Created => is_within(Some(entity.created), entity, given),
        LooksAt::Updated => is_within(Some(entity.updated), entity, given),
        LooksAt::Deletion => is_within(entity.deleted, entity, given),
        LooksAt::Member(_) | LooksAt::Span(..) => {
            let record = record.get_or_insert_with(|| {
                let record = entity.record(population.hotel(entity.hotel));
                serde_json::from_str::<Value>(&record).expect("records are JSON")
            });
            matches_record(filter, given, entity, record)
        }
    })
}

fn matches_record(filter: &Filter, given: &Given, entity: &Entity, record: &Value) -> bool {
    let time = |name: &str| record[name].as_str().and_then(Utc::parse);
    let member = match filter.looks_at {
        LooksAt::Member(path) if path.starts_with('/') => record.pointer(path).unwrap_or(&Value::Null),
        LooksAt::Member(name) => &record[name],
        LooksAt::Span(from, to) => {
            let Given::Interval(start, end) = *given else { return false };
            // Both half-open: they share a moment when each begins before the other ends.
            return time(from).is_some_and(|from| from < end || (start == end && from == start))
                && time(to).is_some_and(|to| start < to);
        }
        _ => return true,
    };
    match given {
        Given::Ids(_) => is_in(member.as_str().and_then(|id| id.parse().ok()), given),
        Given::Texts(texts) => member.as_str().is_some_and(|text| texts.contains(text)),
        Given::Interval(..) => is_within(member.as_str().and_then(Utc::parse), entity, given),
        Given::Flag(flag) => member.as_bool() == Some(*flag),
    }
}

fn is_in(id: Option<Uuid>, given: &Given) -> bool {
    matches!((id, given), (Some(id), Given::Ids(ids)) if ids.contains(&id))
}

/// Half-open; equal ends are a test of equality (contract 3.5). What counts is the time that the record shows.
fn is_within(at: Option<Utc>, entity: &Entity, given: &Given) -> bool {
    let (Some(at), Given::Interval(start, end)) = (at, given) else { return false };
    let at = at.shown(entity.precision());
    if start == end { at == *start } else { *start <= at && at < *end }
}
