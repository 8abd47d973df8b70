//! `test`: every test of the workspace, on a server of this run's own, whose data are in memory.

use std::process::{ExitCode, Stdio};
use std::sync::mpsc::channel;
use std::time::Instant;

use anyhow::Result;
use xshell::{Cmd, cmd};

use super::db;
use crate::context::{Context, Repository};
use crate::failure::{Code, Failure};
use crate::migrations;
use crate::output::count;
use crate::postgres::{self, Cluster, Folder, Pool};
use crate::process::{Heard, Kind, Launcher, Leash, Line, Lines, Start};
use crate::secrets;

#[derive(clap::Args, Default)]
#[command(
    after_help = "Examples:\n  cargo xtask test\n  cargo xtask test -- redirect\n  cargo xtask test -- --package links"
)]
pub struct Args {
    /// Given to cargo nextest run, or to cargo test where nextest is not installed
    #[arg(last = true)]
    args: Vec<String>,
}

/// The database that each test clones. Nobody may be connected to it, so tests get its URL under a name of
/// its own and not as DATABASE_URL.
const TEMPLATE_VARIABLE: &str = "TEST_TEMPLATE_URL";

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    Ok(ExitCode::from(run_observed(context, args, &mut |_| {})?))
}

/// Runs the tests; `observe` sees each line that the runner prints. Gives the exit code.
pub fn run_observed(context: &Context, args: &Args, observe: &mut dyn FnMut(&str)) -> Result<u8> {
    let repository = context.repository()?;
    let launcher = context.launcher(&repository.workspace.root)?;
    let (cluster, template) = template(context, &repository, &launcher)?;
    let pool = Pool::fill(&cluster, &template, pool_size())?;
    let started = Instant::now();
    let runner = Runner::choose(context);
    let mut command = runner.command(&launcher, &args.args, context.screen.color());
    for name in repository.config.secrets.names.keys() {
        command = command.env_remove(name);
    }
    // Always the development defaults, whatever the shell has: a test is the same for everybody.
    let values = secrets::development(&repository.config.secrets, |_| None);
    let command = command.envs(&values.values).env(TEMPLATE_VARIABLE, cluster.url(&template));
    let mut totals = Totals::default();
    let code = watch(context, &launcher, command, &values.masked, &mut |line| {
        totals.read(&runner, line);
        observe(line);
    })?;
    drop(pool);
    cluster.leave()?;
    let fact = format!("{} with {}", count(totals.passed + totals.failed, "test"), runner.name());
    if code == 0 {
        context.screen.done("test", &fact, Some(started.elapsed()));
    } else {
        context.screen.failed("test", &fact, Some(started.elapsed()));
    }
    // The closing line that programs read.
    context.screen.line(&totals.to_string());
    match code {
        0 => Ok(0),
        129.. => Err(Failure::interrupted(code).into()),
        _ if totals.failed == 0 => {
            Err(Failure::new(Code::Failed, format!("{} ended with code {code}", runner.name()))
                .why("no test failed: what it says is above")
                .next("cargo xtask test")
                .into())
        }
        _ => Ok(Code::Failed as u8),
    }
}

/// A fresh server with one migrated database on it, which no test changes. It is a copy of one that was migrated
/// before, unless a migration changed since.
fn template(
    context: &Context,
    repository: &Repository,
    launcher: &Launcher<'_>,
) -> Result<(Cluster, String)> {
    repository.workspace.prepare(&context.env)?;
    let migrations = repository.migrations();
    let template = format!("{}_template", repository.name());
    let (hash, migrating) = (migrations::hash(&migrations)?, Instant::now());
    let (plan, made) = db::with_server(context, repository, launcher, &mut || {
        let mut plan = context.plan(repository);
        // Where there is no memory to hold it.
        plan.folder = Folder::new(repository.workspace.state.join("ephemeral"));
        plan.short = repository.workspace.short.join("ephemeral");
        let (copied, made) =
            postgres::ensure_migrated(launcher, &plan, repository.name(), &hash, &mut |cluster| {
                let built = db::build(context, repository, launcher)?;
                cluster.create(&template)?;
                migrations::apply(launcher, &built.binary, &cluster.url(&template), &migrations).map(drop)
            })?;
        plan.template = Some(copied);
        Ok((plan, made))
    })?;
    let files = count(migrations::files(&migrations)?.len(), "migration");
    if made {
        context.screen.done(
            "template",
            &format!("{files} applied, until one changes"),
            Some(migrating.elapsed()),
        );
    }
    let started = Instant::now();
    let cluster = postgres::start_ephemeral(launcher, plan)?;
    let server = cluster.folder().server();
    let version = server.map_or_else(|| "?".to_owned(), |server| server.version);
    let fact = format!("{version}, of this run alone, in {}", cluster.folder().path().display());
    context.screen.done("postgres", &fact, Some(started.elapsed()));
    Ok((cluster, template))
}

/// As many as the tests that run at once may ask for in the time that it takes to make one.
fn pool_size() -> usize {
    std::thread::available_parallelism().map_or(4, |cores| cores.get() * 2).clamp(4, 16)
}

/// Runs a command on a leash, shows each of its lines, and gives its code.
pub(super) fn watch(
    context: &Context,
    launcher: &Launcher<'_>,
    command: Cmd<'_>,
    masked: &[String],
    see: &mut dyn FnMut(&str),
) -> Result<u8> {
    watch_some(context, launcher, command, masked, &mut |line| {
        see(line);
        true
    })
}

/// [`watch`], which shows the lines that `see` says yes to.
pub(super) fn watch_some(
    context: &Context,
    launcher: &Launcher<'_>,
    command: Cmd<'_>,
    masked: &[String],
    see: &mut dyn FnMut(&str) -> bool,
) -> Result<u8> {
    context.screen.clear();
    let start = Start::new(command, Kind::Cargo, Leash::Group).masked(masked);
    let mut child = launcher.start(start.outputs(Stdio::piped(), Stdio::piped()))?;
    let (sender, receiver) = channel::<Heard>();
    let lines = Lines::new(sender, |heard| heard);
    lines.read("", &mut child)?;
    drop(lines);
    let passing = child.pass_signals_on()?;
    for heard in receiver {
        let Heard::Line(Line { text, .. }) = heard else { continue };
        if see(&text) {
            context.screen.line(&text);
        }
    }
    passing.wait(&mut child)
}

enum Runner {
    Nextest,
    Cargo,
}

impl Runner {
    /// nextest where it is installed.
    fn choose(context: &Context) -> Self {
        let found = which::which_in("cargo-nextest", context.env.var("PATH"), &context.env.cwd);
        if found.is_ok() { Runner::Nextest } else { Runner::Cargo }
    }

    fn name(&self) -> &'static str {
        match self {
            Runner::Nextest => "cargo nextest",
            Runner::Cargo => "cargo test",
        }
    }

    fn command<'a>(&self, launcher: &'a Launcher<'_>, args: &[String], color: bool) -> Cmd<'a> {
        let color = if color { "always" } else { "never" };
        let chosen =
            args.iter().any(|arg| arg == "-p" || arg.starts_with("--package") || arg == "--workspace");
        let scope = if chosen { None } else { Some("--workspace") };
        let sh = &launcher.shell;
        match self {
            Runner::Nextest => {
                cmd!(
                    sh,
                    "cargo nextest run --cargo-profile serve --no-fail-fast --color {color} {scope...} {args...}"
                )
            }
            Runner::Cargo => {
                cmd!(sh, "cargo test --profile serve --no-fail-fast --color {color} {scope...} {args...}")
            }
        }
    }
}

/// Tests counted over all binaries of a run: cargo prints one result each, and the last one is often that of
/// no doc-tests at all.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Totals {
    fn read(&mut self, runner: &Runner, line: &str) {
        let plain = crate::output::strip_color(line);
        let counts = match runner {
            // "     Summary [   0.5s] 5 tests run: 4 passed (1 slow), 1 failed, 2 skipped", once; the results
            // of single tests that it shows look like cargo's
            Runner::Nextest => {
                plain.trim_start().strip_prefix("Summary [").and_then(|rest| rest.split_once(" run: "))
            }
            // "test result: ok. 3 passed; 0 failed; 1 ignored; …", once for each binary
            Runner::Cargo => plain.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")),
        };
        let counts = counts.map(|(_, counts)| counts);
        for part in counts.unwrap_or_default().split([';', ',']) {
            let mut words = part.split_whitespace();
            let number = words.next().and_then(|word| word.parse::<usize>().ok()).unwrap_or(0);
            match words.next() {
                Some("passed") => self.passed += number,
                Some("failed" | "timed" | "exec") => self.failed += number,
                Some("ignored" | "skipped") => self.skipped += number,
                _ => {}
            }
        }
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_over_all_binaries_of_either_runner() {
        let cargo = "running 4 tests\n\
            test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        let nextest = "\x1b[1m     Summary\x1b[0m [   0.5s] 9 tests run: 6 passed (1 slow), 2 failed, 1 timed out, 3 skipped";
        let shown = format!("{cargo}\n{nextest}");
        for (runner, said, passed, failed, skipped, line) in [
            (Runner::Cargo, cargo, 4, 2, 1, "4 passed, 2 failed, 1 skipped"),
            (Runner::Nextest, nextest, 6, 3, 3, "6 passed, 3 failed, 3 skipped"),
            // nextest shows what a failed test printed, which is a result of its own.
            (Runner::Nextest, &shown, 6, 3, 3, "6 passed, 3 failed, 3 skipped"),
            (Runner::Cargo, "a test that prints 7 passed, 1 failed", 0, 0, 0, "0 passed, 0 failed"),
        ] {
            let mut totals = Totals::default();
            said.lines().for_each(|line| totals.read(&runner, line));
            assert_eq!(totals, Totals { passed, failed, skipped });
            assert_eq!(totals.to_string(), line);
        }
    }
}
