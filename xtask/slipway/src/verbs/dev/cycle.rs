//! A save on its way to the page: build → migrate → start → swap. The old generation serves until the new one is
//! ready, and goes on serving when any step fails.
//!
//! One step at a time: [`Cycle::turn`] looks how far it is, and waits neither for a build nor a migration nor a drain.

mod asked;
mod generations;
mod refuse;

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::events::Events;
use super::port::Port;
use super::refusal::{MIGRATE, Refusal};
use super::shown::Shown;
use crate::cargo::{Build, Built};
use crate::context::{Context, Repository};
use crate::migrations::{self, Report, Standing};
use crate::output::seconds;
use crate::postgres::Cluster;
use crate::process::{Child, Launcher};
use crate::reload::{Page, Problem, Retired, Service, Watch};
use crate::verbs::db;
use crate::verbs::secrets::Given;
use crate::workspace::CONFIG_FILE;

/// The pause between two looks at a step that goes on.
const PAUSE: Duration = Duration::from_millis(2);
/// How many of the last lines of a service that died are shown on the page.
const LAST_LINES: usize = 200;
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
    given: Given,
    watch: Watch,
    problem: Problem,
    step: Step,
    serving: Option<Serving>,
    retired: Vec<Retired>,
    /// Answers while no service does.
    page: Option<Page>,
    generations: usize,
    /// What was built, and does not serve yet: it could not be migrated, or not be started.
    waiting: Option<PathBuf>,
    /// The demo data were loaded, or need not be.
    loaded: bool,
    /// It was said that the generation that starts is not ready yet.
    late: bool,
    /// When the generation that starts was asked last.
    asked: Instant,
    /// The next build is started even if it made nothing new.
    forced: bool,
    /// The first generation is ready, and was announced.
    announced: bool,
    /// The URL was shown, be it that of a page of ours.
    url_shown: bool,
    /// From the first URL or the first failure on, steps are lines with their time.
    dated: bool,
    /// What is wrong: the step that failed.
    trouble: Option<String>,
    /// How files and database stood when a migration was refused.
    stuck: Option<Standing>,
    /// What is wrong with xtask.toml, which nothing else mends.
    config_trouble: Option<String>,
    /// What each service printed last, by its process id.
    last_lines: HashMap<u32, VecDeque<String>>,
    browser: Option<Child>,
}

impl<'a> Cycle<'a> {
    pub fn new(
        parts: Parts<'a>,
        repository: Repository,
        cluster: Cluster,
        port: Port,
        mut given: Given,
        watch: Watch,
        problem: Problem,
    ) -> Result<Self> {
        parts.events.hide(given.mask()?);
        Ok(Cycle {
            parts,
            repository,
            cluster,
            port,
            given,
            watch,
            problem,
            step: Step::Idle,
            serving: None,
            retired: Vec::new(),
            page: None,
            generations: 0,
            waiting: None,
            loaded: false,
            late: false,
            asked: parts.started,
            forced: false,
            announced: false,
            url_shown: false,
            dated: false,
            trouble: None,
            stuck: None,
            config_trouble: None,
            last_lines: HashMap::new(),
            browser: None,
        })
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
            Step::Migrate(mut run, next) => {
                let report = run.poll()?;
                self.parts.launcher.progress().working("migrate", "");
                // When it has failed, all that it said is shown.
                run.news()
                    .iter()
                    .filter(|_| report.is_none())
                    .for_each(|line| self.say(MIGRATE, &format!("· {line}")));
                match report {
                    Some(report) => self.migrated(report, next)?,
                    None => self.step = Step::Migrate(run, next),
                }
            }
            Step::Start(service, next) => self.starting(service, next)?,
        }
        self.look_at_database()?;
        self.look_at_services()
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
        let folder = self.repository.migrations();
        for stray in migrations::strays(&folder) {
            if changes.iter().any(|path| self.repository.workspace.root.join(path) == folder.join(&stray)) {
                self.say(MIGRATE, &format!("· {stray} has no number at its start: it is never applied"));
            }
        }
        let config = changes.iter().any(|path| path == Path::new(CONFIG_FILE));
        if config && !self.read_config()? && changes.len() == 1 {
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
        let built = match built {
            Ok(built) => built,
            Err(error) => {
                // What was built before is older than what is saved.
                self.waiting = None;
                return self.refuse(&Refusal::of("build", &error));
            }
        };
        if self.dated {
            if !built.warnings.is_empty() {
                self.parts.context.screen.clear();
                self.parts.context.screen.line(&built.warnings);
            }
            self.say("build", &format!("✓ {}", seconds(built.took)));
        } else {
            db::report_build(self.parts.context, &built);
            self.parts.shown.secrets(&self.given);
        }
        let same =
            |serving: &Serving| serving.binary == built.binary && serving.stamp == stamp(&built.binary);
        let is_new = self.forced || !self.serving.as_ref().is_some_and(same);
        self.waiting = is_new.then_some(built.binary);
        self.migrate(self.waiting.clone(), false)
    }

    /// Applies pending migrations with `binary`, which is started then, or with the one that serves. `asked` says that
    /// somebody wants to hear of it.
    fn migrate(&mut self, binary: Option<PathBuf>, asked: bool) -> Result<()> {
        let Parts { launcher, .. } = self.parts;
        let next = Next { binary, since: Instant::now() };
        let folder = self.repository.migrations();
        if let Err(error) = migrations::files(&folder) {
            return self.refuse(&Refusal::of(MIGRATE, &error));
        }
        let standing = match db::standing(&self.repository, &self.cluster) {
            Ok(standing) => standing,
            Err(error) => return self.refuse(&Refusal::without_server(&error)),
        };
        let findings = if standing.is_sound() {
            Vec::new()
        } else {
            db::findings(&self.repository, launcher, &standing)
        };
        if standing.is_refused() {
            return self.refuse(&Refusal::of_findings(&findings, standing.pending.first()));
        }
        if let Some(empty) = standing.pending.iter().find(|one| migrations::is_empty(&folder, one)) {
            return self.refuse(&Refusal::of_empty(empty));
        }
        let idle = standing.pending.is_empty() && standing.unfinished.is_empty();
        for finding in findings.iter().filter(|_| idle && (asked || next.binary.is_some())) {
            self.say(MIGRATE, &format!("· {}: {}", finding.sentence(), finding.ways.join(", ")));
        }
        if idle && self.loaded && !asked {
            if next.binary.is_some() {
                return self.start(next);
            }
            self.say("swap", "· nothing that the service is made of has changed");
            self.settle();
            return Ok(());
        }
        let Some(with) = next.binary.as_ref().or(self.serving.as_ref().map(|serving| &serving.binary)) else {
            self.say(MIGRATE, "✗ no service is built and runs: save a file, or type r");
            return Ok(());
        };
        let url = self.cluster.url(self.repository.name());
        match migrations::Run::start(launcher, with, &url, &folder) {
            Ok(run) => self.step = Step::Migrate(run, next),
            Err(error) => return self.refuse(&Refusal::of(MIGRATE, &error)),
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
            Err(error) => return self.refuse(&Refusal::of(MIGRATE, &error)),
        };
        self.loaded = true;
        if self.dated {
            for migration in &report.applied {
                self.say(MIGRATE, &format!("✓ {}.sql {} ms", migration.name, migration.ms));
            }
            if loaded {
                self.say(MIGRATE, "✓ demo data loaded");
            }
        } else {
            shown.migrations(report.applied.len(), loaded, next.since.elapsed());
        }
        if next.binary.is_some() {
            return self.start(next);
        }
        if report.applied.is_empty() {
            self.say(MIGRATE, "✓ nothing was pending");
        }
        if self.trouble.as_deref() == Some(MIGRATE) {
            self.settle();
        }
        Ok(())
    }
}

/// When a file was written.
fn stamp(path: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(path).and_then(|found| found.modified()).ok()
}

/// What `dev` watches: what xtask.toml says, and that itself, and the demo data.
pub fn watch(repository: &Repository, launcher: &Launcher<'_>) -> Watch {
    let Repository { workspace, config } = repository;
    let demo = config.dev.demo_data.iter().map(|file| file.get_ref().clone());
    let only = config.dev.watch.get_ref().iter().cloned().chain([CONFIG_FILE.to_owned()]).chain(demo);
    Watch::new(launcher, &workspace.root, only.collect())
}
