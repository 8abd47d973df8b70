//! Nothing that somebody wrote is ever lost: random edits on both sides, and every local line is found again. A tenth of
//! the figure, all of it with SLIPWAY_SOAK=1.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use super::source::{HERE, Source, commit, here, locked, state};
use crate::case::Case;

/// Files of one source.
const FILES: usize = 250;

/// Numbers that differ from run to run; the first one is shown, to repeat a run (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 16) % limit as u64).unwrap()
    }

    fn one_in(&mut self, limit: usize) -> bool {
        self.below(limit) == 0
    }

    /// A line as workflows have them: some are everywhere, some pin an action, some are nowhere else.
    fn line(&mut self, who: &str) -> String {
        match self.below(10) {
            0 => String::new(),
            1 => "    runs-on: ubuntu-24.04".to_owned(),
            2 => "=======".to_owned(),
            3 | 4 => {
                let (action, version) = (["checkout", "cache"][self.below(2)], self.below(9));
                format!("      - uses: actions/{action}@{version:040} # v{version}.0.{}", self.below(3))
            }
            _ => format!("        {who} {}", self.below(1_000_000)),
        }
    }

    fn lines(&mut self, who: &str) -> Vec<String> {
        (0..self.below(40)).map(|_| self.line(who)).collect()
    }

    /// Some edits: nothing, a few lines, or everything.
    fn edit(&mut self, lines: &mut Vec<String>, who: &str) {
        if self.one_in(25) {
            *lines = self.lines(who);
        }
        for _ in 0..self.below(4) {
            let (at, to) = (self.below(lines.len() + 1), self.below(lines.len().max(1)));
            match self.below(5) {
                0 => lines.insert(at, self.line(who)),
                _ if at == lines.len() => {}
                1 => drop(lines.remove(at)),
                2 => lines[at] = self.line(who),
                3 => lines.insert(to, lines[at].clone()),
                _ => {
                    let line = lines.remove(at);
                    lines.insert(to, line);
                }
            }
        }
    }

    /// Lines as a file: some with CRLF, some without an end.
    fn bytes(&mut self, lines: &[String]) -> String {
        let end = if self.one_in(8) { "\r\n" } else { "\n" };
        let text: String = lines.iter().map(|line| format!("{line}{end}")).collect();
        if self.one_in(8) { text.trim_end_matches(['\r', '\n']).to_owned() } else { text }
    }
}

/// A file in its three lives.
struct Triple {
    name: String,
    base: Option<String>,
    ours: Option<String>,
    theirs: Option<String>,
}

fn triple(random: &mut Random, index: usize) -> Triple {
    // Files that are alike by chance would be taken for renamed ones.
    let mut lines = vec![format!("# {index}")];
    lines.extend(random.lines("base"));
    let (mut mine, mut new) = (lines.clone(), lines.clone());
    let base = random.bytes(&lines);
    let side = |random: &mut Random, lines: &mut Vec<String>, who: &str| match random.below(12) {
        0 => None,
        1..4 => Some(base.clone()),
        _ => {
            random.edit(lines, who);
            Some(random.bytes(lines))
        }
    };
    let (ours, theirs) = (side(random, &mut mine, "ours"), side(random, &mut new, "theirs"));
    // A tenth is new, some of that with another file in its place.
    let base = Some(base).filter(|_| theirs.is_none() || !random.one_in(10));
    let base = base.or_else(|| theirs.is_none().then(String::new));
    Triple { name: format!("{index:03}.yml"), base, ours, theirs }
}

/// The lines of a text, without their ends.
fn lines(text: Option<&str>) -> HashSet<&str> {
    text.unwrap_or_default().lines().collect()
}

/// What the tool has put aside of one file: its record of a conflict, and its backups.
fn kept(case: &Case, name: &str) -> Vec<String> {
    let folder = case.root().join(".xtask/actions");
    let record = |label| folder.join("conflict").join(HERE).join(format!("{name}.{label}"));
    let records = ["base", "yours", "theirs"].map(record);
    let runs = std::fs::read_dir(folder.join("backup")).into_iter().flatten().flatten();
    let backups = runs.map(|run| run.path().join(HERE).join(name));
    records.into_iter().chain(backups).filter_map(|path| std::fs::read_to_string(path).ok()).collect()
}

/// What the run is told about its conflicts: nothing, so that all are marked, or one side each.
fn sides(random: &mut Random, said: &str) -> String {
    if random.one_in(2) {
        return " --markers".to_owned();
    }
    let conflicts = said.lines().filter(|line| line.contains("CONFLICT,"));
    let paths = conflicts.filter_map(|line| line.split_whitespace().find(|word| word.starts_with(HERE)));
    paths.fold(String::new(), |mut all, path| {
        let _ = write!(all, " {} {path}", ["--ours", "--theirs"][random.below(2)]);
        all
    })
}

/// Every line that was written here is in the file, or where the tool keeps what it had to put aside.
fn nothing_is_lost(case: &Case, triples: &[Triple], seed: u64) -> usize {
    let mut counted = 0;
    for Triple { name, base, ours, theirs } in triples {
        let now = here(case, name);
        let kept = kept(case, name);
        let kept: HashSet<&str> = kept.iter().flat_map(|text| text.lines()).collect();
        let (old, found) = (lines(base.as_deref()), lines(now.as_deref()));
        for line in lines(ours.as_deref()).difference(&old) {
            counted += 1;
            assert!(found.contains(line) || kept.contains(line), "seed {seed}: {name} lost {line:?}");
        }
        let entry = locked(case, name).unwrap_or_default();
        let marked = now.as_deref().unwrap_or_default().lines().any(|line| line.starts_with("<<<<<<<"));
        assert!(!marked || entry.contains("conflict = true"), "seed {seed}: {name} has marks: {entry}");
        // What nobody edited is as the source has it, byte for byte; but for a source that only changes its ends of lines:
        // each file keeps its own.
        let wide = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\r'));
        if base == ours && wide(base) == wide(theirs) {
            assert_eq!(now, *theirs, "seed {seed}: {name}");
        } else if base == ours {
            let plain = |text: &Option<String>| text.as_ref().map(|text| text.replace('\r', ""));
            assert_eq!(plain(&now), plain(theirs), "seed {seed}: {name}");
        }
    }
    counted
}

/// One source, with every life of its files. Gives how many conflicts there were, and how many local lines.
fn batch(random: &mut Random, seed: u64) -> (usize, usize) {
    let triples: Vec<Triple> = (0..FILES).map(|index| triple(random, index)).collect();
    let path = |name: &str| format!("{HERE}/{name}");
    let mut source = Source::new();
    for Triple { name, base, .. } in &triples {
        source = base.iter().fold(source, |source, text| source.file(name, text));
    }
    source = source.release("1.0.0");
    let mut case = source.pulled();
    for Triple { name, base, ours, theirs } in &triples {
        case = match (ours, base) {
            (Some(text), _) => case.file(&path(name), text),
            (None, Some(_)) => case.without(&path(name)),
            (None, None) => case,
        };
        source = match (theirs, base) {
            (Some(text), _) => source.file(name, text),
            (None, Some(_)) => source.without(name),
            (None, None) => source,
        };
    }
    let _source = source.release("2.0.0");
    commit(&case.root());

    // Not even with ends of lines that differ: git would see it.
    let ran = case.run("sync-actions").code(4);
    assert_eq!(state(&case), "", "seed {seed}: a conflict wrote");
    case.run("sync-actions --check").code(4);
    let found = ran.stderr.lines().filter(|line| line.contains("CONFLICT,")).count();
    let sides = sides(random, &ran.stderr);
    let marked = sides == " --markers";
    case.run(&format!("sync-actions{sides}")).code(if marked { 4 } else { 0 });
    let counted = nothing_is_lost(&case, &triples, seed);
    case.run("sync-actions --check").code(if marked { 4 } else { 3 });
    (found, counted)
}

#[test]
fn every_local_line_is_found_again() {
    let batches = if std::env::var("SLIPWAY_SOAK").is_ok() { 40 } else { 4 };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let given = std::env::var("SLIPWAY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or(u64::from(now.subsec_nanos()) + now.as_secs());
    println!("seed {seed}");
    // Most of the time one child is waited for: two at once.
    let half = |number: u64| {
        let mut random = Random(seed + number);
        let found = (0..batches / 2).map(|_| batch(&mut random, seed));
        found.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    };
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        (half(0), other.join().unwrap())
    });
    let (conflicts, counted) = (one.0 + other.0, one.1 + other.1);
    let files = batches * FILES;
    println!("{files} files, {conflicts} conflicts, {counted} local lines, none lost");
    assert!(conflicts > batches * FILES / 20 && counted > files, "the edits are too tame");
}
