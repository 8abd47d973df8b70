//! `db restore`: what a dump holds in the development database's place.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::replace::replace;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::postgres::{Cluster, identifier, literal};
use crate::process::Launcher;

#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask db restore before.dump")]
pub struct Args {
    /// A file of SQL, or of pg_dump's compressed format
    file: PathBuf,
    /// Say what would be lost, change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// Counts what a database has beside PostgreSQL's own.
const TABLES: &str = "select count(*) from pg_class where relkind in ('r', 'p', 'v', 'm') \
    and relnamespace not in (select oid from pg_namespace where nspname ~ '^(pg_|information_schema$)')";
/// Within so many bytes of its ends SQL of pg_dump says what it is.
const EDGE: u64 = 1000;
/// How pg_dump's own format begins.
const MAGIC: &[u8] = b"PGDMP";

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let repository = context.repository()?;
    let launcher = context.launcher(&repository.workspace.root)?;
    let (name, shown) = (repository.name(), args.file.display());
    let file = context.env.cwd.join(&args.file);
    let own_format = has_own_format(&file).map_err(|error| {
        Failure::new(Code::Usage, format!("cannot read {shown}")).why(error).next("cargo xtask db dump FILE")
    })?;
    if args.dry_run {
        context.screen.done("restore", &format!("would replace the database {name} by {shown}"), None);
        return Ok(ExitCode::SUCCESS);
    }
    context.confirm(&format!("Replace the development database {name} by {shown}?"))?;
    let cluster = super::open(context, &repository, &launcher)?;
    let started = Instant::now();
    let fill = |fresh: &str| fill(&launcher, &cluster, fresh, &file, own_format);
    replace(&launcher, &cluster, name, fill).map_err(|error| match error.downcast::<Failure>() {
        Ok(failure) => Failure { what: format!("{name} is as it was: {}", failure.what), ..failure }
            .next(format!("cargo xtask db dump FILE writes what can be restored; is {shown} one?"))
            .into(),
        Err(error) => error,
    })?;
    context.screen.done("restored", &format!("{name} from {shown}"), Some(started.elapsed()));
    let standing = super::status::standing(&repository, &cluster)?;
    match standing.pending.len() {
        _ if !standing.is_sound() => {
            context.screen.note("its migrations are not those of this branch: cargo xtask db status");
        }
        0 => {}
        pending => context.screen.note(&format!("{pending} pending: cargo xtask db migrate")),
    }
    Ok(ExitCode::SUCCESS)
}

/// Fills the new database `fresh`, which is to have something in it then.
fn fill(
    launcher: &Launcher<'_>,
    cluster: &Cluster,
    fresh: &str,
    file: &Path,
    own_format: bool,
) -> Result<()> {
    if !own_format && is_cut(file)? {
        return Err(Failure::new(Code::Failed, "the dump is cut off").why("its last line is missing").into());
    }
    cluster.create(fresh)?;
    let programs = cluster.programs(launcher);
    match own_format {
        true => programs.restore(fresh, file)?,
        false => programs.load(fresh, file, "")?,
    }
    let mut database = cluster.connect(fresh)?.context("the new database is gone")?;
    if database.value(TABLES)?.as_deref() == Some("0") {
        return Err(Failure::new(Code::Failed, "the file makes no table").into());
    }
    // What came from a dump wants no demo data on top.
    database.query(&format!("comment on database {} is {}", identifier(fresh), literal("restored"))).map(drop)
}

/// Whether a file that pg_dump wrote as SQL lacks its end. Other SQL has no mark of its end.
fn is_cut(file: &Path) -> Result<bool> {
    let edge = |from: SeekFrom| -> Result<String> {
        let (mut file, mut bytes) = (File::open(file)?, Vec::new());
        // From before its beginning, a short file is read whole.
        file.seek(from).or_else(|_| file.rewind().map(|()| 0))?;
        file.take(EDGE).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let (head, tail) = (edge(SeekFrom::Start(0))?, edge(SeekFrom::End(-EDGE.cast_signed()))?);
    let (begins, ends) = ("-- PostgreSQL database dump", "-- PostgreSQL database dump complete");
    Ok(head.contains(begins) && !tail.contains(ends))
}

fn has_own_format(file: &Path) -> std::io::Result<bool> {
    let mut head = Vec::new();
    File::open(file)?.take(MAGIC.len() as u64).read_to_end(&mut head)?;
    Ok(head == MAGIC)
}
