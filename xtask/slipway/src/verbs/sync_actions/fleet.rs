//! `sync-actions fleet`: who has which version. One look at many repositories, from their git objects; nothing in them
//! changes.

mod chart;
mod list;
mod page;
mod read;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use self::report::{Report, Row, State};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::files::write_atomic;
use crate::output::{Screen, count};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask sync-actions fleet --from repositories.txt\n  \
                  cargo xtask sync-actions fleet --org acme --html fleet.html\nMore: docs/sync-actions.md")]
#[group(skip)]
pub struct Args {
    /// A file with a repository a line: a folder, from the file, or a git address; `#` begins a comment
    #[arg(long, value_name = "FILE", required_unless_present = "org", conflicts_with = "org")]
    from: Option<PathBuf>,
    /// All repositories of a GitHub organisation or user that are not archived, as gh lists them
    #[arg(long, value_name = "NAME")]
    org: Option<String>,
    /// For programs, on stdout
    #[arg(long, conflicts_with = "html")]
    json: bool,
    /// Also write one static page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let repositories = match (&args.org, &args.from) {
        (Some(org), _) => list::of_org(context, org)?,
        (None, Some(file)) => list::from_file(context, file)?,
        (None, None) => Vec::new(),
    };
    let found = read::repositories(context, &repositories)?;
    let sources = read::sources(context, &found)?;
    let report = Report::new(repositories, found, sources);
    context.screen.clear();
    if args.json {
        context.screen.data(&report.json().to_string());
    } else {
        show(&context.screen, &report);
    }
    if let Some(path) = &args.html {
        write_atomic(&context.env.cwd.join(path), page::html(&report, &super::check::today()).as_bytes())?;
        context.screen.done("page", &path.display().to_string(), None);
    }
    // The last thing, so that nobody has to scroll for it.
    let lost = report.rows.iter().filter(|row| row.state == State::Unreachable).count();
    match lost {
        0 => Ok(ExitCode::SUCCESS),
        _ => {
            let what = format!("{lost} of {} could not be read", repositories_of(report.rows.len()));
            let failure = Failure::new(Code::Unreachable, what);
            let next = report.rows.iter().find(|row| row.state == State::Unreachable);
            Err(next.into_iter().fold(failure, |failure, row| failure.next(look_at(row))).into())
        }
    }
}

/// How a person finds out more about one that could not be read.
fn look_at(row: &Row) -> String {
    match row.local {
        true => format!("git -C {} log -1", crate::process::quote(&row.address)),
        false => format!("git ls-remote {}", crate::process::quote(&row.address)),
    }
}

fn repositories_of(number: usize) -> String {
    if number == 1 { "1 repository".to_owned() } else { format!("{number} repositories") }
}

/// The table, in columns as wide as what is in them.
fn show(screen: &Screen, report: &Report) {
    const HEADS: [&str; 6] = ["repository", "source", "version", "behind", "edited", "own"];
    let cells = |row: &Row| {
        let number = |number: usize| if number == 0 { String::new() } else { number.to_string() };
        [
            row.name.clone(),
            row.source_name(),
            row.version_name(),
            row.behind_text(),
            number(row.edited.len()),
            number(row.own.len()),
        ]
    };
    let table: Vec<_> = report.rows.iter().map(|row| (row, cells(row))).collect();
    let widths: [usize; 6] = std::array::from_fn(|column| {
        let width = |cells: &[String; 6]| cells[column].chars().count();
        table.iter().map(|(_, cells)| width(cells)).max().unwrap_or(0).max(HEADS[column].len())
    });
    let line = |cells: [&str; 6]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ")
    };
    screen.headline(&format!("    {}  state", line(HEADS)));
    for (row, cells) in &table {
        let mark = match row.state {
            State::Unreachable | State::Withdrawn => "✗",
            State::Behind | State::Edited | State::Unknown => "!",
            State::Current => "✓",
            State::NotAdopted => "·",
        };
        let why = row.error.as_ref().or(row.withdrawn.as_ref());
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let text =
            format!("{mark} {}  {}{why}", line(cells.each_ref().map(String::as_str)), row.state.name());
        screen.line(&format!("  {}", screen.marked(&text)));
    }
    screen.line("");
    for source in report.sources.iter().filter(|source| source.error.is_some()) {
        screen
            .warn(&source.short, &format!("behind unknown: {}", source.error.as_deref().unwrap_or_default()));
    }
    for source in report.sources.iter().filter(|source| source.newest.is_some()) {
        let newest = source.newest.as_ref().map(ToString::to_string).unwrap_or_default();
        screen.line(&format!("  {}: v{newest} of {}", source.short, count(source.versions.len(), "version")));
    }
    screen.line(&format!("  {}", report.summary()));
}
