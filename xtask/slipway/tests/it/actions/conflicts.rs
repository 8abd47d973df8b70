//! Where somebody has to decide: nothing is written, everything says so, and there are ways out.

use std::path::{Path, PathBuf};

use super::source::{HERE, Source, commit, here, is_executable, locked, state, text, with_line};
use crate::case::Case;

/// Two edits of `file.yml` that cannot both be. `other.yml` is changed in the new version, too.
struct Conflict {
    name: &'static str,
    v1: Option<String>,
    edited: String,
    v2: Option<String>,
    /// What its line says.
    said: &'static str,
    /// What is here after `--ours`.
    ours: String,
    /// After `--theirs`.
    theirs: Option<String>,
    /// Whether `--markers` puts both into the file.
    marked: bool,
}

fn conflicts() -> Vec<Conflict> {
    let t = text("file");
    let wide = |text: &str| text.replace('\n', "\r\n");
    let (mine, new) = (with_line(&t, 3, "ours"), with_line(&t, 3, "theirs"));
    // What only one side changed is merged, whoever's lines are taken elsewhere.
    let (mine_too, new_too) = (with_line(&mine, 12, "mine"), with_line(&new, 8, "new"));
    let ours = with_line(&mine_too, 8, "new");
    let theirs = with_line(&new_too, 12, "mine");
    let plain = |name, v1: Option<&str>, edited: &str, v2: Option<&str>, said| Conflict {
        name,
        v1: v1.map(str::to_owned),
        edited: edited.to_owned(),
        v2: v2.map(str::to_owned),
        said,
        ours: edited.to_owned(),
        theirs: v2.map(str::to_owned),
        marked: true,
    };
    vec![
        plain("03 the same line", Some(&t), &mine, Some(&new), "CONFLICT, line 3"),
        Conflict {
            ours,
            theirs: Some(theirs),
            ..plain("the same line and others", Some(&t), &mine_too, Some(&new_too), "CONFLICT, line 3")
        },
        Conflict {
            theirs: Some(wide(&new)),
            ..plain("the same line with CRLF", Some(&t), &wide(&mine), Some(&new), "CONFLICT, line 3")
        },
        Conflict {
            marked: false,
            ..plain("06 edited and gone", Some(&t), &mine, None, "CONFLICT, gone in v2.0.0, edited here")
        },
        plain("11 in the way", None, "mine\n", Some(&t), "CONFLICT, another file is in its place"),
        Conflict {
            marked: false,
            ..plain("empty and in the way", None, "", Some(&t), "CONFLICT, another file is in its place")
        },
        Conflict {
            marked: false,
            ..plain("binary", Some("\0a"), "\0b", Some("\0c"), "CONFLICT, no text that could be merged")
        },
        plain("emptied", Some(&t), "", Some(&new), "CONFLICT, line 1"),
        plain("no newline", Some("a"), "b", Some("c"), "CONFLICT, line 1"),
    ]
}

impl Conflict {
    /// A repository that has version 1, the edit, and everything committed; the source has version 2.
    fn begin(&self) -> (Source, Case) {
        let source = Source::new().file("other.yml", text("other"));
        let source = self.v1.iter().fold(source, |source, v1| source.file("file.yml", v1)).release("1.0.0");
        let case = source.pulled().file(&format!("{HERE}/file.yml"), &self.edited);
        commit(&case.root());
        let source = source.file("other.yml", with_line(&text("other"), 3, "new"));
        let source = match (&self.v1, &self.v2) {
            (_, Some(v2)) => source.file("file.yml", v2),
            (_, None) => source.without("file.yml"),
        };
        (source.release("2.0.0"), case)
    }

    /// Nothing is written, the check is red, and what is needed to decide is there.
    fn is_open(&self, case: &Case) {
        let ran = case.run("sync-actions").code(4);
        ran.says(&[self.said, "1 conflict: nothing was written; decided, all 2 follow in one step"]);
        assert_eq!(state(case), "", "{}: something was written", self.name);
        case.run("sync-actions --check")
            .code(4)
            .says(&["the conflict with v2.0.0 is not decided", "1 conflict open"]);
        let three = [&self.v1, &Some(self.edited.clone()), &self.v2];
        for (wanted, label) in three.into_iter().zip(["base", "yours", "theirs"]) {
            let kept = case.root().join(format!(".xtask/actions/conflict/{HERE}/file.yml.{label}"));
            assert_eq!(std::fs::read_to_string(kept).ok(), *wanted, "{}: {label}", self.name);
        }
    }

    /// All of the update is there, and the lock has it.
    fn is_decided(&self, case: &Case, file: Option<&str>) {
        assert_eq!(here(case, "file.yml").as_deref(), file, "{}", self.name);
        assert_eq!(here(case, "other.yml"), Some(with_line(&text("other"), 3, "new")), "{}", self.name);
        assert!(!case.root().join(".xtask/actions/conflict").exists(), "{}", self.name);
    }
}

/// What was overwritten, from all backups.
fn backups(case: &Case) -> Vec<String> {
    let folder = case.root().join(".xtask/actions/backup");
    let names = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let files = names(&folder).into_iter().map(|one| one.join(HERE).join("file.yml"));
    files.filter_map(|file| std::fs::read_to_string(file).ok()).collect()
}

#[test]
fn a_conflict_writes_nothing_and_ours_keeps_every_line() {
    for conflict in conflicts() {
        let (_source, case) = conflict.begin();
        conflict.is_open(&case);
        case.run(&format!("sync-actions --ours {HERE}/file.yml")).code(0).says(&["written"]);
        conflict.is_decided(&case, Some(&conflict.ours));
        case.run("sync-actions --check").code(0);
        commit(&case.root());
        case.run("sync-actions").code(0).says(&["up to date"]);
        assert_eq!(state(&case), "", "{}", conflict.name);
    }
}

#[test]
fn theirs_takes_their_lines_and_keeps_ours_in_a_backup() {
    for conflict in conflicts() {
        let (_source, case) = conflict.begin();
        conflict.is_open(&case);
        case.run(&format!("sync-actions --theirs {HERE}/file.yml"))
            .code(0)
            .says(&["your edited files as they were"]);
        conflict.is_decided(&case, conflict.theirs.as_deref());
        assert_eq!(backups(&case), std::slice::from_ref(&conflict.edited), "{}", conflict.name);
        // An edit of other lines is merged; it is an edit as any other.
        let is_whole = conflict.theirs.as_deref().map(|text| text.replace('\r', "")) == conflict.v2;
        case.run("sync-actions --check").code(if is_whole { 0 } else { 3 });
    }
}

#[test]
fn markers_are_red_until_they_are_gone_and_kept() {
    for conflict in conflicts() {
        let (_source, case) = conflict.begin();
        conflict.is_open(&case);
        let keep = format!("sync-actions keep {HERE}/file.yml");
        case.run("sync-actions --markers").code(4).says(&["1 conflict to decide in an editor", &keep]);
        let file = here(&case, "file.yml").unwrap();
        assert_eq!(file.contains("<<<<<<< yours"), conflict.marked, "{}: {file}", conflict.name);
        conflict.is_decided(&case, Some(&file));
        assert!(locked(&case, "file.yml").unwrap().contains("conflict = "), "{}", conflict.name);
        case.run("sync-actions --check").code(4).says(&["file.yml", "1 conflict open"]);
        if conflict.marked {
            assert_eq!(backups(&case), std::slice::from_ref(&conflict.edited), "{}", conflict.name);
            // Neither `keep` nor a second run take marks for an edit.
            case.run(&keep).code(4).says(&["a mark of a conflict is still there"]);
            case.run("sync-actions").code(4).says(&["marks of a conflict are in", "file.yml"]);
            assert_eq!(here(&case, "file.yml"), Some(file));
        }
        let case = case.file(&format!("{HERE}/file.yml"), "as an editor left it\n");
        case.run("sync-actions --check").code(4);
        // A run in between decides nothing.
        case.run("sync-actions").code(4);
        case.run("sync-actions --check").code(4);
        case.run(&keep).code(0);
        if conflict.v2.is_some() {
            case.run("sync-actions --check").code(0);
        }
        case.run("sync-actions").code(0);
        case.run("sync-actions --check").code(0);
        assert_eq!(here(&case, "file.yml").as_deref(), Some("as an editor left it\n"));
    }
}

#[test]
fn a_side_can_be_taken_once_the_marks_are_in_the_file() {
    let all = conflicts();
    let crlf = all.iter().find(|conflict| conflict.name.ends_with("CRLF")).unwrap();
    for (side, wanted) in [("--ours", Some(&crlf.ours)), ("--theirs", crlf.theirs.as_ref())] {
        let (_source, case) = crlf.begin();
        case.run("sync-actions --markers").code(4);
        let marked = here(&case, "file.yml").unwrap();
        assert_eq!(marked.matches('\n').count(), marked.matches("\r\n").count(), "mixed ends: {marked:?}");
        case.run(&format!("sync-actions {side} {HERE}/file.yml")).code(0).says(&["decided"]);
        assert_eq!(here(&case, "file.yml").as_ref(), wanted);
        case.run("sync-actions --check").code(0);
    }
}

#[test]
fn marks_that_are_settled_take_no_other_conflict_along() {
    let source = Source::new().file("a.yml", text("a")).file("b.yml", text("b")).release("1.0.0");
    let case = source.pulled();
    case.edit(&format!("{HERE}/b.yml"), "b 03", "mine in b");
    let _source = source.file("b.yml", with_line(&text("b"), 3, "theirs in b")).release("2.0.0");
    case.run("sync-actions").code(4);
    // git's own marks, without a base, as a merge of two branches left them.
    let marked = "a\n<<<<<<< HEAD\nmine\n=======\nother\n>>>>>>> branch\nz\n";
    let case = case.file(&format!("{HERE}/a.yml"), format!("{marked}<<<<<<< HEAD\n"));
    let theirs = format!("sync-actions --theirs {HERE}/a.yml");
    case.run(&theirs).code(4).says(&["a.yml: the marks of its conflict have no end, or are nested"]);
    let case = case.file(&format!("{HERE}/a.yml"), format!("{marked}>>>>>>> branch\n"));
    case.run(&theirs).code(4).says(&["a.yml: a mark outside of its conflicts would stay"]);
    assert_eq!(here(&case, "a.yml"), Some(format!("{marked}>>>>>>> branch\n")));
    let case = case.file(&format!("{HERE}/a.yml"), marked);
    case.run(&theirs).code(0).says(&["decided", "your edited files as they were: .xtask/actions/backup"]);
    assert_eq!(here(&case, "a.yml").as_deref(), Some("a\nother\nz\n"));
    assert!(case.root().join(".xtask/actions/conflict").exists());
    case.run("sync-actions --check").code(4).says(&["b.yml", "1 conflict open"]);
}

#[test]
fn a_deletion_decides_no_conflict() {
    let all = conflicts();
    let (source, case) = all[0].begin();
    case.run("sync-actions --markers").code(4);
    let case = case.without(&format!("{HERE}/file.yml"));
    case.run("sync-actions").code(4).says(&["its conflict was not decided yet"]);
    let _source = source.file("file.yml", "changed\n").release("2.1.0");
    case.run("sync-actions").code(4).says(&["its conflict was not decided yet"]);
    assert!(locked(&case, "file.yml").unwrap().contains("conflict = true"));
    case.run("sync-actions --check").code(4);
    case.run(&format!("sync-actions keep {HERE}/file.yml")).code(0).says(&["stays deleted"]);
    case.run("sync-actions --check").code(0);
}

#[test]
fn what_is_decided_is_remembered_while_the_rest_is_not() {
    let source = Source::new().file("a.yml", text("a")).file("b.yml", text("b")).release("1.0.0");
    let case = source.pulled();
    case.edit(&format!("{HERE}/a.yml"), "a 03", "mine in a");
    case.edit(&format!("{HERE}/b.yml"), "b 03", "mine in b");
    commit(&case.root());
    let new = |name: &str| with_line(&text(name), 3, &format!("theirs in {name}"));
    let _source = source.file("a.yml", new("a")).file("b.yml", new("b")).release("2.0.0");
    let both = format!("cargo xtask sync-actions --ours {HERE}/a.yml --ours {HERE}/b.yml");
    case.run("sync-actions").code(4).says(&[
        "base",
        "a 03",
        "mine in a",
        "theirs in a",
        "2 conflicts",
        &both,
    ]);
    case.run(&format!("sync-actions --ours {HERE}/a.yml")).code(4).says(&["1 conflict: nothing was written"]);
    assert_eq!(state(&case), "");
    // A dry run knows it too, and forgets nothing.
    case.run("sync-actions --dry-run").code(4).says(&["1 conflict: nothing would be written"]);
    case.run(&format!("sync-actions --theirs {HERE}/b.yml")).code(0).says(&[
        "a.yml",
        "yours where both changed",
        "b.yml",
        "theirs where both changed",
    ]);
    assert_eq!(here(&case, "a.yml"), Some(with_line(&text("a"), 3, "mine in a")));
    assert_eq!(here(&case, "b.yml"), Some(new("b")));
    case.run("sync-actions --check").code(0);
}

#[test]
fn a_decision_is_about_the_file_that_was_seen() {
    let source = Source::new().file("old.yml", text("a")).file("b.yml", text("b")).release("1.0.0");
    let case = source.pulled();
    case.edit(&format!("{HERE}/old.yml"), "a 03", "mine in a");
    case.edit(&format!("{HERE}/b.yml"), "b 03", "mine in b");
    let renames = "[renames]\n\"workflows/old.yml\" = \"workflows/new.yml\"\n";
    let new = |name: &str| with_line(&text(name), 3, "theirs");
    let source = source.without("old.yml").file("new.yml", new("a")).file("b.yml", new("b"));
    let _source = source.manifest(renames).release("2.0.0");
    case.run(&format!("sync-actions --theirs {HERE}/new.yml")).code(4).says(&["b.yml", "1 conflict:"]);
    // Meanwhile somebody goes on working on it.
    case.edit(&format!("{HERE}/old.yml"), "mine in a", "mine, and better");
    case.run(&format!("sync-actions --theirs {HERE}/b.yml")).code(4).says(&[
        "new.yml",
        "CONFLICT",
        "1 conflict:",
    ]);
    assert!(here(&case, "old.yml").unwrap().contains("mine, and better"));
    case.run(&format!("sync-actions --ours {HERE}/new.yml")).code(0).says(&["was old.yml"]);
    assert!(here(&case, "new.yml").unwrap().contains("mine, and better"));
    assert_eq!(here(&case, "old.yml"), None);
}

#[test]
fn the_version_that_is_here_is_a_way_out_too() {
    let all = conflicts();
    let (_source, case) = all[0].begin();
    all[0].is_open(&case);
    case.run("sync-actions --to 1.0.0").code(0);
    assert_eq!(state(&case), "");
    case.run("sync-actions --check").code(3).says(&["was edited"]);
}

#[test]
fn a_second_file_that_is_named_is_not_passed_over() {
    let all = conflicts();
    let (_source, case) = all[0].begin();
    case.run("sync-actions --markers").code(4);
    case.edit(&format!("{HERE}/other.yml"), "other 12", "not meant");
    case.run(&format!("sync-actions --ours {HERE}/file.yml --theirs {HERE}/other.yml")).code(0).says(&[
        "decided",
        "other.yml",
        "as the source has it",
    ]);
    all[0].is_decided(&case, Some(&all[0].ours));
    case.run("sync-actions --check").code(0);
}

#[test]
fn permissions_of_a_file_in_the_way_follow_the_side() {
    let source = Source::new().file("other.yml", "x\n").release("1.0.0");
    let names = ["ours.sh", "same.sh", "theirs.sh"];
    let source = names.iter().fold(source, |source, name| source.file(name, "theirs\n").mode(name, 0o755));
    let case = source.consumer("version = \"=1.0.0\"");
    case.run("sync-actions").code(0);
    let case = case.file(&format!("{HERE}/ours.sh"), "mine\n").file(&format!("{HERE}/theirs.sh"), "mine\n");
    // Equal but for its permissions: no conflict.
    let case = case.file(&format!("{HERE}/same.sh"), "theirs\n");
    let _source = source.release("2.0.0");
    case.edit("xtask.toml", "=1.0.0", "2");
    case.run(&format!("sync-actions --ours {HERE}/ours.sh --theirs {HERE}/theirs.sh"))
        .code(0)
        .says(&["same.sh", "permissions"]);
    case.run("sync-actions --check").code(0).says(&["1 of them your own"]);
    let path = |name: &str| case.root().join(HERE).join(name);
    assert_eq!(
        ["ours.sh", "same.sh", "theirs.sh"].map(|name| is_executable(&path(name))),
        [false, true, true]
    );
}

#[test]
fn a_stranger_in_the_place_of_a_renamed_file_stays_itself() {
    let t = text("a");
    let source = Source::new().file("old.yml", &t).release("1.0.0");
    // Its own file, with some lines of the same origin.
    let stranger = with_line(&with_line(&t, 3, "stranger"), 7, "stranger");
    let case = source.pulled().file(&format!("{HERE}/new.yml"), &stranger);
    commit(&case.root());
    let renames = "[renames]\n\"workflows/old.yml\" = \"workflows/new.yml\"\n";
    let new = with_line(&with_line(&t, 3, "theirs"), 11, "theirs");
    let _source = source.without("old.yml").file("new.yml", new).manifest(renames).release("2.0.0");
    case.run("sync-actions").code(4).says(&["new.yml", "CONFLICT, another file is in its place"]);
    assert_eq!(state(&case), "");
    case.run(&format!("sync-actions --ours {HERE}/new.yml")).code(0);
    assert_eq!(here(&case, "new.yml"), Some(stranger));
    assert_eq!(here(&case, "old.yml"), None);
    case.run("sync-actions --check").code(0);
}
