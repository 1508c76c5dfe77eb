//! Takes what is due out of the outbox and sends it, until it is stopped.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    outbox::Due,
    sender::{Sender, Sent},
    state::Shared,
    told::{Message, Totals},
    utc::Utc,
};

/// Sends until it is stopped; then the attempts under way are awaited, and the rest is given up.
pub async fn run(shared: Arc<Shared>, sender: Arc<Sender>, stop: CancellationToken) {
    let mut sending = JoinSet::new();
    loop {
        let (messages, next) = {
            let mut state = shared.lock();
            (state.set_out(Due::By(Utc::now())), state.outbox.next_due())
        };
        for message in messages {
            sending.spawn(send(shared.clone(), sender.clone(), message, stop.clone()));
        }
        // Nothing is lost by cancelling any of these: the next turn looks again.
        tokio::select! {
            () = until(next) => {}
            () = shared.bell.notified() => {}
            Some(_) = sending.join_next(), if !sending.is_empty() => {}
            () = stop.cancelled() => break,
        }
    }
    while sending.join_next().await.is_some() {}
}

async fn until(due: Option<Utc>) {
    match due {
        Some(due) => tokio::time::sleep(due.since(Utc::now())).await,
        None => std::future::pending().await,
    }
}

async fn send(shared: Arc<Shared>, sender: Arc<Sender>, message: Message, stop: CancellationToken) {
    let (url, pause) = {
        let state = shared.lock();
        (state.knobs.webhooks.clone(), state.knobs.retry_pause)
    };
    let sent = match url {
        Some(url) => sender.send(&url, message.body.clone(), pause, &stop).await,
        // It was taken away after the message had set out.
        None => Sent::Abandoned { attempts: 0 },
    };
    let (attempts, is_taken) = match sent {
        Sent::Taken { attempt } => (attempt, true),
        Sent::Abandoned { attempts } => (attempts, false),
    };
    shared.lock().told.ended(&message, attempts, is_taken);
    shared.ended.send_modify(|count| *count += 1);
}

/// Sends everything that waits, due or not, and returns when all of it has been answered or given up;
/// what waits for another attempt gets it at once. What came of it.
pub async fn flush(shared: &Arc<Shared>, sender: &Arc<Sender>, stop: &CancellationToken) -> Totals {
    let _hurry = sender.hurry();
    let (messages, before, up_to) = {
        let mut state = shared.lock();
        let before = state.told.totals;
        let messages = state.set_out(Due::All);
        (messages, before, state.told.last())
    };
    let mut sending = JoinSet::new();
    for message in messages {
        sending.spawn(send(shared.clone(), sender.clone(), message, stop.clone()));
    }
    while sending.join_next().await.is_some() {}
    let mut ended = shared.ended.subscribe();
    // The other half is in `shared`, so that it cannot close.
    let _ = ended.wait_for(|_| shared.lock().told.have_ended(up_to)).await;
    let after = shared.lock().told.totals;
    Totals {
        taken: after.taken - before.taken,
        abandoned: after.abandoned - before.abandoned,
        events_taken: after.events_taken - before.events_taken,
        attempts: after.attempts - before.attempts,
    }
}
