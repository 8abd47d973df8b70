//! What a verb works with: the environment, the screen, and this repository.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;

use crate::cli::Options;
use crate::config::Config;
use crate::download::{LOCK_FILE, Pins};
use crate::failure::{Code, Failure};
use crate::output::Screen;
use crate::postgres::{Folder, Life, Places, Plan};
use crate::process::Launcher;
use crate::verbs::db;
use crate::workspace::{Env, MIGRATIONS, Workspace};

/// The run of one verb.
pub struct Context {
    /// What the process was given.
    pub(crate) env: Env,
    /// The one writer.
    pub(crate) screen: Screen,
    /// Options of every verb.
    pub(crate) options: Options,
    /// Makes the whole command line, for `help`.
    pub(crate) command: fn() -> clap::Command,
}

/// A repository, read and ready.
pub(crate) struct Repository {
    pub(crate) workspace: Workspace,
    pub(crate) config: Config,
}

impl Repository {
    /// The service's package, binary and database.
    pub(crate) fn name(&self) -> &str {
        self.config.service.name.get_ref()
    }

    /// The folder of the service's migrations.
    pub(crate) fn migrations(&self) -> PathBuf {
        self.workspace.root.join(MIGRATIONS)
    }

    /// The same, as people type it at the root.
    pub(crate) fn migrations_typed(&self) -> String {
        self.workspace.relative(&self.migrations()).display().to_string()
    }

    /// The sums of what is downloaded.
    pub(crate) fn pins(&self) -> Pins {
        pins(&self.workspace)
    }

    /// The folder of the development cluster.
    pub(crate) fn cluster_folder(&self) -> Folder {
        Folder::new(self.workspace.cluster())
    }
}

fn pins(workspace: &Workspace) -> Pins {
    Pins { path: workspace.root.join(LOCK_FILE), guard: workspace.state.join("xtask.lock.guard") }
}

impl Context {
    pub(crate) fn new(env: Env, options: Options, command: fn() -> clap::Command) -> Self {
        let screen = Screen::new(&env, options.color, options.verbose);
        Context { env, screen, options, command }
    }

    /// The repository around the current folder. Changes nothing.
    pub(crate) fn repository(&self) -> Result<Repository> {
        let workspace = Workspace::find(&self.env)?;
        let config = Config::read(&workspace.root)?;
        Ok(Repository { workspace, config })
    }

    /// Starts children in `folder`.
    pub(crate) fn launcher(&self, folder: &Path) -> Result<Launcher<'_>> {
        Launcher::new(&self.env, &self.screen, folder)
    }

    /// How to join or start the development cluster.
    pub(crate) fn plan(&self, repository: &Repository) -> Plan {
        let Repository { workspace, config } = repository;
        Plan {
            folder: repository.cluster_folder(),
            short: workspace.short.join("cluster"),
            cache: self.env.cache(),
            versions: config.postgres.versions.get_ref().clone(),
            bin: config.postgres.bin.as_ref().map(|bin| workspace.root.join(bin.get_ref())),
            places: self.places(Some(workspace)),
            uid: self.env.uid,
            life: Life::Durable,
            template: None,
            tcp: None,
        }
    }

    /// Where servers can be; those that were downloaded, for a worktree.
    pub(crate) fn places(&self, workspace: Option<&Workspace>) -> Places {
        let path = self.env.var("PATH").unwrap_or_default();
        Places {
            root: self.env.search_root(),
            path: path
                .split(':')
                .map(Into::into)
                .filter(|folder: &std::path::PathBuf| folder.is_absolute())
                .collect(),
            home: self.env.home().map(Path::to_path_buf),
            versions: self.env.cache().join("postgres/versions.json"),
            downloads: workspace.map(|found| db::downloads(self, &pins(found))).unwrap_or_default(),
        }
    }

    /// Whether somebody can answer a question.
    pub(crate) fn may_ask(&self) -> bool {
        let terminal = self.env.stdin_terminal && self.env.stderr_terminal;
        terminal && !self.env.is_set("CI") && !self.options.no_input
    }

    /// Asks before something is lost. Never waits for an answer that cannot come: without a terminal, under
    /// CI or with `--no-input` it is an error that names the flag.
    pub(crate) fn confirm(&self, question: &str) -> Result<()> {
        if !self.options.yes && !self.may_ask() {
            return Err(Failure::new(Code::Usage, format!("{question} Nobody here can answer"))
                .next("the same command with --yes")
                .into());
        }
        match self.ask(question)? {
            true => Ok(()),
            false => Err(Failure::new(Code::Failed, "nothing was changed").into()),
        }
    }

    /// The answer to a question, where somebody can give it. `--yes` is one.
    pub(crate) fn ask(&self, question: &str) -> Result<bool> {
        if self.options.yes {
            return Ok(true);
        }
        self.screen.clear();
        let answer = dialoguer::Confirm::new().with_prompt(question).default(false).interact();
        answer.map_err(|error| Failure::new(Code::Interrupted, "nothing was changed").why(error).into())
    }

    /// For own verbs: loads an SQL file below the root into the development database, starting the server
    /// and making the database where they are missing.
    pub fn load_sql(&self, path: &str) -> Result<ExitCode> {
        db::load(self, path)
    }
}
