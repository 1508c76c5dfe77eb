//! Holds a request body to the rules of its operation, and makes a query of it.
//!
//! The generic half of [`super::rules`]: what a filter is called and may be is there, how each form is
//! checked is here. An empty list is refused like a wrong one: what Mews makes of it is documented nowhere,
//! and a client that sends one means something else.

use std::collections::HashSet;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    refusal::Refusal,
    rules::{Deleted, Filter, Form, IDS_MAX, Length, Rules, Scoping},
    utc::Utc,
};

/// What is asked for, all of it as the rules want it.
#[derive(Debug)]
pub struct Query {
    pub filters: Vec<(&'static Filter, Given)>,
    /// `EnterpriseIds`, `EnterpriseId` or `ChainIds`; whether they are in scope is for the selection to say.
    pub scope: Option<HashSet<Uuid>>,
    /// Whether the extent that has the records was asked for.
    pub wants_records: bool,
    /// Whether the active, the deleted.
    pub wants_active: bool,
    pub wants_deleted: bool,
    pub count: usize,
    pub cursor: Option<Uuid>,
}

/// The value of a filter.
#[derive(Debug)]
pub enum Given {
    Ids(HashSet<Uuid>),
    Texts(HashSet<String>),
    /// Half-open; equal ends mean just that time (contract 3.5).
    Interval(Utc, Utc),
    Flag(bool),
}

impl Query {
    /// The ids in this filter, if it was given.
    pub fn ids(&self, name: &str) -> Option<&HashSet<Uuid>> {
        self.filters.iter().find_map(|(filter, given)| match given {
            Given::Ids(ids) if filter.name == name => Some(ids),
            _ => None,
        })
    }

    /// A flag, if it was given.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.filters.iter().find_map(|(filter, given)| match given {
            Given::Flag(flag) if filter.name == name => Some(*flag),
            _ => None,
        })
    }

    /// Ids asked for, in all filters.
    pub fn ids_asked_for(&self) -> impl Iterator<Item = (&'static str, &HashSet<Uuid>)> {
        self.filters.iter().filter_map(|(filter, given)| match given {
            Given::Ids(ids) => Some((filter.name, ids)),
            _ => None,
        })
    }
}

/// A member of the body; null and missing are the same (contract 3.5).
pub fn given<'a>(body: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    body.get(name).filter(|value| !value.is_null())
}

/// Checks a body.
///
/// # Errors
/// The first rule that it breaks.
pub fn check(rules: &'static Rules, body: &Map<String, Value>) -> Result<Query, Refusal> {
    let language = [given(body, "LanguageCode").is_some(), given(body, "CultureCode").is_some()];
    if language[0] != language[1] {
        return Err(Refusal::invalid("CultureCode", "LanguageCode and CultureCode: both or neither"));
    }
    let scope = scope(rules.scope, body)?;
    let mut filters = Vec::new();
    for filter in rules.filters {
        if let Some(value) = given(body, filter.name) {
            filters.push((filter, read(filter, value)?));
        }
    }
    if let Some(missing) = rules.required.iter().find(|name| given(body, name).is_none()) {
        return Err(Refusal::invalid(missing, "it is required"));
    }
    if !rules.one_of.is_empty() && !rules.one_of.iter().any(|name| given(body, name).is_some()) {
        return Err(Refusal::invalid(
            rules.one_of[0],
            format!("at least one of {} is required", rules.one_of.join(", ")),
        ));
    }
    if let Some([one, other]) =
        rules.either.iter().find(|pair| pair.iter().all(|name| given(body, name).is_some()))
    {
        return Err(Refusal::invalid(other, format!("{one} and {other} exclude each other")));
    }
    let (wants_records, extent_inactive) = extent(rules, body)?;
    let (wants_active, wants_deleted) = match rules.deleted {
        Deleted::Always => (true, true),
        Deleted::ByExtent => (true, extent_inactive),
        Deleted::ByActivityStates => activity(&filters),
    };
    if given(body, "DeletedUtc").is_some() && !wants_deleted {
        return Err(Refusal::invalid("ActivityStates", "DeletedUtc wants Deleted in it"));
    }
    let (count, cursor) = if rules.is_paged() { limitation(body)? } else { (1, None) };
    Ok(Query { filters, scope, wants_records, wants_active, wants_deleted, count, cursor })
}

fn scope(scoping: Scoping, body: &Map<String, Value>) -> Result<Option<HashSet<Uuid>>, Refusal> {
    let own = match scoping {
        Scoping::Enterprises => "EnterpriseIds",
        Scoping::Chains => "ChainIds",
        Scoping::Enterprise => "EnterpriseId",
    };
    // Scopes are of one operation each; one common scope for all of them is an error (contract 3.7).
    for other in ["EnterpriseIds", "ChainIds", "EnterpriseId"] {
        if other != own && given(body, other).is_some() {
            return Err(Refusal::invalid(other, "this operation does not have it"));
        }
    }
    match given(body, own) {
        None => Ok(None),
        Some(Value::String(id)) if scoping == Scoping::Enterprise => match id.parse() {
            Ok(id) => Ok(Some(HashSet::from([id]))),
            Err(_) => Err(Refusal::invalid(own, "it is no id")),
        },
        Some(value) => ids(own, IDS_MAX, value).map(Some),
    }
}

fn read(filter: &Filter, value: &Value) -> Result<Given, Refusal> {
    let wrong = |because: &str| Refusal::invalid(filter.name, because);
    match filter.form {
        Form::Ids(most) => ids(filter.name, most, value).map(Given::Ids),
        Form::Texts(most) => texts(filter.name, most, value).map(Given::Texts),
        Form::Words(words) => {
            let texts = texts(filter.name, words.len(), value)?;
            match texts.iter().find(|text| !words.contains(&text.as_str())) {
                Some(text) => Err(wrong(&format!("{text} is none of {}", words.join(", ")))),
                None => Ok(Given::Texts(texts)),
            }
        }
        Form::Interval(length) => interval(filter.name, length, value),
        Form::Text => value
            .as_str()
            .map(|text| Given::Texts([text.to_owned()].into()))
            .ok_or_else(|| wrong("it is no text")),
        Form::Flag => value.as_bool().map(Given::Flag).ok_or_else(|| wrong("it is neither true nor false")),
    }
}

fn texts(name: &str, most: usize, value: &Value) -> Result<HashSet<String>, Refusal> {
    let list = value.as_array().ok_or_else(|| Refusal::invalid(name, "it is no list"))?;
    if list.is_empty() || list.len() > most {
        return Err(Refusal::invalid(name, format!("{} items, where 1 to {most} are allowed", list.len())));
    }
    let text = |item: &Value| item.as_str().map(str::to_owned);
    list.iter().map(text).collect::<Option<_>>().ok_or_else(|| Refusal::invalid(name, "an item is no text"))
}

/// Ids are compared as UUIDs: in any case (contract 3.5).
fn ids(name: &str, most: usize, value: &Value) -> Result<HashSet<Uuid>, Refusal> {
    texts(name, most, value)?
        .iter()
        .map(|text| text.parse().map_err(|_| Refusal::invalid(name, format!("{text} is no id"))))
        .collect()
}

fn interval(name: &str, length: Length, value: &Value) -> Result<Given, Refusal> {
    let end_of = |member: &str| value.get(member).and_then(Value::as_str).and_then(Utc::parse);
    let (Some(start), Some(end)) = (end_of("StartUtc"), end_of("EndUtc")) else {
        return Err(Refusal::invalid(name, "StartUtc and EndUtc must be times in UTC"));
    };
    if end < start {
        return Err(Refusal::invalid(name, "it ends before it starts"));
    }
    let (longest, words) = match length {
        Length::ThreeMonths => (start.plus_months(3).plus_days(1), "3M1D"),
        Length::OneMonth => (start.plus_months(1), "1M"),
    };
    if end > longest {
        return Err(Refusal::invalid(name, format!("the interval must not exceed {words}")));
    }
    Ok(Given::Interval(start, end))
}

/// Whether the records are wanted, and whether `Inactive` ones.
fn extent(rules: &Rules, body: &Map<String, Value>) -> Result<(bool, bool), Refusal> {
    let Some(main) = rules.extent.first() else { return Ok((true, false)) };
    let Some(Value::Object(extent)) = given(body, "Extent") else {
        return Err(Refusal::invalid("Extent", "it is required"));
    };
    let mut wanted = [false; 2];
    for (name, wanted) in [main, "Inactive"].iter().zip(&mut wanted) {
        *wanted = match given(extent, name) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => return Err(Refusal::invalid("Extent", format!("{name} is neither true nor false"))),
        };
    }
    Ok((wanted[0], wanted[1]))
}

fn activity(filters: &[(&'static Filter, Given)]) -> (bool, bool) {
    let states = filters.iter().find_map(|(filter, given)| match given {
        Given::Texts(states) if filter.name == "ActivityStates" => Some(states),
        _ => None,
    });
    states.map_or((true, false), |states| (states.contains("Active"), states.contains("Deleted")))
}

fn limitation(body: &Map<String, Value>) -> Result<(usize, Option<Uuid>), Refusal> {
    let Some(Value::Object(limitation)) = given(body, "Limitation") else {
        return Err(Refusal::invalid("Limitation", "it is required"));
    };
    let count = limitation.get("Count").and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
    let Some(count) = count.filter(|count| (1..=IDS_MAX).contains(count)) else {
        return Err(Refusal::invalid("Limitation", format!("Count must be a number from 1 to {IDS_MAX}")));
    };
    let cursor = match given(limitation, "Cursor") {
        None => None,
        Some(cursor) => Some(
            cursor
                .as_str()
                .and_then(|cursor| cursor.parse().ok())
                .ok_or_else(|| Refusal::invalid("Cursor", "it is the id of a record"))?,
        ),
    };
    Ok((count, cursor))
}
