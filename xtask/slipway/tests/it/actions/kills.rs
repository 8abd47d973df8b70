//! Kills in the middle of an update, full disks, folders that cannot be written: all old, or all new after the next
//! command. A tenth of the 200 points, all of them with SLIPWAY_SOAK=1.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::crafted::{Crafted, Snapshot, difference, snapshot};
use crate::case::{CONFIG, Case, nothing_left};
use crate::disk::Disk;

/// The workflows that both versions have in some form.
const FILES: usize = 60;
/// How many sizes of disk are tried: to one that is large enough.
const SIZES: usize = 32;

/// A repository at v1 with edits of its own, and what it is to become.
struct Update {
    case: Case,
    old: Snapshot,
    new: Snapshot,
}

fn text(number: usize, version: &str) -> String {
    let lines: String = (0..40).map(|line| format!("# line {line} of {number}\n")).collect();
    format!("name: {number} {version}\non: push\n{lines}# end\n")
}

/// 20 files change, 5 go, 5 come, 5 get another name; the others stay.
fn release(source: &Crafted, tag: &str, second: bool) {
    let mut files =
        vec![("templates.toml".to_owned(), "files = [\"workflows/\", \"actions/\"]\n".to_owned())];
    for number in 0..FILES {
        let name = format!("workflows/{number:02}.yml");
        match number {
            0..20 if second => files.push((name, text(number, "second"))),
            20..25 if second => {}
            25..30 if second => {
                files.push((format!("actions/named-{number}/action.yml"), text(number, "first")))
            }
            _ => files.push((name, text(number, "first"))),
        }
    }
    files.push(("actions/setup/action.yml".to_owned(), text(99, "first")));
    if second {
        files.extend(
            (0..5).map(|number| (format!("workflows/new-{number}.yml"), text(100 + number, "second"))),
        );
    }
    source.release(tag, &source.plain(&files));
}

fn github(case: &Case) -> PathBuf {
    case.root().join(".github")
}

fn state(case: &Case) -> Snapshot {
    snapshot(&github(case), &[])
}

/// Makes everything as it was.
fn restore(case: &Case, to: &Snapshot) {
    let folder = github(case);
    let _ = std::fs::remove_dir_all(&folder);
    let _ = std::fs::remove_dir_all(case.root().join(".xtask"));
    std::fs::create_dir(&folder).unwrap();
    for (path, (mode, bytes)) in to {
        let path = folder.join(path);
        match mode & 0o170_000 == 0o040_000 {
            true => std::fs::create_dir(&path).unwrap(),
            false => std::fs::write(&path, bytes).unwrap(),
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode & 0o7777)).unwrap();
    }
}

impl Update {
    fn new(case: Case) -> Self {
        let source = Crafted::new(case.folder().join("source.git"));
        let config = format!("{CONFIG}\n[actions]\nsource = \"{}\"\n", source.address());
        let folder = case.folder().to_path_buf();
        let case = case
            .file("xtask.toml", config)
            .env("SLIPWAY_CACHE", folder.join("cache").display())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        release(&source, "v1.0.0", false);
        case.run("sync-actions").code(0);
        // Two that the update changes elsewhere, one that it renames, one that it leaves, one that is not wanted.
        for number in [1, 2, 26, 40] {
            case.edit(&format!(".github/workflows/{number:02}.yml"), "# end\n", "# end\n# ours\n");
        }
        case.run("sync-actions keep .github/workflows/01.yml .github/workflows/26.yml").code(0);
        std::fs::remove_file(github(&case).join("workflows/50.yml")).unwrap();
        release(&source, "v2.0.0", true);
        let old = state(&case);
        case.run("sync-actions").code(0);
        let new = state(&case);
        assert!(difference(&old, &new).len() > 35);
        Update { case, old, new }
    }

    /// Which of the two it is, if it is one of them.
    fn is(&self) -> Option<&'static str> {
        let now = state(&self.case);
        if now == self.old {
            return Some("old");
        }
        (now == self.new).then_some("new")
    }

    fn journal(&self) -> PathBuf {
        self.case.root().join(".xtask/actions/journal")
    }

    /// After whatever has happened: the next look makes it whole, and the next update gets through.
    #[track_caller]
    fn settles(&self, what: &str) -> &'static str {
        let journal = self.journal().exists();
        assert!(journal || self.is().is_some(), "{what}: in between, without a journal");
        // 3: the edits that were not kept.
        let ran = self.case.run("sync-actions --check");
        assert!(matches!(ran.code, Some(0 | 3)), "{what}: {}", ran.stderr);
        let both = [&self.old, &self.new].map(|wanted| difference(wanted, &state(&self.case)));
        let is = self.is().unwrap_or_else(|| panic!("{what}: neither old nor new: {both:?}"));
        assert!(!journal || is == "new", "{what}: the journal was not finished");
        self.case.run("sync-actions").code(0);
        assert_eq!(difference(&self.new, &state(&self.case)), Vec::<PathBuf>::new(), "{what}");
        let left = snapshot(&self.case.root().join(".xtask"), &[]);
        let left: Vec<_> = left.keys().filter(|path| is_litter(path)).collect();
        assert!(left.is_empty(), "{what}: left {left:?}");
        is
    }
}

fn is_litter(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    name.starts_with("journal") || name.starts_with(".slipway-") || name == "merge"
}

#[test]
fn an_update_that_is_killed_is_old_or_is_finished() {
    let points = if std::env::var("SLIPWAY_SOAK").is_ok() { 200 } else { 20 };
    let update = Update::new(Case::new());
    // How long it takes, and how long of that it writes.
    let measure = || {
        restore(&update.case, &update.old);
        let (started, journal) = (Instant::now(), update.journal());
        let mut run = update.case.start("sync-actions");
        let (mut first, mut last) = (None, Instant::now());
        while !run.has_ended() {
            if journal.exists() {
                last = Instant::now();
                first = first.or(Some(last));
            }
        }
        let whole = started.elapsed();
        assert_eq!(run.end(), 0, "{}", run.text);
        (whole, first.map_or(Duration::ZERO, |first| last - first))
    };
    let (mut whole, mut writing): (Vec<_>, Vec<_>) = (0..5).map(|_| measure()).unzip();
    whole.sort();
    writing.sort();
    let (whole, writing) = (whole[2], writing[2]);
    println!("an update takes {whole:?}, and writes for {writing:?}");
    let (mut old, mut new, mut caught) = (0, 0, 0);
    for point in 0..points {
        restore(&update.case, &update.old);
        let mut run = update.case.start("sync-actions");
        let started = Instant::now();
        // Half of them anywhere, half of them where it writes.
        let share = f64::from(point / 2) / f64::from(points / 2);
        let wait = if point % 2 == 0 { whole } else { writing }.mul_f64(share);
        let from = match point % 2 {
            0 => started,
            _ => {
                while !update.journal().exists() && !run.has_ended() {}
                Instant::now()
            }
        };
        while from.elapsed() < wait {
            std::hint::spin_loop();
        }
        drop(run);
        nothing_left(&[update.case.folder().to_path_buf()]);
        caught += usize::from(update.journal().exists());
        match update.settles(&format!("point {point}")) {
            "old" => old += 1,
            _ => new += 1,
        }
    }
    println!("{points} kills: {old} old, {new} new, {caught} of them with a journal");
    assert!(old > 0 && new > 0 && (points < 200 || caught > 0));
}

#[test]
fn a_full_disk_says_so_and_nothing_is_lost() {
    let case = Case::new();
    let Some(disk) = Disk::new(case.root(), 1) else { return };
    // Dropped in this order.
    let (disk, update) = &(disk, Update::new(case));
    let (mut failed, mut caught) = (0, 0);
    for pages in 0..SIZES {
        restore(&update.case, &update.old);
        disk.fill(pages * 4096);
        let ran = update.case.run("sync-actions");
        disk.empty();
        if ran.code != Some(0) {
            failed += 1;
            let ran = ran.code(1).says(&["error: cannot ", "No space left"]);
            if update.journal().exists() {
                caught += 1;
                ran.says(&["cargo xtask sync-actions"]);
            }
        }
        update.settles(&format!("{pages} pages"));
    }
    println!("{SIZES} sizes of disk: {failed} were too small, {caught} of them found out while writing");
    assert!(failed > 0 && failed < SIZES, "{failed}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named_and_nothing_has_changed() {
    for below in ["workflows", ""] {
        let update = Update::new(Case::new());
        restore(&update.case, &update.old);
        let Update { case, old, new } = update;
        let case = case.ordinary_user();
        let folder = github(&case).join(below);
        let mode = |mode| std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o555);
        let before = state(&case);
        case.run("sync-actions").code(1).says(&["error: cannot write .github", "Permission denied"]);
        assert_eq!(difference(&before, &state(&case)), Vec::<PathBuf>::new(), "{below}");
        assert!(!case.root().join(".xtask/actions/journal").exists());
        mode(0o755);
        Update { case, old, new }.settles(below);
    }
}
