//! Statements and databases, through psql: it comes with every server, and we need no driver.

use std::path::{Path, PathBuf};

use anyhow::Result;
use xshell::{Cmd, cmd};

use crate::process::{Kind, Launcher};

/// psql on one server.
pub struct Psql<'a> {
    launcher: &'a Launcher<'a>,
    program: PathBuf,
    socket_folder: PathBuf,
}

impl<'a> Psql<'a> {
    /// The psql beside the server, else the one on PATH.
    pub(super) fn new(launcher: &'a Launcher<'a>, bin: Option<&Path>, socket_folder: PathBuf) -> Self {
        let beside = bin.map(|bin| bin.join("psql")).filter(|path| path.is_file());
        Psql { launcher, program: beside.unwrap_or_else(|| "psql".into()), socket_folder }
    }

    /// psql with a connection to `database`, for a terminal.
    pub fn command(&self, database: &str) -> Cmd<'a> {
        let Psql { launcher, program, socket_folder } = self;
        cmd!(
            launcher.shell,
            "{program} --host {socket_folder} --port 5432 --username postgres --dbname {database}"
        )
    }

    /// Runs `sql` in one transaction of `database` and gives the rows, a line each, columns between `|`.
    pub fn query(&self, database: &str, sql: &str) -> Result<String> {
        let quiet = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"];
        self.launcher.read(self.command(database).args(quiet).arg("--command").arg(sql), Kind::Tool)
    }

    /// Runs a file, and then `sql`, in one transaction of `database`.
    pub fn load(&self, database: &str, file: &Path, sql: &str) -> Result<()> {
        let quiet =
            ["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", "--output=/dev/null"];
        let command = self.command(database).args(quiet).arg("--file").arg(file).arg("--command").arg(sql);
        self.launcher.read(command, Kind::Tool).map(drop)
    }

    /// The comment of a database, empty where it has none; `None` if there is no such database.
    pub fn comment(&self, database: &str) -> Result<Option<String>> {
        let name = literal(database);
        let sql = format!(
            "select 'is here', shobj_description(oid, 'pg_database') from pg_database where datname = {name}"
        );
        Ok(self.query("postgres", &sql)?.split_once('|').map(|(_, comment)| comment.to_owned()))
    }

    /// Makes `database` unless it is there.
    pub fn ensure(&self, database: &str) -> Result<()> {
        if self.comment(database)?.is_some() {
            return Ok(());
        }
        // Another caller may be quicker.
        self.create(database).or_else(|error| match self.comment(database)? {
            Some(_) => Ok(()),
            None => Err(error),
        })
    }

    /// Makes an empty database.
    pub fn create(&self, database: &str) -> Result<()> {
        self.query("postgres", &format!("create database {}", identifier(database))).map(drop)
    }

    /// Gives a database another name; nobody may be connected to it.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        let sql = format!("alter database {} rename to {}", identifier(from), identifier(to));
        self.query("postgres", &sql).map(drop)
    }

    /// Drops a database, also one that is in use, if it is there.
    pub fn drop(&self, database: &str) -> Result<()> {
        self.query("postgres", &format!("drop database if exists {} with (force)", identifier(database)))
            .map(drop)
    }
}

/// A name as SQL writes it.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL writes it.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
