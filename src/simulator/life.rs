//! Lets the history happen at its pace, until it is stopped.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{state::Shared, utc::Utc};

/// How often what is owed is made to happen.
const TICK: Duration = Duration::from_millis(20);
/// Changes of one turn; a pace beyond what the machine can do is not caught up with.
const CHANGES_PER_TICK_MAX: f64 = 2000.0;

/// Runs until it is stopped.
pub async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut owed, mut last) = (0.0, Instant::now());
    loop {
        // Only a tick is lost by cancelling.
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        let elapsed = last.elapsed().as_secs_f64();
        last = Instant::now();
        if live(&shared, elapsed, &mut owed) {
            shared.bell.notify_one();
        }
    }
}

/// Makes happen what is owed; whether anything did.
fn live(shared: &Shared, elapsed_seconds: f64, owed: &mut f64) -> bool {
    let state = &mut *shared.lock();
    if state.knobs.frozen {
        *owed = 0.0;
        return false;
    }
    let hotels = f64::from(u32::try_from(state.population.hotels.len()).unwrap_or(u32::MAX));
    *owed = (*owed + state.knobs.pace * hotels * elapsed_seconds).min(CHANGES_PER_TICK_MAX);
    let now = Utc::now();
    let happens = *owed >= 1.0;
    while *owed >= 1.0 {
        *owed -= 1.0;
        let changes = state.history.step(&mut state.population, now);
        state.tell(&changes, now);
    }
    happens
}
