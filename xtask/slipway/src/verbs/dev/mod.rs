//! `dev`: the service and its PostgreSQL, from whatever state the clone is in to a URL, and again after each save,
//! until ctrl-c.
//!
//! ```text
//! shown      the way to the first URL, as a person sees it
//! cycle      save → build → migrate → start → swap, one step at a time
//! events     what can happen meanwhile
//! keys       what people type
//! port       the address, and who has the one that was wanted
//! processes  what runs beside the service
//! refusal    why a save does not reach the page
//! ```

mod cycle;
mod events;
mod keys;
mod port;
mod processes;
mod refusal;
mod shown;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use self::cycle::{Cycle, Parts};
use self::events::{Event, Events};
use self::keys::Key;
use self::processes::Processes;
use self::shown::Shown;
use super::{db, secrets};
use crate::cargo::Build;
use crate::config::Environment;
use crate::context::Context;
use crate::output::seconds;
use crate::postgres::{Cluster, Left};
use crate::reload::{Problem, clear_stale};

#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask dev\n\n\
    Save a file: it is built while the old version serves; new migrations are\n\
    applied; the new version starts on the same socket and takes over when it is\n\
    ready. What does not build or start is shown here and on the page.\n\n\
    In a terminal: r rebuild, m migrate, o open, q quit, then enter.\n\
    Ctrl-C stops the service, and PostgreSQL with its last user; the data stay.")]
pub struct Args {
    /// Do not ask Doppler: the development defaults
    #[arg(long)]
    local: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    let repository = context.repository()?;
    let launcher = context.launcher(&repository.workspace.root)?;
    let shown = Shown::new(context, &repository);
    // Before cargo reads the files: what is saved while it works is built afterwards.
    let watch = cycle::watch(&repository, &launcher);
    let asking = secrets::ask(context, &repository, &launcher, Environment::Dev, args.local)?;
    // cargo works while the server starts, and while Doppler is asked.
    let build = Build::start(&launcher, repository.name(), context.screen.color())?;
    // Its time is counted: before a server that may have to be downloaded first.
    let given = asking.finish(context, &repository, &launcher)?;
    let cluster = db::open(context, &repository, &launcher)?;
    shown.postgres(&repository, &cluster, started.elapsed());
    clear_stale(&repository.workspace.short);
    let problem = Problem::new(&repository.workspace.short);
    let built = build.finish(&launcher);

    let port = port::claim(context, *repository.config.service.port.get_ref(), &repository.workspace.root)?;
    let events = Events::listen(&context.env, &launcher)?;
    events.watch(cluster.folder().clone());
    let mut processes = Processes::start(&repository, &launcher, &events)?;
    let parts = Parts { context, launcher: &launcher, events: &events, shown: &shown, started };
    let mut cycle = Cycle::new(parts, repository, cluster, port, given, watch, problem)?;
    cycle.built(built)?;
    loop {
        cycle.turn()?;
        let Some(event) = events.within(cycle.pause()) else { continue };
        match event {
            Event::Line(line) => cycle.heard(&line),
            Event::Asked | Event::Key(Key::Quit) => break,
            Event::Key(key) => cycle.key(key)?,
            Event::ServerEnded(true) => cycle.server_was_killed()?,
            Event::ServerEnded(false) => {
                context.screen.failed("postgres", "was stopped: cargo xtask db start", None);
            }
            Event::Closed(_) => {}
            Event::ChildEnded => processes.look(&context.screen)?,
        }
    }
    events.end_at_once_from_here();
    let stopping = Instant::now();
    let (code, cluster) = cycle.stop()?;
    let drained = stopping.elapsed();
    processes.stop()?;
    events.show_remaining(&context.screen);
    say_end(context, code, drained, cluster)?;
    Ok(ExitCode::SUCCESS)
}

/// The service has ended with `code`, if it ran; then the server ends, unless somebody else uses it.
fn say_end(context: &Context, code: Option<u8>, drained: Duration, cluster: Cluster) -> Result<()> {
    let service = match code {
        Some(0) => format!("drained {}", seconds(drained)),
        Some(code) => format!("ended with code {code}"),
        None => "did not run".to_owned(),
    };
    let postgres = match cluster.leave()? {
        Left::Stopped => "postgres stopped, data kept",
        Left::InUse => "postgres stays up for its other users",
        Left::InGrace => "postgres stays up, for `db url` or `db start`; now down: cargo xtask db stop",
    };
    context.screen.done("service", &format!("{service}; {postgres}. Again: cargo xtask dev"), None);
    Ok(())
}
