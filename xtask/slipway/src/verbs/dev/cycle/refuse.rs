//! A step that failed: the one that serves goes on, and everybody who looks is told.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::super::refusal::{MIGRATE, Refusal};
use super::{Cycle, LAST_LINES, Parts, Step};
use crate::migrations::Standing;
use crate::process::Line;
use crate::reload::Page;
use crate::verbs::db;

/// How often the database is asked whether what stopped a migration has changed.
const AGAIN: Duration = Duration::from_secs(1);

impl Cycle<'_> {
    /// A step has failed: the one that serves goes on serving, and everybody who looks is told.
    pub(super) fn refuse(&mut self, refusal: &Refusal) -> Result<()> {
        let Parts { context, shown, .. } = self.parts;
        self.trouble = Some(refusal.source.clone());
        self.stuck = self.standing();
        match refusal.is_mild && self.serving.is_some() {
            true => self.tell_page(&self.config_trouble.clone().unwrap_or_default()),
            false => self.tell_page(&refusal.text()),
        }
        let keeps = match &self.serving {
            Some(serving) => format!("; the build of {} keeps serving", serving.clock),
            None => String::new(),
        };
        let mark = if refusal.is_mild { "·" } else { "✗" };
        self.say(&refusal.source, &format!("{mark} {}{keeps}", refusal.what));
        if !refusal.said.is_empty() {
            context.screen.line(&refusal.said);
        }
        if !refusal.way.is_empty() {
            context.screen.line(&refusal.way);
        }
        if self.serving.is_none() && (self.late || !matches!(self.step, Step::Start(..))) {
            if let Some(page) = self.page.take() {
                page.stop();
            }
            let title = format!("{}: {}", self.repository.name(), refusal.what);
            self.page = Some(Page::show(&self.port.listener, &title, &refusal.body())?);
            if !self.url_shown {
                shown.waiting(&self.port);
                self.url_shown = true;
            }
        }
        self.dated = true;
        Ok(())
    }

    /// Nothing is wrong any more, unless it is xtask.toml.
    pub(super) fn settle(&mut self) {
        self.trouble = None;
        let text = self.config_trouble.clone().unwrap_or_default();
        self.tell_page(&text);
    }

    /// How files and database stand, where that is what stops a migration.
    fn standing(&self) -> Option<Standing> {
        let matters = self.trouble.as_deref() == Some(MIGRATE);
        matters.then(|| db::standing(&self.repository, &self.cluster).ok()).flatten()
    }

    /// A migration that was refused is tried again as soon as the database has changed: after `db reset`, say.
    pub(super) fn look_at_database(&mut self) -> Result<()> {
        let waits = self.trouble.as_deref() == Some(MIGRATE) && matches!(self.step, Step::Idle);
        if !waits || self.asked.elapsed() < AGAIN {
            return Ok(());
        }
        self.asked = Instant::now();
        let now = self.standing();
        if now.is_none() || now == self.stuck {
            return Ok(());
        }
        self.say(MIGRATE, "· the database has changed");
        self.migrate(self.waiting.clone(), true)
    }

    /// A full disk is no reason to end what runs.
    fn tell_page(&self, text: &str) {
        if let Err(error) = self.problem.say(text) {
            self.say("page", &format!("✗ it does not hear of this: {error:#}"));
        }
    }

    /// The generation that was the process `pid` has ended by itself.
    pub(super) fn refuse_end(&mut self, code: u8, pid: u32) -> Result<()> {
        self.parts.events.last_words(pid).iter().for_each(|line| self.heard(line));
        let heard = self.last_lines.remove(&pid).unwrap_or_default();
        let heard = heard.into_iter().collect::<Vec<_>>().join("\n");
        let typed = self.parts.context.env.stdin_terminal;
        self.refuse(&Refusal::ended(self.repository.name(), code, heard, typed))
    }

    /// A program printed a line.
    pub fn heard(&mut self, line: &Line) {
        let Parts { context, events, .. } = self.parts;
        let is_old = self.retired.iter().any(|retired| retired.pid() == line.pid);
        match is_old {
            true => events.say(&context.screen, &format!("{} old", line.source), &line.text),
            false => events.show(&context.screen, line),
        }
        if line.source == self.repository.name() {
            let lines = self.last_lines.entry(line.pid).or_default();
            if lines.len() == LAST_LINES {
                lines.pop_front();
            }
            lines.push_back(line.text.clone());
        }
    }
}
