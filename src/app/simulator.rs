//! `mews-bridge simulator`: plays Mews for whoever wants to try a subscriber or a Connector API client.
//!
//! It binds, writes the files that were asked for, says where it is and what its tokens are, and plays
//! until a signal or the end of `--duration`.

use std::{fmt::Write as _, path::Path, time::Duration};

use tokio::net::TcpListener;

use super::{Exit, Failure, arguments::Simulator as Options, output};
use crate::{
    shutdown::Shutdown,
    simulator::{Config, Knobs, NoSuchOperation, Per, Simulator, StartError},
};

/// Runs until Ctrl-C, SIGTERM or the end of `--duration`.
///
/// # Errors
/// When it cannot listen, a flag makes no sense, or a file cannot be written.
pub async fn run(options: Options) -> Result<Exit, Failure> {
    let shutdown =
        Shutdown::on_signals().map_err(|error| Failure::io("cannot listen for signals", &error))?;
    let config = configure(&options)?;
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|error| Failure::io(&format!("cannot listen on {}", options.listen), &error))?;
    let mut simulator =
        Simulator::start(&config, listener, shutdown.drain.child_token()).map_err(|error| match error {
            StartError::Knobs(error) => Failure::configuration(&error),
            error => Failure::io("the simulator does not start", &error),
        })?;
    write_files(&options, &simulator)?;
    output::print(introduction(&simulator).as_bytes())?;
    let broke_off = tokio::select! {
        () = shutdown.drain.cancelled() => false,
        () = over(options.duration) => false,
        () = simulator.ended() => !shutdown.drain.is_cancelled(),
    };
    if broke_off {
        return Err(Failure::bug("a part of the simulator broke off"));
    }
    tokio::select! {
        totals = simulator.end() => tracing::info!(
            taken = totals.taken,
            abandoned = totals.abandoned,
            "{} messages were taken, {} given up",
            totals.taken,
            totals.abandoned,
        ),
        () = shutdown.abort.cancelled() => {}
    }
    Ok(Exit::Clean)
}

async fn over(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

fn configure(options: &Options) -> Result<Config, Failure> {
    let wrong = |error: &dyn std::error::Error| Failure::configuration(error);
    let knobs = Knobs {
        latency: per(&options.latency).map_err(|error| wrong(&error))?,
        errors: per(&options.errors).map_err(|error| wrong(&error))?,
        timeouts: per(&options.timeouts).map_err(|error| wrong(&error))?,
        hangs: per(&options.hangs).map_err(|error| wrong(&error))?,
        throttles: per(&options.throttles).map_err(|error| wrong(&error))?,
        retry_after: options.retry_after,
        rate_limit: options.rate_limit,
        rate_window: options.rate_window,
        read_lag: options.read_lag,
        pace: options.pace,
        webhooks: options.webhooks.clone(),
        delay: options.delay,
        retry_pause: options.retry_pause,
        events_per_message: options.events_per_message,
        old_form: options.old_form,
        ..Knobs::default()
    };
    let knobs = match &options.knobs {
        Some(some) => knobs.turned(some.as_bytes()).map_err(|error| wrong(&error))?,
        None => knobs,
    };
    Ok(Config {
        seed: options.seed,
        hotels: options.hotels,
        portfolio_hotels: options.portfolio_hotels,
        second_integrations: options.second_integrations,
        reservations: options.reservations,
        announce: options.announce,
        knobs,
    })
}

fn per<T: Clone>(given: &[(String, T)]) -> Result<Per<T>, NoSuchOperation> {
    let mut per = Per::default();
    for (operation, value) in given {
        per.set(operation, value.clone())?;
    }
    Ok(per)
}

/// What `mews-bridge enricher` reads as `credentials.file` and `connector.client_token_file`.
fn write_files(options: &Options, simulator: &Simulator) -> Result<(), Failure> {
    let write = |path: &Path, text: String| {
        std::fs::write(path, text)
            .map_err(|error| Failure::io(&format!("cannot write {}", path.display()), &error))
    };
    if let Some(path) = &options.credentials_out {
        let credentials = serde_json::to_string_pretty(&simulator.connections())
            .map_err(|error| Failure::bug(format!("credentials are no JSON: {error}")))?;
        write(path, credentials + "\n")?;
    }
    if let Some(path) = &options.client_token_out {
        write(path, format!("{}\n", simulator.client_token))?;
    }
    Ok(())
}

/// The lines that scripts read, then those that people paste.
fn introduction(simulator: &Simulator) -> String {
    let Simulator { platform, control, client_token, .. } = simulator;
    let connections = simulator.connections();
    let mut lines = format!("platform: {platform}\nclient-token: {client_token}\n");
    for connection in &connections {
        let _ = writeln!(lines, "access-token: {}", connection.access_token);
    }
    let _ = writeln!(lines, "control: {control}\n");
    if let Some(connection) = connections.first() {
        let access_token = &connection.access_token;
        let _ = writeln!(
            lines,
            r#"  curl -i '{platform}/api/connector/v1/reservations/getAll/2023-06-06' -d '{{"ClientToken":"{client_token}","AccessToken":"{access_token}","Client":"curl 1.0","Limitation":{{"Count":2}}}}'
  curl '{control}/changes' -d '{{"kind":"reservations","count":2}}'
  curl '{control}'
"#
        );
    }
    lines
}
