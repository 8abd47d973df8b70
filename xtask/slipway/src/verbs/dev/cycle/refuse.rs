//! A step that failed: the one that serves goes on, and everybody who looks is told.

use anyhow::Result;

use super::super::refusal::Refusal;
use super::{Cycle, LAST_LINES, Parts, Step};
use crate::process::Line;
use crate::reload::Page;

impl Cycle<'_> {
    /// A step has failed: the one that serves goes on serving, and everybody who looks is told.
    pub(super) fn refuse(&mut self, refusal: &Refusal) -> Result<()> {
        let Parts { context, shown, .. } = self.parts;
        self.trouble = Some(refusal.source.clone());
        self.tell_page(&refusal.text());
        let keeps = match &self.serving {
            Some(serving) => format!("; the build of {} keeps serving", serving.clock),
            None => String::new(),
        };
        self.say(&refusal.source, &format!("✗ {}{keeps}", refusal.what));
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
            self.page = Some(Page::show(&self.port.listener, &title, &refusal.text())?);
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
        self.refuse(&Refusal::ended(self.repository.name(), code, heard))
    }

    /// A program printed a line.
    pub fn heard(&mut self, line: &Line) {
        let Parts { context, events, .. } = self.parts;
        events.show(&context.screen, line);
        if line.source == self.repository.name() {
            let lines = self.last_lines.entry(line.pid).or_default();
            if lines.len() == LAST_LINES {
                lines.pop_front();
            }
            lines.push_back(line.text.clone());
        }
    }
}
