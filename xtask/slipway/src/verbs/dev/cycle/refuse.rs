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
        context.screen.clear();
        if !refusal.said.is_empty() {
            context.screen.line(&refusal.said);
        }
        let keeps = match &self.serving {
            Some(serving) => format!("; the build of {} keeps serving", serving.clock),
            None => String::new(),
        };
        self.say(&refusal.source, &format!("✗ {}{keeps}", refusal.what));
        if !refusal.way.is_empty() {
            context.screen.line(&refusal.way);
        }
        self.problem.say(&refusal.text())?;
        if self.serving.is_none() && !matches!(self.step, Step::Start(..)) {
            if let Some(page) = self.page.take() {
                page.stop();
            }
            let title = format!("{}: {}", self.repository.name(), refusal.what);
            self.page = Some(Page::show(&self.port.listener, &title, &refusal.text())?);
            if !self.dated {
                shown.waiting(&self.port);
            }
        }
        self.dated = true;
        Ok(())
    }

    /// A generation has ended by itself.
    pub(super) fn refuse_end(&mut self, code: u8) -> Result<()> {
        let heard = self.last_words();
        self.refuse(&Refusal::ended(self.repository.name(), code, heard))
    }

    /// A program printed a line.
    pub fn heard(&mut self, line: &Line) {
        let Parts { context, events, .. } = self.parts;
        events.show(&context.screen, line);
        if line.source == self.repository.name() {
            if self.last_lines.len() == LAST_LINES {
                self.last_lines.pop_front();
            }
            self.last_lines.push_back(line.text.clone());
        }
    }

    /// What the service printed last, which may still be on its way.
    pub(super) fn last_words(&mut self) -> String {
        self.parts.events.last_words().iter().for_each(|line| self.heard(line));
        self.last_lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}
