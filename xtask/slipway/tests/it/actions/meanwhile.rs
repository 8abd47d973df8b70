//! Somebody works in the repository while it is updated, or after an update was cut off.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::crafted::{difference, snapshot};
use super::source::{HERE, Source, here, set_mode, text, with_line};
use crate::case::Case;

/// A repository with an edit that merges with what v2.0.0 changes, and `other.yml`, which changes there, too.
fn begin() -> (Source, Case) {
    let both = |source: Source, line: usize| {
        let changed = |name: &str| with_line(&text(name), line, "theirs");
        source.file("file.yml", changed("file")).file("other.yml", changed("other"))
    };
    let source = both(Source::new(), 2).release("1.0.0");
    let case = source.pulled();
    case.edit(&format!("{HERE}/file.yml"), "file 12", "ours");
    (both(source, 4).release("2.0.0"), case)
}

/// Puts a journal there, as an update that was killed has left it.
fn cut(case: &Case, path: &str, bytes: &str) {
    let change = format!(
        "[{{\"path\":\"{path}\",\"length\":{},\"executable\":false,\"was\":null}}]\n{bytes}",
        bytes.len()
    );
    std::fs::write(case.root().join(".xtask/actions/journal"), change).unwrap();
}

#[test]
fn what_is_saved_while_a_file_is_merged_is_not_lost() {
    for saved in ["workflows/other.yml", "workflows/file.yml", "sync-actions.lock"] {
        let (_source, case) = begin();
        let bin = case.folder().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let path = std::env::var("PATH").unwrap();
        let saved = case.root().join(".github").join(saved);
        let script = format!(
            "#!/bin/sh\ncase \" $* \" in *' merge-file '*) echo '# saved' >> '{}' ;; esac\nPATH='{path}' exec git \"$@\"\n",
            saved.display()
        );
        std::fs::write(bin.join("git"), script).unwrap();
        set_mode(&bin.join("git"), 0o755);
        let before = snapshot(&case.root().join(".github"), &[]);
        let case = case.env("PATH", format!("{}:{path}", bin.display()));
        let name = saved.strip_prefix(case.root()).unwrap().display().to_string();
        let said = format!("error: {name} changed meanwhile; nothing was written");
        case.run("sync-actions").code(1).says(&[&said, "the same command"]);
        let changed = difference(&before, &snapshot(&case.root().join(".github"), &[]));
        assert_eq!(changed.len(), 1, "{changed:?}");
        assert!(std::fs::read_to_string(&saved).unwrap().ends_with("# saved\n"));
        assert!(!case.root().join(".xtask/actions/journal").exists());
        assert!(!case.root().join(".xtask/actions/backup").exists());
        let case = case.env("PATH", path);
        if !name.ends_with(".lock") {
            case.run("sync-actions").code(0);
            assert!(std::fs::read_to_string(&saved).unwrap().ends_with("# saved\n"));
        }
    }
}

#[test]
fn a_dry_run_finishes_nothing_and_what_was_written_since_is_kept_each_time() {
    let (_source, case) = begin();
    let path = format!("{HERE}/file.yml");
    cut(&case, &path, "new\n");
    let before = here(&case, "file.yml");
    case.run("sync-actions --dry-run")
        .code(1)
        .says(&["error: an update was cut off", "cargo xtask sync-actions      finishes it"]);
    assert_eq!(here(&case, "file.yml"), before);
    let kept = ["killed is finished now, 1 file", "and kept: .xtask/actions/journal.found/"];
    case.run("sync-actions --check").says(&kept);
    assert_eq!(here(&case, "file.yml").as_deref(), Some("new\n"));
    cut(&case, &path, "newer\n");
    case.run("sync-actions status").code(0).says(&kept);
    let found = snapshot(&case.root().join(".xtask/actions/journal.found"), &[]);
    let found = found.into_values().filter(|(mode, _)| mode & 0o170_000 == 0o100_000);
    let mut found: Vec<_> = found.map(|(_, bytes)| String::from_utf8(bytes).unwrap()).collect();
    found.sort();
    assert_eq!(found, [before.unwrap(), "new\n".to_owned()]);
}

#[test]
fn a_link_in_place_of_the_lock_or_of_the_manifest_stays_and_a_mode_is_kept() {
    let (source, case) = begin();
    let lock = case.root().join(".github/sync-actions.lock");
    std::fs::rename(&lock, case.root().join("elsewhere")).unwrap();
    symlink("../elsewhere", &lock).unwrap();
    case.run("sync-actions").code(1).says(&["sync-actions.lock is a symbolic link"]);
    std::fs::remove_file(&lock).unwrap();
    std::fs::rename(case.root().join("elsewhere"), &lock).unwrap();
    set_mode(&lock, 0o750);
    let manifest = case.root().join("xtask/Cargo.toml");
    std::fs::create_dir_all(manifest.parent().unwrap()).unwrap();
    let _ = std::fs::remove_file(&manifest);
    let line = "[dependencies]\nslipway = { git = \"https://h/a\", tag = \"v0.0.1\" }\n";
    std::fs::write(case.root().join("elsewhere"), line).unwrap();
    symlink("../elsewhere", &manifest).unwrap();
    let source = source.manifest("tool = \"0.2.0\"\n").release("3.0.0");
    case.run("sync-actions").code(1).says(&["xtask/Cargo.toml is a symbolic link"]);
    assert!(manifest.is_symlink());
    assert_eq!(std::fs::read_to_string(&manifest).unwrap(), line);
    std::fs::remove_file(&manifest).unwrap();
    std::fs::write(&manifest, line).unwrap();
    set_mode(&manifest, 0o750);
    case.run("sync-actions").code(0);
    assert_ne!(std::fs::read_to_string(&manifest).unwrap(), line);
    for path in [lock, manifest] {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o750, "{}", path.display());
    }
    drop(source);
}
