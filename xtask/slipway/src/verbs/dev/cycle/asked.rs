//! What somebody asks of a running cycle beside saving code: a key, another xtask.toml, a killed server, the end.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::super::events::Event;
use super::super::keys::{self, Key};
use super::super::refusal::Refusal;
use super::{Cycle, PAUSE, Parts, Step};
use crate::config::Config;
use crate::postgres::Cluster;
use crate::reload::Retired;
use crate::verbs::db;
use crate::workspace::CONFIG_FILE;

/// After so long it is worth a line that requests hold up the end.
const SLOW: Duration = Duration::from_secs(1);

impl Cycle<'_> {
    /// Somebody typed a key.
    pub fn key(&mut self, key: Key) -> Result<()> {
        match key {
            Key::Rebuild => {
                self.forced = true;
                self.dated = true;
                self.build()?;
            }
            Key::Migrate if matches!(self.step, Step::Idle) => {
                self.dated = true;
                self.migrate(self.waiting.clone(), true)?;
            }
            Key::Migrate => self.say("migrate", "· a change is on its way, and its migrations with it"),
            Key::Open => {
                self.say("open", &self.port.url());
                self.browser = Some(self.port.open(self.parts.launcher)?);
            }
            Key::Quit | Key::Unknown => {
                self.parts.context.screen.line(&format!("  not understood; {}", keys::HELP));
            }
        }
        Ok(())
    }

    /// PostgreSQL was killed: it runs again, and the service connects by itself.
    pub fn server_was_killed(&mut self) -> Result<()> {
        let Parts { context, launcher, events, .. } = self.parts;
        let killed = Instant::now();
        self.cluster = db::open(context, &self.repository, launcher)?;
        events.watch(self.cluster.folder().clone());
        context.screen.done("postgres", "was killed, and runs again", Some(killed.elapsed()));
        Ok(())
    }

    /// Takes what it can from a changed xtask.toml; whether that could be read.
    pub(super) fn read_config(&mut self) -> Result<bool> {
        let Parts { context, launcher, .. } = self.parts;
        let config = match Config::read(&self.repository.workspace.root) {
            Ok(config) => config,
            Err(error) => {
                let refusal = Refusal::of(CONFIG_FILE, &error);
                self.config_trouble = Some(refusal.text());
                self.refuse(&refusal)?;
                return Ok(false);
            }
        };
        self.config_trouble = None;
        let later = self.repository.config.take(config);
        if !later.is_empty() {
            let text = format!("· takes effect with the next `cargo xtask dev`: {}", later.join(", "));
            self.say("change", &text);
        }
        if let Some(lack) = self.given.declare(context, &self.repository.config.secrets) {
            self.say("change", &format!("· {lack}"));
        }
        self.parts.events.hide(self.given.mask()?);
        let watch = super::watch(&self.repository, launcher);
        let old = std::mem::replace(&mut self.watch, watch);
        // It may have been saved again since it was read.
        self.watch.recall(&old, Path::new(CONFIG_FILE));
        self.forced = true;
        Ok(true)
    }

    /// Ends all: a service finishes what it has begun. Gives its code, if one served.
    pub fn stop(mut self) -> Result<(Option<u8>, Cluster)> {
        match std::mem::replace(&mut self.step, Step::Idle) {
            Step::Idle => {}
            Step::Build(build) => build.cancel()?,
            Step::Migrate(run, _) => run.cancel()?,
            Step::Start(service, _) => self.retired.push(service.retire(false)),
        }
        let mut code = None;
        let mut serving = self.serving.take().map(|serving| serving.service.retire(true));
        let (asked, mut said) = (Instant::now(), false);
        while serving.is_some() || !self.retired.is_empty() {
            if let Some(ended) = serving.as_mut().map(Retired::poll).transpose()?.flatten() {
                (code, serving) = (Some(ended), None);
            }
            self.look_at_retired()?;
            if !said && asked.elapsed() > SLOW {
                said = true;
                self.say(self.repository.name(), "· requests are still open; ctrl-c again ends them");
            }
            if let Some(Event::Line(line)) = self.parts.events.within(PAUSE) {
                self.heard(&line);
            }
        }
        if let Some(page) = self.page {
            page.stop();
        }
        Ok((code, self.cluster))
    }
}
