//! Customers belong to chains (contract 4.5): a portfolio token must say which, the others need not
//! (contract 3.7), and nothing tells the two apart.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use serde::Deserialize;

use super::{
    account::Account,
    ask::{Ask, Stopped},
    services::LIFETIME_WHEN_MISSING,
};
use crate::{
    connector::{Error, Record, Request, operation::IDS_PER_REQUEST_MAX},
    webhook::id,
};

/// The chain of each hotel that a token covers.
pub type Chains = HashMap<String, String>;

/// How long it is good: hotels seldom change their chain.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Asks with the chain of the hotel.
pub async fn fetch(ask: &mut Ask<'_>, account: &mut Account) -> Result<(), Stopped> {
    let mut known = chains(ask, LIFETIME).await?;
    if matches!(known.as_deref(), Some(Some(chains)) if !chains.contains_key(hotel(ask))) {
        known = chains(ask, LIFETIME_WHEN_MISSING).await?;
    }
    let chain_ids = of_hotel(&known, hotel(ask));
    match ask.collect(Request::customers(&chain_ids, &account.open()), account).await {
        // A hotel that changed its chain may be what was refused, and not an id (contract 3.7).
        Err(stopped @ Stopped { error: Error::BadRequest(_), .. }) => {
            let present = chains(ask, LIFETIME_WHEN_MISSING).await?;
            let present = of_hotel(&present, hotel(ask));
            if present == chain_ids {
                return Err(stopped);
            }
            ask.collect(Request::customers(&present, &account.open()), account).await?;
        }
        ended => ended?,
    }
    if known.is_none() {
        // The token works, so the refusal was about the operation and not about the token (contract 3.3).
        ask.memory.chains.put(&ask.hotel.token, None, ask.memory.clock.now()).await;
    }
    Ok(())
}

/// None: it was refused just now. Some of none: it is known to be not permitted.
type Lookup = Option<Arc<Option<Chains>>>;

async fn chains(ask: &mut Ask<'_>, age_max: Duration) -> Result<Lookup, Stopped> {
    let (memory, token, now) = (ask.memory, ask.hotel.token, ask.memory.clock.now());
    let look_up = async {
        let enterprises = ask.list(Request::enterprises()).await?;
        Ok(Some(enterprises.iter().filter_map(chain_of).collect()))
    };
    match memory.chains.get(&token, age_max, now, look_up).await {
        Ok(chains) => Ok(Some(chains)),
        // Without chains most tokens get their customers all the same.
        Err(Stopped { error: Error::Unauthorized(_) | Error::Forbidden(_), .. }) => Ok(None),
        Err(stopped) => Err(stopped),
    }
}

/// A hotel that is not in the list may be in any of the chains that are.
fn of_hotel(known: &Lookup, hotel: &str) -> Vec<String> {
    let Some(Some(chains)) = known.as_deref() else { return Vec::new() };
    match chains.get(hotel) {
        Some(chain) => vec![chain.clone()],
        None => {
            let all: BTreeSet<_> = chains.values().collect();
            all.into_iter().take(IDS_PER_REQUEST_MAX).cloned().collect()
        }
    }
}

fn chain_of(enterprise: &Record) -> Option<(String, String)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Enterprise {
        chain_id: String,
    }
    let Enterprise { chain_id } = serde_json::from_slice(&enterprise.bytes).ok()?;
    id::usable(&chain_id).then(|| (enterprise.id.clone(), id::normal(&chain_id).into_owned()))
}

fn hotel<'a>(ask: &'a Ask<'_>) -> &'a str {
    &ask.hotel.enterprise_id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hotel_that_is_not_listed_may_be_in_any_chain() {
        let chain = |(hotel, chain): (&str, &str)| (hotel.to_owned(), chain.to_owned());
        let chains: Chains = [("a", "x"), ("b", "y"), ("c", "x")].map(chain).into();
        let known = |chains| Some(Arc::new(chains));
        assert_eq!(of_hotel(&known(Some(chains.clone())), "b"), ["y"]);
        assert_eq!(of_hotel(&known(Some(chains)), "d"), ["x", "y"]);
        for nothing in [known(Some(Chains::new())), known(None), None] {
            assert!(of_hotel(&nothing, "a").is_empty());
        }
    }
}
