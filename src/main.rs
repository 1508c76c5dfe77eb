//! `mews-bridge`: arguments in, exit code out.

use std::process::ExitCode;

use clap::{Parser as _, error::ErrorKind};
use mews_bridge::app::{self, Arguments, Exit};

/// Records are allocated on one thread and freed on another, which the C library's allocator is slow
/// at (benches/ingress, benches/enricher); this one serves librdkafka too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers, anything else is a wrong command line.
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // Nobody is left to tell when the terminal is gone.
            let _ = error.print();
            return if asked { Exit::Clean } else { Exit::Configuration }.into();
        }
    };
    // A panic is a bug, and scripts know it by its code.
    match std::panic::catch_unwind(|| app::run(arguments)) {
        Ok(Ok(exit)) => exit.into(),
        Ok(Err(failure)) => {
            #[expect(
                clippy::print_stderr,
                reason = "the last words of a command go to the person who ran it"
            )]
            for line in failure.message.lines() {
                eprintln!("mews-bridge: {line}");
            }
            failure.exit.into()
        }
        Err(_) => Exit::Bug.into(),
    }
}
