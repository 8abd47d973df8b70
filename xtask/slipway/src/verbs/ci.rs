//! `ci`: what CI runs, the same on a laptop. Under GitHub Actions each step is a group, what has a place is
//! an annotation there, and the step summary has a table.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use xshell::cmd;

use super::secrets::scan;
use super::{image, sync_actions, test};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::seconds;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask ci\n  cargo xtask ci lint")]
pub struct Args {
    /// Which step; all of them without
    #[arg(value_enum)]
    step: Option<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Step {
    /// rustfmt finds nothing to change
    Fmt,
    /// clippy finds nothing to warn of
    Lint,
    /// All tests pass
    Test,
    /// The shared workflows are as locked
    Actions,
    /// No secret is in a file, here or in the history
    Secrets,
    /// The image can be built
    Image,
}

impl Step {
    const ALL: [Step; 6] = [Step::Fmt, Step::Lint, Step::Test, Step::Actions, Step::Secrets, Step::Image];

    fn name(self) -> &'static str {
        match self {
            Step::Fmt => "fmt",
            Step::Lint => "lint",
            Step::Test => "test",
            Step::Actions => "actions",
            Step::Secrets => "secrets",
            Step::Image => "image",
        }
    }

    /// The exit code of the step.
    fn run(self, context: &Context, report: &mut Report<'_>) -> Result<u8> {
        match self {
            Step::Fmt => fmt(context, report),
            Step::Lint => lint(context, report),
            Step::Test => test::run_observed(context, &test::Args::default(), &mut |line| {
                if let Some((file, line, column)) = panic_place(line) {
                    report.error(file, line, column, "a test panicked here");
                }
            }),
            Step::Actions => {
                sync_actions::step(context, &mut |file, message| report.error(file, "1", "1", message))
            }
            Step::Secrets => {
                scan::step(context, &mut |file, line, message| report.error(file, line, "1", message))
            }
            Step::Image => image::step(context),
        }
    }
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    // Wrong for one step is wrong for all.
    context.repository()?;
    let steps = args.step.map_or(Step::ALL.to_vec(), |step| vec![step]);
    let mut report = Report { context, table: String::new() };
    let mut failed = Vec::new();
    for step in steps {
        let started = Instant::now();
        report.group(&format!("ci {}", step.name()));
        // The first failure does not hide the others; an interruption ends all.
        let code = step.run(context, &mut report).unwrap_or_else(|error| {
            context.screen.error(&error);
            error.downcast_ref::<Failure>().map_or(Code::Failed as u8, |failure| failure.code)
        });
        report.end_group(step, code == 0, started);
        if code != 0 {
            failed.push((step.name(), code));
        }
        if code > 128 {
            return Err(Failure::interrupted(code).into());
        }
    }
    report.write_summary()?;
    let Some((_, first)) = failed.first() else { return Ok(ExitCode::SUCCESS) };
    // One reason for all has its own code, such as 5 for a missing server.
    let code = if failed.iter().all(|(_, code)| code == first) { *first } else { Code::Failed as u8 };
    let names: Vec<&str> = failed.iter().map(|(name, _)| *name).collect();
    let mut failure = Failure::new(Code::Failed, format!("failed: {}", names.join(", ")));
    failure.code = code;
    Err(failure.next(format!("cargo xtask ci {}", names.first().unwrap_or(&""))).into())
}

fn fmt(context: &Context, report: &mut Report<'_>) -> Result<u8> {
    let root = context.repository()?.workspace.root;
    let launcher = context.launcher(&root)?;
    let color = if context.screen.color() { "always" } else { "never" };
    let command = cmd!(launcher.shell, "cargo fmt --all --check -- --color {color}");
    let code = test::watch(context, &launcher, command, &[], &mut |line| {
        // "Diff in /srv/links/app/src/main.rs:3:"
        let place =
            line.strip_prefix("Diff in ").and_then(|rest| rest.trim_end_matches(':').rsplit_once(':'));
        if let Some((file, line)) = place {
            let file = file.strip_prefix(&format!("{}/", root.display())).unwrap_or(file);
            report.error(file, line, "1", "not formatted: cargo fmt --all");
        }
    })?;
    if code != 0 {
        context.screen.line("next: cargo fmt --all");
    }
    Ok(step_code(code))
}

/// What clippy says with `--message-format=json`, as far as we read it.
#[derive(Deserialize)]
struct Message {
    message: Diagnostic,
}

#[derive(Deserialize)]
struct Diagnostic {
    message: String,
    rendered: Option<String>,
    spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Span {
    file_name: String,
    line_start: u32,
    column_start: u32,
    is_primary: bool,
}

fn lint(context: &Context, report: &mut Report<'_>) -> Result<u8> {
    let root = context.repository()?.workspace.root;
    let launcher = context.launcher(&root)?;
    let rendered = if context.screen.color() { "json-diagnostic-rendered-ansi" } else { "json" };
    let command = cmd!(
        launcher.shell,
        "cargo clippy --workspace --all-targets --message-format {rendered} -- -D warnings"
    );
    let code = test::watch_some(context, &launcher, command, &[], &mut |line| {
        let Ok(Message { message }) = serde_json::from_str(line) else { return !line.starts_with('{') };
        if let Some(rendered) = &message.rendered {
            context.screen.line(rendered.trim_end());
        }
        if let Some(span) = message.spans.iter().find(|span| span.is_primary) {
            let (line, column) = (span.line_start.to_string(), span.column_start.to_string());
            report.error(&span.file_name, &line, &column, &message.message);
        }
        false
    })?;
    Ok(step_code(code))
}

/// cargo's 101 is a failed step; an interruption stays one.
fn step_code(code: u8) -> u8 {
    match code {
        0 | 129.. => code,
        _ => Code::Failed as u8,
    }
}

/// `app/tests/api.rs:10:5` of "thread 'x' (1) panicked at app/tests/api.rs:10:5:".
fn panic_place(line: &str) -> Option<(&str, &str, &str)> {
    let place = line.split_once("' ")?.1.split_once("panicked at ")?.1.trim_end_matches(':');
    let (rest, column) = place.rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    line.parse::<u32>().ok().zip(column.parse::<u32>().ok()).map(|_| (file, line, column))
}

/// What GitHub Actions is told, in its own commands; elsewhere a headline and a mark.
struct Report<'a> {
    context: &'a Context,
    table: String,
}

impl Report<'_> {
    fn group(&self, name: &str) {
        match self.context.env.github_actions() {
            true => self.context.screen.line(&format!("::group::{name}")),
            false => self.context.screen.headline(name),
        }
    }

    fn end_group(&mut self, step: Step, good: bool, started: Instant) {
        let (mark, took) = (if good { "✓" } else { "✗" }, started.elapsed());
        // Writing to a string cannot fail.
        let _ = writeln!(self.table, "| {mark} | {} | {} |", step.name(), seconds(took));
        if self.context.env.github_actions() {
            self.context.screen.line("::endgroup::");
        }
        match good {
            true => self.context.screen.done(step.name(), "", Some(took)),
            false => self.context.screen.failed(step.name(), "", Some(took)),
        }
    }

    fn error(&self, file: &str, line: &str, column: &str, message: &str) {
        if self.context.env.github_actions() {
            // In a command's properties and text these would end it.
            let clean = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
            let property = |text: &str| clean(text).replace(':', "%3A").replace(',', "%2C");
            let (file, message) = (property(file), clean(message));
            self.context.screen.line(&format!("::error file={file},line={line},col={column}::{message}"));
        }
    }

    fn write_summary(&self) -> Result<()> {
        let Some(path) = self.context.env.var("GITHUB_STEP_SUMMARY") else { return Ok(()) };
        let text = format!("| | step | time |\n|---|---|---|\n{}\n", self.table);
        std::fs::File::options()
            .create(true)
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write the step summary {path}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_panic_is_read_from_either_form_of_its_line() {
        let place = Some(("app/tests/api.rs", "10", "5"));
        assert_eq!(panic_place("thread 'api::put' (4711) panicked at app/tests/api.rs:10:5:"), place);
        assert_eq!(panic_place("thread 'api::put' panicked at app/tests/api.rs:10:5:"), place);
        assert_eq!(panic_place("test api::put ... FAILED"), None);
    }
}
