//! What is so, and what was told of it: tests hold Kafka against these.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::json;
use uuid::Uuid;

use super::{kind::Kind, state::State, told::Counts};

/// The newest state of one entity: the record as the Connector API returns it, byte for byte, and null
/// when it does not. None when there never was one.
pub fn of(state: &State, kind: Kind, id: Uuid) -> Option<String> {
    let entity = state.population.find(kind, id)?;
    line(state, kind, id, entity.hotel, None)
}

/// All that were told of, a line each; with `everything` those that nobody was told of as well.
pub fn all(state: &State, everything: bool) -> String {
    let mut told: BTreeMap<(u32, Kind, Uuid), Counts> = BTreeMap::new();
    for ((_, hotel), event, counts) in state.told.all() {
        let sum = told.entry((*hotel, event.kind, event.id)).or_default();
        sum.taken += counts.taken;
        sum.waiting += counts.waiting;
        sum.abandoned += counts.abandoned;
    }
    if everything {
        for kind in Kind::ALL {
            for entity in state.population.store(kind).all() {
                told.entry((entity.hotel, kind, entity.id)).or_default();
            }
        }
    }
    let mut lines = String::new();
    for ((hotel, kind, id), counts) in told {
        let line = line(state, kind, id, hotel, Some(counts));
        let _ = writeln!(lines, "{}", line.expect("what is told of is there"));
    }
    lines
}

fn line(state: &State, kind: Kind, id: Uuid, hotel: u32, counts: Option<Counts>) -> Option<String> {
    let entity = state.population.find(kind, id)?;
    let place = if entity.has_vanished {
        "vanished"
    } else if !entity.is_visible() {
        "invisible"
    } else if entity.merged_into().is_some() {
        "merged"
    } else {
        "present"
    };
    let is_returned = matches!(place, "present" | "merged");
    let record =
        if is_returned { entity.record(state.population.hotel(entity.hotel)) } else { "null".to_owned() };
    let told = counts.map_or(String::new(), |counts| {
        format!(
            r#""Told":{{"Waiting":{},"Taken":{},"Abandoned":{}}},"#,
            counts.waiting, counts.taken, counts.abandoned
        )
    });
    Some(format!(
        r#"{{"EnterpriseId":"{}","Kind":"{}","Id":"{id}","State":"{place}",{told}"Record":{record}}}"#,
        state.population.hotel(hotel).id,
        kind.word(),
    ))
}

/// Every event that webhooks told or will tell, with what came of it, a line each.
pub fn told(state: &State) -> String {
    let mut lines: Vec<String> = state
        .told
        .all()
        .map(|((at, hotel), event, counts)| {
            let line = json!({
                "EnterpriseId": state.population.hotel(*hotel).id,
                "IntegrationId": state.integrations.at(*at).id,
                "Discriminator": event.discriminator,
                "Kind": event.kind.word(),
                "Id": event.id,
                "Waiting": counts.waiting,
                "Taken": counts.taken,
                "Abandoned": counts.abandoned,
            });
            format!("{line}\n")
        })
        .collect();
    lines.sort_unstable();
    lines.concat()
}
