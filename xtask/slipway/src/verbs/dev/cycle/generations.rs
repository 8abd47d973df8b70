//! Generations of the service: started beside the one that serves, swapped in when ready, seen to their end.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::super::refusal::Refusal;
use super::{Cycle, Next, Parts, Serving, Step, stamp};
use crate::process::Child;
use crate::reload::{Generation, Service, admin_socket};

/// For so long a generation that starts is asked at every turn whether it is ready.
const SOON: Duration = Duration::from_secs(1);
/// From then on it is asked at this pause.
const SELDOM: Duration = Duration::from_millis(50);
/// After this long a generation that is not ready is worth a line.
const LATE: Duration = Duration::from_secs(10);

impl Cycle<'_> {
    /// Starts a generation beside the one that serves.
    pub(super) fn start(&mut self, next: Next) -> Result<()> {
        let Parts { launcher, events, .. } = self.parts;
        let next = Next { since: Instant::now(), ..next };
        let Some(binary) = next.binary.clone() else { return Ok(()) };
        if let Some(page) = self.page.take() {
            page.stop();
        }
        self.generations += 1;
        self.late = false;
        let generation = Generation {
            binary,
            listener: &self.port.listener,
            admin: admin_socket(&self.repository.workspace.short, self.generations),
            problem: self.problem.path().to_path_buf(),
            database_url: self.cluster.url(self.repository.name()),
            values: &self.given.values.values,
            masked: &self.given.values.masked,
        };
        let mut service = Service::start(launcher, generation)?;
        events.forget(service.child.id());
        events.lines.read(self.repository.name(), &mut service.child)?;
        self.step = Step::Start(service, next);
        Ok(())
    }

    pub(super) fn starting(&mut self, mut service: Service, next: Next) -> Result<()> {
        if let Some(code) = service.ended()? {
            return self.refuse_end(code, service.child.id());
        }
        let waits = next.since.elapsed();
        if waits < SOON || self.asked.elapsed() > SELDOM {
            self.asked = Instant::now();
            match service.is_ready(self.parts.launcher) {
                Ok(()) => return self.swap(service, next),
                Err(lack) if waits > LATE && !self.late => {
                    self.late = true;
                    self.refuse(&Refusal::late(self.repository.name(), waits, &lack))?;
                }
                Err(_) => {}
            }
        }
        self.step = Step::Start(service, next);
        Ok(())
    }

    /// The new generation answers; the old one finishes what it has begun.
    fn swap(&mut self, service: Service, next: Next) -> Result<()> {
        let Parts { shown, events, started, .. } = self.parts;
        let binary = next.binary.unwrap_or_default();
        let (stamp, clock) = (stamp(&binary), events.clock());
        let old = self.serving.replace(Serving { service, binary, stamp, clock });
        let new = self.serving.as_ref().map(|serving| serving.service.child.id());
        self.last_lines.retain(|pid, _| Some(*pid) == new);
        self.retired.extend(old.map(|old| old.service.retire(true)));
        // One that was slow to get ready had a page.
        if let Some(page) = self.page.take() {
            page.end();
        }
        self.settle();
        (self.forced, self.waiting) = (false, None);
        if self.announced {
            self.say("swap", &format!("✓ {:.2}s", next.since.elapsed().as_secs_f64()));
        } else {
            shown.ready(&self.repository, &self.cluster, &self.port, &self.given, started.elapsed());
        }
        (self.announced, self.url_shown, self.dated) = (true, true, true);
        Ok(())
    }

    /// Sees who has ended.
    pub(super) fn look_at_services(&mut self) -> Result<()> {
        self.look_at_retired()?;
        if self.browser.as_mut().map(Child::ended).transpose()?.flatten().is_some_and(|code| code != 0) {
            self.say("open", &format!("✗ no browser was found for {}", self.port.url()));
            self.browser = None;
        }
        let Some(serving) = &mut self.serving else { return Ok(()) };
        let Some(code) = serving.service.ended()? else { return Ok(()) };
        let pid = serving.service.child.id();
        self.serving = None;
        self.refuse_end(code, pid)
    }

    /// Sees which old generations have finished what they had begun.
    pub(super) fn look_at_retired(&mut self) -> Result<()> {
        let mut still = Vec::new();
        for mut retired in std::mem::take(&mut self.retired) {
            match retired.poll()? {
                None => still.push(retired),
                Some(code) if code == 0 || !retired.served => {}
                Some(code) => {
                    self.say(
                        self.repository.name(),
                        &format!("✗ the old one ended with code {code}: it lost requests"),
                    );
                }
            }
        }
        self.retired = still;
        Ok(())
    }
}
