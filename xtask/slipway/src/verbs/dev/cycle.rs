//! A save on its way to the page: build → migrate → start → swap. The old generation serves until the new one is
//! ready, and goes on serving when any step fails.
//!
//! One step at a time, none of which blocks: [`Cycle::turn`] looks how far it is.

mod asked;
mod refuse;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::events::Events;
use super::port::Port;
use super::refusal::Refusal;
use super::shown::Shown;
use crate::context::{Context, Repository};
use crate::migrations::{self, Report};
use crate::output::seconds;
use crate::postgres::Cluster;
use crate::process::{Child, Launcher};
use crate::reload::{Build, Built, Generation, Page, Problem, Retired, Service, Watch, admin_socket};
use crate::secrets::Values;
use crate::verbs::db;
use crate::workspace::CONFIG_FILE;

/// The pause between two looks at a step that goes on.
const PAUSE: Duration = Duration::from_millis(2);
/// After this long a generation that is not ready is worth a line.
const LATE: Duration = Duration::from_secs(10);
/// How many of the last lines of a service that died are shown on the page.
const LAST_LINES: usize = 40;
/// What cargo may write while it builds.
const LOCK: &str = "Cargo.lock";
/// How many changed files are named.
const NAMED: usize = 3;

/// What a cycle does its work with.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    pub context: &'a Context,
    pub launcher: &'a Launcher<'a>,
    pub events: &'a Events,
    pub shown: &'a Shown<'a>,
    /// When `dev` was started.
    pub started: Instant,
}

/// What is under way.
enum Step {
    Idle,
    Build(Build),
    Migrate(migrations::Run, Next),
    /// A generation that is not ready yet.
    Start(Service, Next),
}

/// What a migration or a start leads to.
struct Next {
    /// What to start; after `m` nothing.
    binary: Option<PathBuf>,
    since: Instant,
}

/// A generation that serves.
struct Serving {
    service: Service,
    binary: PathBuf,
    /// Tells one build of that path from another.
    stamp: Option<std::time::SystemTime>,
    /// The time of day when it was started.
    clock: String,
}

pub struct Cycle<'a> {
    parts: Parts<'a>,
    repository: Repository,
    cluster: Cluster,
    port: Port,
    values: Values,
    watch: Watch,
    problem: Problem,
    step: Step,
    serving: Option<Serving>,
    retired: Vec<Retired>,
    /// Answers while no service does.
    page: Option<Page>,
    generations: usize,
    /// The hash of the migrations that were applied last.
    migrated: Option<String>,
    /// It was said that the generation that starts is not ready yet.
    late: bool,
    /// The next build is started even if it made nothing new.
    forced: bool,
    /// The URL was shown.
    announced: bool,
    /// From the first URL or the first failure on, steps are lines with their time.
    dated: bool,
    last_lines: VecDeque<String>,
    browser: Option<Child>,
}

impl<'a> Cycle<'a> {
    pub fn new(
        parts: Parts<'a>,
        repository: Repository,
        cluster: Cluster,
        port: Port,
        values: Values,
        watch: Watch,
        problem: Problem,
    ) -> Self {
        Cycle {
            parts,
            repository,
            cluster,
            port,
            values,
            watch,
            problem,
            step: Step::Idle,
            serving: None,
            retired: Vec::new(),
            page: None,
            generations: 0,
            migrated: None,
            late: false,
            forced: false,
            announced: false,
            dated: false,
            last_lines: VecDeque::new(),
            browser: None,
        }
    }

    fn say(&self, source: &str, text: &str) {
        let Parts { context, events, .. } = self.parts;
        context.screen.clear();
        events.say(&context.screen, source, text);
    }

    /// How long nothing needs a look.
    pub fn pause(&self) -> Duration {
        let busy = !matches!(self.step, Step::Idle) || !self.retired.is_empty();
        if busy { PAUSE } else { self.watch.pause() }
    }

    /// Looks how far everything is.
    pub fn turn(&mut self) -> Result<()> {
        let changes = self.watch.look(self.parts.launcher);
        if !changes.is_empty() {
            self.saved(&changes)?;
        }
        match std::mem::replace(&mut self.step, Step::Idle) {
            Step::Idle => {}
            Step::Build(mut build) => match build.poll(self.parts.launcher)? {
                Some(built) => self.built(built)?,
                None => self.step = Step::Build(build),
            },
            Step::Migrate(mut run, next) => match run.poll()? {
                Some(report) => self.migrated(report, next)?,
                None => self.step = Step::Migrate(run, next),
            },
            Step::Start(service, next) => self.starting(service, next)?,
        }
        self.look_at_services()
    }

    fn look_at_services(&mut self) -> Result<()> {
        let mut still = Vec::new();
        for mut retired in std::mem::take(&mut self.retired) {
            match retired.poll()? {
                None => still.push(retired),
                Some(code) if code == 0 || !retired.served => {}
                Some(code) => {
                    self.say(
                        self.repository.name(),
                        &format!("✗ the old one ended with code {code}: it lost requests"),
                    );
                }
            }
        }
        self.retired = still;
        if self.browser.as_mut().map(Child::ended).transpose()?.flatten().is_some_and(|code| code != 0) {
            self.say("open", &format!("✗ no browser was found for {}", self.port.url()));
            self.browser = None;
        }
        let Some(serving) = &mut self.serving else { return Ok(()) };
        let Some(code) = serving.service.ended()? else { return Ok(()) };
        self.serving = None;
        self.refuse_end(code)
    }

    /// Files were saved.
    fn saved(&mut self, changes: &[PathBuf]) -> Result<()> {
        let mut names: Vec<String> = changes.iter().map(|path| path.display().to_string()).collect();
        if names.len() > NAMED {
            let more = names.len() - NAMED;
            names.truncate(NAMED);
            names.push(format!("{more} more"));
        }
        self.dated = true;
        self.say("change", &names.join(", "));
        if changes.iter().any(|path| path == Path::new(CONFIG_FILE)) && !self.read_config()? {
            return Ok(());
        }
        self.build()
    }

    /// Builds what is there now. What was under way is of older files.
    fn build(&mut self) -> Result<()> {
        let Parts { context, launcher, .. } = self.parts;
        match std::mem::replace(&mut self.step, Step::Idle) {
            Step::Idle => {}
            Step::Build(build) => build.cancel()?,
            Step::Migrate(run, _) => run.cancel()?,
            Step::Start(service, _) => self.retired.push(service.retire(false)),
        }
        self.step = Step::Build(Build::start(launcher, self.repository.name(), context.screen.color())?);
        Ok(())
    }

    /// A build has ended.
    pub fn built(&mut self, built: Result<Built>) -> Result<()> {
        self.watch.accept(self.parts.launcher, LOCK);
        let built = match built {
            Ok(built) => built,
            Err(error) => return self.refuse(&Refusal::of("build", &error)),
        };
        if self.dated {
            if !built.warnings.is_empty() {
                self.parts.context.screen.clear();
                self.parts.context.screen.line(&built.warnings);
            }
            self.say("build", &format!("✓ {}", seconds(built.took)));
        } else {
            db::report_build(self.parts.context, &built);
            self.parts.shown.secrets(&self.values);
        }
        let same =
            |serving: &Serving| serving.binary == built.binary && serving.stamp == stamp(&built.binary);
        if self.forced || !self.serving.as_ref().is_some_and(same) {
            return self.migrate(Some(built.binary));
        }
        if migrations::hash(&self.repository.migrations()).ok() != self.migrated {
            return self.migrate(None);
        }
        self.say("swap", "· nothing that the service is made of has changed");
        self.problem.clear()
    }

    /// Applies pending migrations with `binary`, or with the one that serves. Where their files are as they were, it
    /// goes on at once.
    fn migrate(&mut self, binary: Option<PathBuf>) -> Result<()> {
        let Parts { launcher, .. } = self.parts;
        let next = Next { binary, since: Instant::now() };
        let hash = migrations::hash(&self.repository.migrations());
        if next.binary.is_some() && !self.forced && hash.as_ref().ok() == self.migrated.as_ref() {
            return self.start(next);
        }
        let standing = match hash.and_then(|_| db::standing(&self.repository, &self.cluster)) {
            Ok(standing) => standing,
            Err(error) => return self.refuse(&Refusal::of("migrate", &error)),
        };
        let findings = standing.findings(&self.repository.migrations_typed());
        if standing.is_refused() {
            return self.refuse(&Refusal::of_findings(&findings));
        }
        for finding in findings.iter().filter(|_| standing.unfinished.is_empty()) {
            self.say(
                "migrate",
                &format!("· {} {}: {}", finding.files.join(", "), finding.state, finding.way),
            );
        }
        let Some(with) = next.binary.as_ref().or(self.serving.as_ref().map(|serving| &serving.binary)) else {
            self.say("migrate", "✗ nothing is built yet");
            return Ok(());
        };
        let url = self.cluster.url(self.repository.name());
        let run = migrations::Run::start(launcher, with, &url, &self.repository.migrations());
        match run {
            Ok(run) => self.step = Step::Migrate(run, next),
            Err(error) => return self.refuse(&Refusal::of("migrate", &error)),
        }
        Ok(())
    }

    fn migrated(&mut self, report: Result<Report>, next: Next) -> Result<()> {
        let Parts { launcher, shown, .. } = self.parts;
        let done = report.and_then(|report| {
            let (repository, cluster) = (&self.repository, &self.cluster);
            Ok((report, db::load_demo_once(repository, launcher, cluster, repository.name())?))
        });
        let (report, loaded) = match done {
            Ok(done) => done,
            Err(error) => return self.refuse(&Refusal::of("migrate", &error)),
        };
        self.migrated = migrations::hash(&self.repository.migrations()).ok();
        if self.dated {
            for migration in &report.applied {
                self.say("migrate", &format!("✓ {}.sql {} ms", migration.name, migration.ms));
            }
            if loaded {
                self.say("migrate", "✓ demo data loaded");
            }
        } else {
            shown.migrations(report.applied.len(), loaded, next.since.elapsed());
        }
        if next.binary.is_some() {
            return self.start(next);
        }
        if report.applied.is_empty() {
            self.say("migrate", "✓ nothing was pending");
        }
        self.problem.clear()
    }

    /// Starts a generation beside the one that serves.
    fn start(&mut self, next: Next) -> Result<()> {
        let Parts { launcher, events, .. } = self.parts;
        let Some(binary) = next.binary.clone() else { return Ok(()) };
        if let Some(page) = self.page.take() {
            page.stop();
        }
        self.generations += 1;
        self.late = false;
        self.last_lines.clear();
        let generation = Generation {
            binary,
            listener: &self.port.listener,
            admin: admin_socket(&self.repository.workspace.short, self.generations),
            problem: self.problem.path().to_path_buf(),
            database_url: self.cluster.url(self.repository.name()),
            values: &self.values.values,
            masked: &self.values.masked,
            declared: self.repository.config.secrets.names.keys().cloned().collect(),
        };
        let mut service = Service::start(launcher, generation)?;
        events.lines.read(self.repository.name(), &mut service.child)?;
        self.step = Step::Start(service, next);
        Ok(())
    }

    fn starting(&mut self, mut service: Service, next: Next) -> Result<()> {
        if let Some(code) = service.ended()? {
            return self.refuse_end(code);
        }
        if service.is_ready(self.parts.launcher) {
            return self.swap(service, next);
        }
        if !self.late && next.since.elapsed() > LATE {
            self.late = true;
            let text = format!("not ready after {}: its /readyz does not say 200", seconds(LATE));
            self.say(self.repository.name(), &format!("· {text}"));
            self.problem.say(&format!("{}: {text}", self.repository.name()))?;
        }
        self.step = Step::Start(service, next);
        Ok(())
    }

    /// The new generation answers; the old one finishes what it has begun.
    fn swap(&mut self, service: Service, next: Next) -> Result<()> {
        let Parts { shown, events, started, .. } = self.parts;
        let binary = next.binary.unwrap_or_default();
        let (stamp, clock) = (stamp(&binary), events.clock());
        let old = self.serving.replace(Serving { service, binary, stamp, clock });
        self.retired.extend(old.map(|old| old.service.retire(true)));
        self.problem.clear()?;
        self.forced = false;
        if self.announced {
            self.say("swap", &format!("✓ {:.2}s", next.since.elapsed().as_secs_f64()));
        } else {
            let values = self.values.values.len();
            shown.ready(&self.repository, &self.cluster, &self.port, values, started.elapsed());
        }
        (self.announced, self.dated) = (true, true);
        Ok(())
    }
}

/// When a file was written.
fn stamp(path: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(path).and_then(|found| found.modified()).ok()
}
