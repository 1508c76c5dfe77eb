//! Reservations, and the service orders that are none: one discriminator speaks of both (contract 1.3).
//!
//! What `reservations/getAll` does not return is asked of `productServiceOrders/getAll`. An integration may
//! not be permitted the second one: then what is no reservation is missing.

use std::{sync::Arc, time::Duration};

use super::{
    account::Account,
    ask::{Ask, Stopped},
    services,
};
use crate::connector::{Error, Request};

/// How long a permission that is not there is not tried.
const DENIAL_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Asks both.
pub async fn fetch(ask: &mut Ask<'_>, account: &mut Account) -> Result<(), Stopped> {
    let request = Request::reservations(ask.enterprise_id, &account.open());
    let reservations = ask.collect(request, account).await;
    if let Err(Stopped { error: Error::Unauthorized(_), .. }) = &reservations {
        // The token itself is out of favour: what was refused of late says nothing about permissions.
        ask.memory.denials().remove(&ask.hotel);
    }
    reservations?;
    if account.is_settled() || is_denied(ask) {
        return Ok(());
    }
    let orders = |services: &[&str], ids: &[Arc<str>]| Request::product_service_orders(services, ids);
    match services::fetch_among(ask, orders, account).await {
        // The token has just worked, so this is about the operation (contract 3.3).
        Err(Stopped { error: Error::Unauthorized(_), .. }) => {
            *ask.memory.denials().entry(&ask.hotel) = Some(ask.memory.clock.now());
            Ok(())
        }
        ended => ended,
    }
}

fn is_denied(ask: &Ask<'_>) -> bool {
    let since = ask.memory.denials().get(&ask.hotel).copied().flatten();
    since.is_some_and(|since| ask.memory.clock.now().saturating_duration_since(since) <= DENIAL_LIFETIME)
}
