//! Contents that git keeps: each is read once, however many paths and commits have it.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};

use anyhow::Result;

use super::dotenv::Flavor;
use super::git::{Git, contents};
use super::search::{Hit, Searcher};
use super::tree::LONG;

/// So many bytes are in memory at once, twice.
const BATCH: u64 = 16_000_000;

/// What is known of each content, by git's name for it.
#[derive(Default)]
pub struct Objects {
    known: HashMap<String, Known>,
    /// How many were read.
    pub read: usize,
    /// How many were too long.
    pub long: usize,
    /// How many are not here.
    pub missing: usize,
}

#[derive(Default)]
struct Known {
    hits: Vec<Hit>,
    /// What it was read as.
    done: Vec<Flavor>,
    /// What it is to be read as.
    asked: Vec<Flavor>,
    /// Whether it was read at all.
    is_read: bool,
}

impl Objects {
    /// A content that a file here has, and what is in it.
    pub fn know(&mut self, object: &str, flavor: Option<Flavor>, hits: &[Hit]) {
        let known = self.known.entry(object.to_owned()).or_default();
        known.is_read = true;
        known.done.extend(flavor);
        // A set: a file can have very many.
        let before: HashSet<Hit> = known.hits.iter().copied().collect();
        known.hits.extend(hits.iter().filter(|hit| !before.contains(hit)));
    }

    /// A content that a path of this kind has.
    pub fn want(&mut self, object: &str, flavor: Option<Flavor>) {
        let known = match self.known.get_mut(object) {
            Some(known) => known,
            None => self.known.entry(object.to_owned()).or_default(),
        };
        known
            .asked
            .extend(flavor.filter(|flavor| !known.done.contains(flavor) && !known.asked.contains(flavor)));
    }

    /// What was found in a content.
    pub fn hits(&self, object: &str) -> &[Hit] {
        self.known.get(object).map(|known| known.hits.as_slice()).unwrap_or_default()
    }

    /// Reads what is wanted and not known yet: this thread asks git, the others search.
    pub fn read(&mut self, git: &Git<'_>, searcher: &Searcher) -> Result<()> {
        let unread = |known: &Known| !known.is_read || !known.asked.is_empty();
        let mut wanted: Vec<String> =
            self.known.iter().filter(|(_, known)| unread(known)).map(|(object, _)| object.clone()).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        wanted.sort();
        let mut batches: Vec<(Vec<String>, u64)> = Vec::new();
        let mut total = 0;
        for (object, size) in wanted.iter().zip(git.sizes(&wanted)?) {
            match size {
                None => self.missing += 1,
                Some(size) if size > LONG => self.long += 1,
                Some(size) => {
                    self.read += 1;
                    total += size;
                    match batches.last_mut() {
                        Some((objects, bytes)) if *bytes + size <= BATCH => {
                            objects.push(object.clone());
                            *bytes += size;
                        }
                        _ => batches.push((vec![object.clone()], size)),
                    }
                }
            }
        }
        let known = &self.known;
        let flavors = |object: &str| known.get(object).map(|known| known.asked.clone()).unwrap_or_default();
        let found = std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel::<Vec<u8>>(0);
            let receiver = Arc::new(Mutex::new(receiver));
            let workers: Vec<_> = (0..2)
                .map(|_| receiver.clone())
                .map(|batches| scope.spawn(|| search(batches, searcher, &flavors)))
                .collect();
            // Else nobody would tell us that all of them have ended.
            drop(receiver);
            let mut done = 0;
            let mut fed = Ok(());
            for (objects, bytes) in batches {
                git.launcher.progress().amount("scan", "the history", done, Some(total));
                done += bytes;
                let sent = git.batch(&objects, bytes).map(|batch| sender.send(batch));
                match sent {
                    Ok(Ok(())) => {}
                    // Whoever searches has ended, and says why below.
                    Ok(Err(_)) => break,
                    Err(error) => {
                        fed = Err(error);
                        break;
                    }
                }
            }
            drop(sender);
            let mut found = Vec::new();
            for worker in workers {
                let joined =
                    worker.join().map_err(|_| anyhow::anyhow!("a thread of the scan ended early"))?;
                found.extend(joined?);
            }
            fed.map(|()| found)
        })?;
        for (object, hits) in found {
            if let Some(known) = self.known.get_mut(&object) {
                known.hits.extend(hits.into_iter().filter(|hit| !known.is_read || hit.flavor.is_some()));
            }
        }
        Ok(())
    }
}

/// Searches batches until there are no more. Gives the contents in which something is.
fn search(
    batches: Arc<Mutex<Receiver<Vec<u8>>>>,
    searcher: &Searcher,
    flavors: &dyn Fn(&str) -> Vec<Flavor>,
) -> Result<Vec<(String, Vec<Hit>)>> {
    let mut found = Vec::new();
    loop {
        let batch = batches.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).recv();
        let Ok(batch) = batch else { return Ok(found) };
        for (object, bytes) in contents(&batch)? {
            let hits = searcher.look(bytes, &flavors(&object));
            if !hits.is_empty() {
                found.push((object, hits));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    #[test]
    fn very_many_secrets_in_one_file_take_no_time() {
        let hit = |mark| Hit { kind: Kind::DopplerToken, line: 1, mark, flavor: None };
        let hits: Vec<Hit> = (0..300_000).map(hit).collect();
        let started = std::time::Instant::now();
        let mut objects = Objects::default();
        objects.know("a", None, &hits);
        objects.know("a", None, &hits);
        assert_eq!(objects.hits("a"), hits);
        assert!(started.elapsed().as_secs() < 10);
    }
}
