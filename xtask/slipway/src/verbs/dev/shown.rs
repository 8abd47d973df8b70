//! What is shown on the way to the first URL: every step on the first run, afterwards only those that did something.

use std::time::Duration;

use super::keys;
use super::port::Port;
use crate::context::{Context, Repository};
use crate::output::seconds;
use crate::postgres::Cluster;
use crate::verbs::secrets::Given;

pub struct Shown<'a> {
    context: &'a Context,
    /// Whether this clone has never run `dev`.
    first: bool,
}

impl<'a> Shown<'a> {
    pub fn new(context: &'a Context, repository: &Repository) -> Self {
        let first = !repository.cluster_folder().data().is_dir();
        if first {
            let (cache, state) = (context.env.tilde(&context.env.cache()), &repository.workspace.state);
            let state = repository.workspace.relative(state).display().to_string();
            let name = repository.name();
            let system = if context.options.install.is_some() {
                ""
            } else {
                ": nothing will be installed system-wide"
            };
            context.screen.headline(&format!("{name} · first run{system}"));
            context.screen.line(&format!("  state {state}, cache {cache}\n"));
        }
        Shown { context, first }
    }

    pub fn postgres(&self, repository: &Repository, cluster: &Cluster, took: Duration) {
        if !self.first {
            return;
        }
        let Some(server) = cluster.folder().server() else { return };
        let versions = repository.config.postgres.versions.get_ref();
        let prd = versions.first().filter(|major| *major != server.major());
        let prd = prd.map(|major| format!("; prd runs {major}")).unwrap_or_default();
        let home = server.bin.parent().unwrap_or(&server.bin).display().to_string();
        self.context.screen.done("postgres", &format!("{} from {home}{prd}", server.version), Some(took));
    }

    pub fn secrets(&self, given: &Given) {
        let screen = &self.context.screen;
        if self.first {
            screen.done("secrets", &given.said(), None);
        }
        given.notes(self.context, true).iter().for_each(|note| screen.note(note));
    }

    pub fn migrations(&self, applied: usize, loaded: bool, took: Duration) {
        if applied > 0 || loaded || self.first {
            let loaded = if loaded { ", demo data loaded" } else { "" };
            self.context.screen.done("migrations", &format!("{applied} applied{loaded}"), Some(took));
        }
    }

    pub fn ready(
        &self,
        repository: &Repository,
        cluster: &Cluster,
        port: &Port,
        given: &Given,
        took: Duration,
    ) {
        let screen = &self.context.screen;
        if self.first {
            screen.done("ready", "", Some(took));
            screen.line("");
        } else {
            let version = cluster.folder().server().map_or_else(|| "?".to_owned(), |server| server.version);
            let (name, took, values) = (repository.name(), seconds(took), given.said());
            screen.headline(&format!("{name} · postgres {version} · {values} · ready in {took}"));
        }
        if let Some(note) = &port.note {
            screen.note(note);
        }
        screen.line(&format!("  open      {:<33} database  cargo xtask db psql", port.url()));
        if self.context.env.stdin_terminal {
            screen.line(&format!("  {}", keys::HELP));
        }
        let watched = repository.config.dev.watch.get_ref().join(", ");
        screen.line(&format!("  watching {watched}: save a file; ctrl-c stops all, the data stay"));
    }

    /// Instead of [`Shown::ready`], where there is nothing to run yet.
    pub fn waiting(&self, port: &Port) {
        let screen = &self.context.screen;
        if let Some(note) = &port.note {
            screen.note(note);
        }
        screen.line(&format!("  open      {:<33} shows it too; save a file to try again", port.url()));
        if self.context.env.stdin_terminal {
            screen.line(&format!("  {}", keys::HELP));
        }
    }
}
