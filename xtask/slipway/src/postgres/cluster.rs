//! Join the cluster of a folder, starting its keeper when it has none.

use std::ffi::OsString;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal};

use super::connection::{Connection, identifier, literal};
use super::folder::{Folder, Phase};
use super::keeper::{Life, VERB};
use super::programs::Programs;
use super::{NoServer, Places, account, template};
use crate::failure::{Code, Failure};
use crate::files::{self, Lock};
use crate::process::{Child, Launcher, tail};

/// How often a keeper's word is looked at, while one starts or ends.
const POLL: Duration = Duration::from_micros(500);

/// How long a server that says it is ready may be silent; it takes connections before it says so.
const SILENCE: Duration = Duration::from_secs(10);

/// What it takes to start a cluster.
#[derive(Clone)]
pub struct Plan {
    /// Its folder.
    pub folder: Folder,
    /// A path to the folder that is short enough for a socket.
    pub short: PathBuf,
    /// The cache, for the template cluster.
    pub cache: PathBuf,
    /// The majors that will do, in order of preference.
    pub versions: Vec<String>,
    /// A folder with the server's programs, instead of a search.
    pub bin: Option<PathBuf>,
    /// Where to search.
    pub places: Places,
    /// Who we are.
    pub uid: u32,
    /// What becomes of the data.
    pub life: Life,
    /// A template cluster to start from, instead of a bare one.
    pub template: Option<PathBuf>,
    /// A port of 127.0.0.1 to listen on as well.
    pub tcp: Option<u16>,
}

impl Plan {
    /// The folder of the server's socket, in its short form.
    pub fn socket_folder(&self) -> PathBuf {
        self.short.join("data")
    }

    /// The URL of a database. There is no password in it: the socket's folder is closed to others.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost:5432/{database}?host={}", self.socket_folder().display())
    }

    /// The server for this folder: data of a major is only ever opened by that major.
    pub(super) fn find_server(&self, launcher: &Launcher<'_>) -> Result<super::Server> {
        let Some(major) = self.folder.data_major() else {
            return self.places.find(launcher, &self.versions, self.bin.as_deref());
        };
        let found = self.places.find(launcher, std::slice::from_ref(&major), self.bin.as_deref());
        let found = match found {
            Ok(server) if server.major() == major => return Ok(server),
            // What `bin` names.
            Ok(other) => vec![other],
            Err(error) => error.downcast::<NoServer>()?.found,
        };
        Err(NoServer { wanted: vec![major], found, data: Some(self.folder.data()) }.into())
    }
}

/// A running server that stays up as long as this value lives.
pub struct Cluster {
    plan: Plan,
    users: Lock,
}

/// What became of a server that was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// We were its last user.
    Stopped,
    /// Others use it.
    InUse,
    /// Nobody uses it, and whoever asked for its URL may still come.
    InGrace,
}

impl Cluster {
    /// Joins the server of the plan's folder, or starts it. Waits as long as the server needs: a recovery
    /// may take minutes, and a dead server is noticed at once.
    pub fn join(launcher: &Launcher<'_>, plan: Plan) -> Result<Self> {
        files::own_folder(plan.folder.path(), plan.uid)?;
        // Blocks while a keeper stops its server.
        let users = Lock::shared(&plan.folder.users_lock())?;
        Self::join_holding(launcher, plan, users)
    }

    pub(super) fn join_holding(launcher: &Launcher<'_>, plan: Plan, users: Lock) -> Result<Self> {
        let folder = plan.folder.clone();
        let mut keeper: Option<Child> = None;
        let mut silent: Option<Instant> = None;
        loop {
            if keeper.is_none() {
                match Lock::try_exclusive(&folder.owner_lock())? {
                    // What the last keeper wrote is stale: whoever reads it now must see that.
                    Some(free) => {
                        free.write("")?;
                        drop(free);
                        keeper = Some(start_keeper(launcher, &plan)?);
                        silent = None;
                    }
                    None if folder.is_ready() && answers(&plan) => break,
                    None => {}
                }
            } else if folder.is_ready() && answers(&plan) {
                break;
            }
            // A keeper that ends in peace has met another one.
            match keeper.as_mut().map(Child::ended).transpose()?.flatten() {
                None => {}
                Some(0) => keeper = None,
                Some(_) => return Err(not_started(&folder).into()),
            }
            if folder.is_ready() && silent.get_or_insert_with(Instant::now).elapsed() > SILENCE {
                return Err(unreachable(&plan).into());
            }
            launcher.progress().working("postgres", "starting");
            std::thread::sleep(POLL);
        }
        Ok(Cluster { plan, users })
    }

    /// The URL of a database, see [`Plan::url`].
    pub fn url(&self, database: &str) -> String {
        self.plan.url(database)
    }

    /// Where it is.
    pub fn folder(&self) -> &Folder {
        &self.plan.folder
    }

    /// PostgreSQL's programs on this server.
    pub fn programs<'a>(&self, launcher: &'a Launcher<'a>) -> Programs<'a> {
        let bin = self.folder().server().map(|server| server.bin);
        Programs::new(launcher, bin, self.plan.socket_folder())
    }

    /// A session with a database; `None` if there is no such database.
    pub fn connect(&self, database: &str) -> Result<Option<Connection>> {
        Connection::open(&self.plan.socket_folder(), database)
    }

    /// A session with the database that is always there, for statements about databases.
    pub fn admin(&self) -> Result<Connection> {
        self.connect("postgres")?.context("this server has no database `postgres`")
    }

    /// The comment of a database, empty where it has none; `None` if there is no such database.
    pub fn comment(&self, database: &str) -> Result<Option<String>> {
        let name = literal(database);
        self.admin()?.value(&format!(
            "select coalesce(shobj_description(oid, 'pg_database'), '') from pg_database where datname = {name}"
        ))
    }

    /// Makes `database` unless it is there.
    pub fn ensure(&self, database: &str) -> Result<()> {
        if self.connect(database)?.is_some() {
            return Ok(());
        }
        // Another caller may be quicker.
        self.create(database).or_else(|error| match self.connect(database)? {
            Some(_) => Ok(()),
            None => Err(error),
        })
    }

    /// Makes an empty database: from the one that came with the cluster, if that is still there.
    pub fn create(&self, database: &str) -> Result<()> {
        let mut admin = self.admin()?;
        let (spare, name) = (identifier(template::SPARE), identifier(database));
        let renamed = admin.query(&format!("alter database {spare} rename to {name}"));
        renamed.or_else(|_| admin.query(&format!("create database {name}"))).map(drop)
    }

    /// Drops a database, also one that is in use, if it is there.
    pub fn drop(&self, database: &str) -> Result<()> {
        let name = identifier(database);
        self.admin()?.query(&format!("drop database if exists {name} with (force)")).map(drop)
    }

    /// Joins the server of the plan's folder if one is up, and starts nothing.
    pub fn join_running(plan: Plan) -> Result<Option<Self>> {
        if !Self::is_up(&plan.folder)? {
            return Ok(None);
        }
        let users = Lock::shared(&plan.folder.users_lock())?;
        // It may have stopped before the lock was ours.
        let up = Self::is_up(&plan.folder)? && answers(&plan);
        Ok(up.then_some(Cluster { plan, users }))
    }

    /// Waits until the keeper of `folder` has ended. Gives whether nobody had told it to: it, or its server, was
    /// killed.
    pub fn wait_for_end(folder: &Folder) -> Result<bool> {
        drop(Lock::shared(&folder.owner_lock())?);
        Ok(!matches!(folder.phase(), Some((Phase::Stopping, _))))
    }

    /// Whether the server is going away though we use it: it, or its keeper, was killed. The kernel, and the
    /// keeper, need a moment until that shows.
    pub fn is_dying(&self) -> Result<bool> {
        std::thread::sleep(Duration::from_millis(50));
        Ok(!Self::is_up(self.folder())?)
    }

    /// Leaves the cluster; when that was its last user, waits until the server has stopped.
    pub fn leave(self) -> Result<Left> {
        let Cluster { plan: Plan { folder, .. }, users, .. } = self;
        drop(users);
        loop {
            if !Lock::is_owned(&folder.owner_lock())? {
                return Ok(Left::Stopped);
            }
            if Self::in_use(&folder)? {
                return Ok(Left::InUse);
            }
            if folder.grace().is_some() {
                return Ok(Left::InGrace);
            }
            std::thread::sleep(POLL);
        }
    }

    /// Whether a keeper runs for `folder`, and the server answers.
    pub fn is_up(folder: &Folder) -> Result<bool> {
        Ok(Lock::is_owned(&folder.owner_lock())? && folder.is_ready())
    }

    /// Whether anybody uses the cluster of `folder`. A keeper that looks, or stops, holds the lock alone.
    pub fn in_use(folder: &Folder) -> Result<bool> {
        Lock::is_shared(&folder.users_lock())
    }

    /// Stops the server of `folder` whoever uses it, and waits for its end. Gives whether it ran.
    pub fn stop(folder: &Folder) -> Result<bool> {
        folder.end_grace()?;
        let mut ran = false;
        loop {
            if !Lock::is_owned(&folder.owner_lock())? {
                return Ok(ran);
            }
            // The lock is held, so the process id in it is the keeper's.
            if !ran
                && let Some((Phase::Starting | Phase::Ready, pid)) = folder.phase()
                && let Some(pid) = Pid::from_raw(pid)
            {
                rustix::process::kill_process(pid, Signal::TERM).context("cannot reach the keeper")?;
                ran = true;
            }
            std::thread::sleep(POLL);
        }
    }
}

/// Whether the server takes connections: it may have died a moment ago, before its keeper noticed.
fn answers(plan: &Plan) -> bool {
    UnixStream::connect(plan.socket_folder().join(".s.PGSQL.5432")).is_ok()
}

fn unreachable(plan: &Plan) -> Failure {
    let socket = plan.socket_folder();
    Failure::new(Code::Failed, "PostgreSQL runs, and its socket does not answer")
        .why(format!(
            "nobody listens at {}, which leads to {}",
            socket.display(),
            plan.folder.data().display()
        ))
        .next("cargo xtask db stop --force      and the same command again")
}

fn start_keeper(launcher: &Launcher<'_>, plan: &Plan) -> Result<Child> {
    let folder = &plan.folder;
    let server = plan.find_server(launcher)?;
    let account = account::choose(plan.uid, &folder.data())?;
    let template = match &plan.template {
        Some(template) => template.clone(),
        None => template::ensure(launcher, &server, &plan.cache, account)?,
    };
    let mut args: Vec<OsString> = vec![VERB.into(), folder.path().into()];
    args.extend(["--bin".into(), server.bin.clone().into()]);
    args.extend(["--version".into(), server.version.into()]);
    args.extend(["--template".into(), template.into()]);
    if let Some(account) = account {
        args.extend(["--account".into(), format!("{}:{}", account.uid, account.gid).into()]);
    }
    args.extend(["--life".into(), plan.life.name().into()]);
    if let Some(port) = plan.tcp {
        args.extend(["--tcp".into(), port.to_string().into()]);
    }
    launcher.start_own(&args, folder.open_keeper_log()?)
}

fn not_started(folder: &Folder) -> Failure {
    let said = fs::read_to_string(folder.keeper_log()).unwrap_or_default();
    let log = fs::read_to_string(folder.log()).unwrap_or_default();
    let mut failure = Failure::new(Code::Failed, "PostgreSQL did not start");
    if !said.trim().is_empty() {
        failure = failure.why(said.trim().trim_start_matches("error: "));
    }
    if !log.trim().is_empty() {
        failure = failure.fact("log", format!("{}\n{}", folder.log().display(), tail(&log, 8)));
    }
    failure.next("the same command again; the data are as they were")
}
