//! A part of a process: a task that runs until it is told to end, and whose end is seen.

use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::Failure;

/// A task with the token that ends it; it is aborted if it is dropped before it ended.
pub struct Part {
    name: &'static str,
    stop: CancellationToken,
    /// None once its end was seen.
    task: Option<AbortOnDropHandle<Result<(), Failure>>>,
}

impl Part {
    /// Spawns it with the token that ends it.
    pub fn spawn<F>(name: &'static str, run: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        Self { name, task: Some(AbortOnDropHandle::new(tokio::spawn(run(stop.clone())))), stop }
    }

    /// Resolves only if the part ends, which it never should without having been told to.
    pub async fn failed(&mut self) -> Failure {
        let Some(task) = &mut self.task else { return std::future::pending().await };
        let ended = task.await;
        self.task = None;
        match ended {
            Ok(Ok(())) => Failure::bug(format!("the {} ended although nobody stopped it", self.name)),
            Ok(Err(failure)) => failure,
            Err(error) => Failure::bug(format!("the {} broke off: {error}", self.name)),
        }
    }

    /// Ends it and waits for that.
    ///
    /// # Errors
    /// Its own, or that it broke off.
    pub async fn end(self) -> Result<(), Failure> {
        self.stop.cancel();
        let Some(task) = self.task else { return Ok(()) };
        task.await.unwrap_or_else(|error| Err(Failure::bug(format!("the {} broke off: {error}", self.name))))
    }
}
