//! `dev`: the service and its PostgreSQL, from whatever state the clone is in to a URL, until ctrl-c.

mod events;
mod port;

use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::Signal;
use xshell::cmd;

use self::events::{Event, Events};
use super::db;
use crate::context::{Context, Repository};
use crate::failure::{Code, Failure};
use crate::output::count;
use crate::postgres::{Cluster, Left};
use crate::process::{Child, Kind, Launcher, Leash, Start};
use crate::reload::{Build, Generation, Service};
use crate::secrets;

#[derive(clap::Args)]
#[command(
    after_help = "Example: cargo xtask dev\n\nCtrl-C stops the service, and PostgreSQL with its last user; the data stay."
)]
pub struct Args {}

/// How often readiness is looked at.
const READY_POLL: Duration = Duration::from_millis(2);
/// How long `[dev.processes]` may take to end; the leash kills what takes longer than five seconds.
const PROCESSES_GRACE: Duration = Duration::from_secs(8);

pub fn run(context: &Context, _: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    let repository = context.repository()?;
    let launcher = context.launcher(&repository.workspace.root)?;
    let first = !repository.cluster_folder().data().is_dir();
    if first {
        let (cache, state) = (context.env.tilde(&context.env.cache()), &repository.workspace.state);
        let state = repository.workspace.relative(state).display().to_string();
        let name = repository.name();
        let system =
            if context.options.install.is_some() { "" } else { ": nothing will be installed system-wide" };
        context.screen.headline(&format!("{name} · first run{system}"));
        context.screen.line(&format!("  state {state}, cache {cache}\n"));
    }
    // cargo works while the server starts.
    let build = Build::start(&launcher, repository.name(), context.screen.color())?;
    let mut shown = Shown { context, repository: &repository, first };
    let cluster = db::open(context, &repository, &launcher)?;
    shown.postgres(&cluster, started.elapsed());
    let built = build.finish(&launcher)?;
    db::report_build(context, &built);

    let values =
        secrets::development(&repository.config.secrets, |name| context.env.var(name).map(str::to_owned));
    shown.secrets(&values);
    let migrating = Instant::now();
    let (report, loaded) = db::migrate_and_load(&repository, &launcher, &cluster, &built.binary)?;
    shown.migrations(report.applied.len(), loaded, migrating.elapsed());

    let port = port::claim(context, *repository.config.service.port.get_ref(), &repository.workspace.root)?;
    let events = Events::listen(&launcher)?;
    events.watch(cluster.folder().clone());
    let mut processes = start_processes(&repository, &launcher, &events)?;
    let admin = repository.workspace.short.join(format!("admin-{}.sock", std::process::id()));
    let generation = Generation {
        binary: built.binary,
        listener: &port.listener,
        admin,
        database_url: cluster.url(repository.name()),
        values: &values.values,
        masked: &values.masked,
        declared: repository.config.secrets.names.keys().cloned().collect(),
    };
    let mut service = Service::start(&launcher, generation)?;
    events.lines.read(repository.name(), &mut service.child)?;
    let (mut cluster, mut shown_ready) = (cluster, false);
    let ended = loop {
        let mut ended = wait_ready(context, &launcher, &events, &mut service, &mut processes)?;
        if ended.is_none() {
            if !shown_ready {
                shown.ready(&cluster, &port, values.values.len(), started.elapsed());
                shown_ready = true;
            }
            ended = Some(follow(context, &events, &mut service, &mut processes)?);
        }
        let Some(Ended::WithoutServer) = ended else { break ended };
        // The service connects again by itself.
        let (killed, again) = (Instant::now(), db::open(context, &repository, &launcher)?);
        cluster = again;
        events.watch(cluster.folder().clone());
        context.screen.done("postgres", "was killed, and runs again", Some(killed.elapsed()));
    };
    stop(context, &events, service, processes, cluster)?;
    match ended {
        Some(Ended::ByItself(code)) => {
            Err(Failure::new(Code::Failed, format!("the service ended with code {code}"))
                .why("what it printed last is above")
                .next("cargo xtask dev")
                .into())
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn start_processes(
    repository: &Repository,
    launcher: &Launcher<'_>,
    events: &Events,
) -> Result<Vec<(String, Child)>> {
    let mut processes = Vec::new();
    for (name, command) in &repository.config.dev.processes {
        let command = command.get_ref();
        let start = Start::new(cmd!(launcher.shell, "sh -c {command}"), Kind::Tool, Leash::Group);
        let mut child = launcher.start(start.outputs(Stdio::piped(), Stdio::piped()))?;
        events.lines.read(name, &mut child)?;
        processes.push((name.clone(), child));
    }
    Ok(processes)
}

/// Why the service runs no more, or is about to, or cannot work.
enum Ended {
    /// Ctrl-C.
    Asked,
    /// Its own end, with this code.
    ByItself(u8),
    /// It runs, and its server was killed.
    WithoutServer,
}

/// Waits until the service is ready, as long as it lives and nobody asks to stop: then it gives why not.
fn wait_ready(
    context: &Context,
    launcher: &Launcher<'_>,
    events: &Events,
    service: &mut Service,
    processes: &mut Vec<(String, Child)>,
) -> Result<Option<Ended>> {
    loop {
        if service.is_ready(launcher) {
            return Ok(None);
        }
        while let Some(event) = events.within(READY_POLL) {
            if let Some(ended) = handle(context, events, event, service, processes)? {
                return Ok(Some(ended));
            }
        }
    }
}

/// Shows what the programs print, until ctrl-c, or until the service ends by itself.
fn follow(
    context: &Context,
    events: &Events,
    service: &mut Service,
    processes: &mut Vec<(String, Child)>,
) -> Result<Ended> {
    loop {
        if let Some(ended) = handle(context, events, events.next(), service, processes)? {
            return Ok(ended);
        }
    }
}

fn handle(
    context: &Context,
    events: &Events,
    event: Event,
    service: &mut Service,
    processes: &mut Vec<(String, Child)>,
) -> Result<Option<Ended>> {
    match event {
        Event::Line(line) => events.show(&context.screen, &line),
        Event::Asked => return Ok(Some(Ended::Asked)),
        Event::ServerEnded(true) => return Ok(Some(Ended::WithoutServer)),
        Event::ServerEnded(false) => {
            context.screen.failed("postgres", "was stopped: cargo xtask db start", None)
        }
        Event::ChildEnded => {
            let mut running = Vec::new();
            for (name, mut child) in std::mem::take(processes) {
                match child.ended()? {
                    Some(code) => context.screen.failed(&name, &format!("ended with code {code}"), None),
                    None => running.push((name, child)),
                }
            }
            *processes = running;
            return Ok(service.child.ended()?.map(Ended::ByItself));
        }
    }
    Ok(None)
}

/// The service first, so that it can finish what it has begun; then its neighbours; then the server, unless
/// somebody else uses it.
fn stop(
    context: &Context,
    events: &Events,
    mut service: Service,
    processes: Vec<(String, Child)>,
    cluster: Cluster,
) -> Result<()> {
    events.end_at_once_from_here();
    let started = Instant::now();
    let code = service.stop()?;
    let drained = crate::output::seconds(started.elapsed());
    for (_, mut child) in processes {
        child.stop(&[(Signal::TERM, PROCESSES_GRACE)])?;
    }
    events.show_remaining(&context.screen);
    let left = cluster.leave()?;
    let service = if code == 0 { format!("drained {drained}") } else { format!("ended with code {code}") };
    let postgres = match left {
        Left::Stopped => "postgres stopped, data kept",
        Left::InUse => "postgres stays up for its other users",
        Left::InGrace => "postgres stays up, for `db url` or `db start`; now down: cargo xtask db stop",
    };
    context.screen.done("service", &format!("{service}; {postgres}. Again: cargo xtask dev"), None);
    Ok(())
}

/// What is shown on the way: every step on the first run, afterwards only those that did something.
struct Shown<'a> {
    context: &'a Context,
    repository: &'a Repository,
    first: bool,
}

impl Shown<'_> {
    fn postgres(&mut self, cluster: &Cluster, took: Duration) {
        if !self.first {
            return;
        }
        let Some(server) = cluster.folder().server() else { return };
        let versions = self.repository.config.postgres.versions.get_ref();
        let prd = versions.first().filter(|major| *major != server.major());
        let prd = prd.map(|major| format!("; prd runs {major}")).unwrap_or_default();
        let home = server.bin.parent().unwrap_or(&server.bin).display().to_string();
        self.context.screen.done("postgres", &format!("{} from {home}{prd}", server.version), Some(took));
    }

    fn secrets(&mut self, values: &secrets::Values) {
        let screen = &self.context.screen;
        if self.first {
            screen.done("secrets", &defaults(values.values.len()), None);
        }
        if !values.missing.is_empty() {
            let names = values.missing.join(", ");
            screen.note(&format!("no development value in xtask.toml [secrets.names]: {names}"));
        }
        let unused = values.masked.iter().filter(|name| self.context.env.var(name).is_some());
        let unused: Vec<&str> = unused.map(String::as_str).collect();
        if !unused.is_empty() {
            screen.note(&format!("not taken from your shell, because masked: {}", unused.join(", ")));
        }
    }

    fn migrations(&mut self, applied: usize, loaded: bool, took: Duration) {
        if applied > 0 || loaded || self.first {
            let loaded = if loaded { ", demo data loaded" } else { "" };
            self.context.screen.done("migrations", &format!("{applied} applied{loaded}"), Some(took));
        }
    }

    fn ready(&mut self, cluster: &Cluster, port: &port::Port, values: usize, took: Duration) {
        let screen = &self.context.screen;
        if self.first {
            screen.done("ready", "", Some(took));
            screen.line("");
        } else {
            let server = cluster.folder().server();
            let version = server.map_or_else(|| "?".to_owned(), |server| server.version);
            let name = self.repository.name();
            let took = crate::output::seconds(took);
            screen.headline(&format!("{name} · postgres {version} · {} · ready in {took}", defaults(values)));
        }
        if let Some(note) = &port.note {
            screen.note(note);
        }
        screen.line(&format!("  open      {:<33} database  cargo xtask db psql", port.url()));
        screen.line("  ctrl-c stops the service, and PostgreSQL with its last user; the data stay");
    }
}

fn defaults(number: usize) -> String {
    format!("{} from xtask.toml", count(number, "development default"))
}
