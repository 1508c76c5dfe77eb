//! What is asked for among the services of a hotel: products and orders of them (contract 4.7, 4.8).
//!
//! Both operations require the ids of services, which are known for a while. An id that is missing may be of a
//! service that is new, so that the list is looked up once more, though not time and again for every id
//! that is gone. The same goes for what is refused.

use std::{collections::HashSet, sync::Arc, time::Duration};

use super::{
    account::Account,
    ask::{Ask, Stopped},
};
use crate::connector::{Error, Request, operation::IDS_PER_REQUEST_MAX};

/// How long the list of services is good (contract 3.8: cache what seldom changes).
const LIFETIME: Duration = Duration::from_secs(10 * 60);
/// How old it may be when something is missing or refused.
pub const LIFETIME_WHEN_MISSING: Duration = Duration::from_secs(30);

/// Asks for what is open, services 1000 at a time.
pub async fn fetch_among(
    ask: &mut Ask<'_>,
    request: impl Fn(&[&str], &[Arc<str>]) -> Request,
    account: &mut Account,
) -> Result<(), Stopped> {
    let known = services(ask, LIFETIME).await?;
    let all: Vec<_> = known.iter().map(String::as_str).collect();
    match among(ask, &all, &request, account).await {
        Ok(()) if account.is_settled() => return Ok(()),
        Ok(()) => {}
        // A service that is no more may be what was refused, and not an id (contract 3.3).
        Err(stopped @ Stopped { error: Error::BadRequest(_), .. }) => {
            let present = services(ask, LIFETIME_WHEN_MISSING).await?;
            if present == known {
                return Err(stopped);
            }
            let all: Vec<_> = present.iter().map(String::as_str).collect();
            return among(ask, &all, &request, account).await;
        }
        Err(stopped) => return Err(stopped),
    }
    let present = services(ask, LIFETIME_WHEN_MISSING).await?;
    let asked: HashSet<_> = all.into_iter().collect();
    let new: Vec<_> = present.iter().map(String::as_str).filter(|id| !asked.contains(id)).collect();
    among(ask, &new, &request, account).await
}

async fn among(
    ask: &mut Ask<'_>,
    services: &[&str],
    request: impl Fn(&[&str], &[Arc<str>]) -> Request,
    account: &mut Account,
) -> Result<(), Stopped> {
    for services in services.chunks(IDS_PER_REQUEST_MAX) {
        if account.is_settled() {
            break;
        }
        ask.collect(request(services, &account.open()), account).await?;
    }
    Ok(())
}

async fn services(ask: &mut Ask<'_>, age_max: Duration) -> Result<Arc<Vec<String>>, Stopped> {
    let (memory, hotel, now) = (ask.memory, ask.hotel.clone(), ask.memory.clock.now());
    let look_up = async {
        let records = ask.list(Request::services(ask.enterprise_id)).await?;
        Ok(records.into_iter().map(|record| record.id).collect())
    };
    memory.services.get(&hotel, age_max, now, look_up).await
}
