//! Join the cluster of a folder, starting its keeper when it has none.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal};

use super::folder::{Folder, Phase};
use super::keeper::VERB;
use super::psql::Psql;
use super::{Places, account, template};
use crate::failure::{Code, Failure};
use crate::files::{self, Lock};
use crate::process::{Child, Launcher, tail};

/// What it takes to start a cluster.
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
    /// Whether committed rows survive a power cut. Without it the folder is removed with its last user.
    pub durable: bool,
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
        loop {
            if keeper.is_none() {
                match Lock::try_exclusive(&folder.owner_lock())? {
                    // What the last keeper wrote is stale: whoever reads it now must see that.
                    Some(free) => {
                        free.write("")?;
                        drop(free);
                        keeper = Some(start_keeper(launcher, &plan)?);
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
            launcher.progress().working("postgres", "starting");
            std::thread::sleep(Duration::from_millis(1));
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

    /// psql on this server.
    pub fn psql<'a>(&self, launcher: &'a Launcher<'a>) -> Psql<'a> {
        let bin = self.folder().server().map(|server| server.bin);
        Psql::new(launcher, bin.as_deref(), self.plan.socket_folder())
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
            if folder.in_grace() {
                return Ok(Left::InGrace);
            }
            std::thread::sleep(Duration::from_millis(5));
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
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Whether the server takes connections: it may have died a moment ago, before its keeper noticed.
fn answers(plan: &Plan) -> bool {
    UnixStream::connect(plan.socket_folder().join(".s.PGSQL.5432")).is_ok()
}

fn start_keeper(launcher: &Launcher<'_>, plan: &Plan) -> Result<Child> {
    let folder = &plan.folder;
    let server = find_server(launcher, plan)?;
    let account = account::choose(plan.uid, &folder.data())?;
    let template = template::ensure(launcher, &server, &plan.cache, account)?;
    let mut args: Vec<OsString> = vec![VERB.into(), folder.path().into()];
    args.extend(["--bin".into(), server.bin.clone().into()]);
    args.extend(["--version".into(), server.version.into()]);
    args.extend(["--template".into(), template.into()]);
    if let Some(account) = account {
        args.extend(["--account".into(), format!("{}:{}", account.uid, account.gid).into()]);
    }
    if !plan.durable {
        args.push("--ephemeral".into());
    }
    let log = File::create(folder.keeper_log()).context("cannot write the keeper's log")?;
    launcher.start_own(&args, log)
}

/// The server for this folder: data of a major is only ever opened by that major.
fn find_server(launcher: &Launcher<'_>, plan: &Plan) -> Result<super::Server> {
    let Ok(major) = fs::read_to_string(plan.folder.data().join("PG_VERSION")) else {
        return plan.places.find(launcher, &plan.versions, plan.bin.as_deref());
    };
    let major = major.trim().to_owned();
    let found = plan.places.find(launcher, std::slice::from_ref(&major), plan.bin.as_deref());
    match found {
        Ok(server) if server.major() == major => Ok(server),
        _ => Err(Failure::new(Code::Missing, format!("the development data is of PostgreSQL {major}"))
            .why(format!(
                "{} cannot be opened by another major, and no {major} is installed",
                plan.folder.data().display()
            ))
            .next(format!("install PostgreSQL {major} again, dump what you need, then remove that folder"))
            .into()),
    }
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
