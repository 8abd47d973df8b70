//! The table of docs/sync-actions.md, where nobody has to decide: one source, two versions, a file for each case.

use super::source::{HERE, Source, commit, here, is_executable, locked, set_mode, state, text, with_line};

/// A file in its four lives, and what is expected of it.
struct Row {
    name: &'static str,
    v1: Option<String>,
    edited: Option<String>,
    v2: Option<String>,
    wanted: Option<String>,
    /// What its line says; nothing: there is no line.
    said: &'static str,
    lock: Lock,
}

/// What the lock says about a file.
#[derive(Clone, Copy, PartialEq)]
enum Lock {
    /// As the source has it.
    Plain,
    /// As the source has it, and what is here is not: nobody has said `keep` yet.
    Edited,
    Deleted,
    /// Nothing.
    None,
}

fn row(
    name: &'static str,
    [v1, edited, v2, wanted]: [Option<&str>; 4],
    said: &'static str,
    lock: Lock,
) -> Row {
    let [v1, edited, v2, wanted] = [v1, edited, v2, wanted].map(|text| text.map(str::to_owned));
    Row { name, v1, edited, v2, wanted, said, lock }
}

/// Where nothing is renamed.
fn in_place() -> Vec<Row> {
    let t = |name: &str| text(name);
    let ours = |name: &str| with_line(&text(name), 12, "ours");
    let theirs = |name: &str| with_line(&text(name), 3, "theirs");
    let both = |name: &str| with_line(&theirs(name), 12, "ours");
    let crlf = |text: String| text.replace('\n', "\r\n");
    let cut = |text: String| text.trim_end().to_owned();
    let mut rows = Vec::new();
    let mut add = |name, four: [Option<String>; 4], said, lock| {
        rows.push(row(name, four.each_ref().map(Option::as_deref), said, lock));
    };
    let n = "01.yml";
    add(n, [Some(t(n)), Some(t(n)), Some(theirs(n)), Some(theirs(n))], "+1 −1", Lock::Plain);
    let n = "02.yml";
    let said = "merged with your edit at line 12";
    add(n, [Some(t(n)), Some(ours(n)), Some(theirs(n)), Some(both(n))], said, Lock::Edited);
    let n = "04.yml";
    add(n, [Some(t(n)), None, Some(theirs(n)), None], "you deleted it, it stays deleted", Lock::Deleted);
    let n = "05.yml";
    add(n, [Some(t(n)), Some(t(n)), None, None], "you never edited it", Lock::None);
    let n = "09.yml";
    add(n, [Some(t(n)), Some(ours(n)), Some(t(n)), Some(ours(n))], "", Lock::Edited);
    let n = "10.yml";
    add(n, [Some(t(n)), None, Some(t(n)), None], "you deleted it, it stays deleted", Lock::Deleted);
    let n = "12-crlf.yml";
    let four = [Some(t(n)), Some(crlf(ours(n))), Some(theirs(n)), Some(crlf(both(n)))];
    add(n, four, "merged with your edit at line 12", Lock::Edited);
    let n = "12-crlf-unedited.yml";
    let four = [Some(t(n)), Some(crlf(t(n))), Some(theirs(n)), Some(crlf(theirs(n)))];
    add(n, four, "+1 −1", Lock::Plain);
    let n = "13.yml";
    add(n, [Some(t(n)), Some(ours(n)), Some(ours(n)), Some(ours(n))], "", Lock::Plain);
    let n = "deleted-by-both.yml";
    add(n, [Some(t(n)), None, None, None], "", Lock::None);
    let n = "new.yml";
    add(n, [None, None, Some(t(n)), Some(t(n))], "+12", Lock::Plain);
    let n = "new-and-equal.yml";
    add(n, [None, Some(t(n)), Some(t(n)), Some(t(n))], "", Lock::Plain);
    let n = "no-last-newline.yml";
    let four = [cut(t(n)), with_line(&cut(t(n)), 1, "ours"), with_line(&t(n), 6, "theirs")];
    let wanted = with_line(&four[2], 1, "ours");
    let [v1, edited, v2] = four;
    add(n, [Some(v1), Some(edited), Some(v2), Some(wanted)], "merged with your edit at line 1", Lock::Edited);
    let n = "no-newline-any-more.yml";
    let four = [t(n), with_line(&t(n), 1, "ours"), cut(with_line(&t(n), 6, "theirs"))];
    let wanted = with_line(&four[2], 1, "ours");
    let [v1, edited, v2] = four;
    add(n, [Some(v1), Some(edited), Some(v2), Some(wanted)], "merged with your edit at line 1", Lock::Edited);
    let n = "was-empty.yml";
    add(n, [Some(String::new()), Some(String::new()), Some(t(n)), Some(t(n))], "+12", Lock::Plain);
    let n = "becomes-empty.yml";
    add(n, [Some(t(n)), Some(t(n)), Some(String::new()), Some(String::new())], "−12", Lock::Plain);
    let n = "stays-empty.yml";
    add(n, [Some(String::new()), Some(t(n)), Some(String::new()), Some(t(n))], "", Lock::Edited);
    let [a, b] = ["\0a\r\n", "\0b\n"].map(|text| Some(text.to_owned()));
    let n = "binary.yml";
    add(n, [a.clone(), a.clone(), b.clone(), b.clone()], "+1 −1", Lock::Plain);
    let n = "binary-edited.yml";
    add(n, [a.clone(), b.clone(), a, b], "", Lock::Edited);
    let pinned = |pin: &str, line: &str| format!("one\n  - uses: actions/checkout@{pin}\n{line}\n");
    let (old, mine, new) =
        (pinned("aa # v6.0.0", "x"), pinned("bb # v7.0.1", "x"), pinned("cc # v7.0.0", "y"));
    let said = "your actions/checkout v7.0.1 is newer and stays";
    add(
        "pin-ours.yml",
        [Some(old), Some(mine), Some(new), Some(pinned("bb # v7.0.1", "y"))],
        said,
        Lock::Edited,
    );
    let (old, mine, new) =
        (pinned("aa # v6.0.0", "x"), pinned("bb # v6.1.0", "x"), pinned("cc # v7.0.0", "y"));
    let said = "actions/checkout v7.0.0 of v2.0.0 is newer than your v6.1.0";
    add("pin-theirs.yml", [Some(old), Some(mine), Some(new.clone()), Some(new)], said, Lock::Plain);
    rows
}

/// Where something is, or looks as if it were.
fn renamed() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |name, four: [Option<&str>; 4], said, lock| rows.push(row(name, four, said, lock));
    let t = text("identical");
    add("07-old.yml", [Some(&t), Some(&t), None, None], "", Lock::None);
    add("07-new.yml", [None, None, Some(&t), Some(&t)], "was 07-old.yml", Lock::Plain);
    let t: String = ["a", "b"].map(|part| text(&format!("alike {part}"))).concat();
    let (ours, theirs) = (with_line(&t, 20, "ours"), with_line(&t, 3, "theirs"));
    let both = with_line(&theirs, 20, "ours");
    add("08-old.yml", [Some(&t), Some(&ours), None, None], "", Lock::None);
    add("08-new.yml", [None, None, Some(&theirs), Some(&both)], "was 08-old.yml; merged with", Lock::Edited);
    let t = text("moved");
    let edited = with_line(&t, 5, "ours");
    add("moved-old.yml", [Some(&t), Some(&edited), None, None], "", Lock::None);
    add(
        "moved-new.yml",
        [None, None, Some(&t), Some(&edited)],
        "was moved-old.yml; with your edit at line 5",
        Lock::Edited,
    );
    // Declared in templates.toml: nothing in it is the same any more.
    let (t, other) = (text("declared"), text("as declared"));
    add("declared-old.yml", [Some(&t), Some(&t), None, None], "", Lock::None);
    add("declared-new.yml", [None, None, Some(&other), Some(&other)], "was declared-old.yml", Lock::Plain);
    // Deleted here under its old name: not wanted under the new one, either.
    let t = text("unwanted");
    add("unwanted-old.yml", [Some(&t), None, None, None], "", Lock::None);
    let said = "was unwanted-old.yml; you deleted it, it stays deleted";
    add("unwanted-new.yml", [None, None, Some(&t), None], said, Lock::Deleted);
    // Workflows look alike: 8 of 12 lines are the same, which git's own 50 % takes for a rename.
    let t = text("stranger");
    let other = [1, 4, 7, 10].iter().fold(t.clone(), |text, line| with_line(&text, *line, "another"));
    add("stranger-old.yml", [Some(&t), Some(&t), None, None], "you never edited it", Lock::None);
    add("stranger-new.yml", [None, None, Some(&other), Some(&other)], "+12", Lock::Plain);
    rows
}

#[test]
fn a_new_version_comes_in_and_no_edit_is_lost() {
    let rows: Vec<Row> = in_place().into_iter().chain(renamed()).collect();
    let mut source = Source::new();
    for Row { name, v1, .. } in &rows {
        source = v1.iter().fold(source, |source, text| source.file(name, text));
    }
    source = source.release("1.0.0");
    let mut case = source.pulled();
    for Row { name, v1, edited, v2, .. } in &rows {
        let path = format!("{HERE}/{name}");
        (case, source) = match (edited, v1, v2) {
            (_, None, None) => panic!("{name} is never shared"),
            (None, None, Some(v2)) => (case, source.file(name, v2)),
            (None, Some(_), Some(v2)) => (case.without(&path), source.file(name, v2)),
            (None, Some(_), None) => (case.without(&path), source.without(name)),
            (Some(edited), _, Some(v2)) => (case.file(&path, edited), source.file(name, v2)),
            (Some(edited), _, None) => (case.file(&path, edited), source.without(name)),
        };
    }
    let renames = "[renames]\n\"workflows/declared-old.yml\" = \"workflows/declared-new.yml\"\n";
    let _source = source.manifest(renames).release("2.0.0");
    commit(&case.root());

    let before = state(&case);
    let shown =
        case.run("sync-actions --dry-run").code(0).says(&[" v1.0.0 → v2.0.0 (", "nothing is written"]);
    assert_eq!(state(&case), before, "a dry run wrote");
    let ran = case.run("sync-actions").code(0).says(&["written", "your edited files as they were"]);
    for Row { name, wanted, said, lock, .. } in &rows {
        assert_eq!(here(&case, name).as_ref(), wanted.as_ref(), "{name}");
        let start = format!(" {HERE}/{name} ");
        let line = ran.stderr.lines().find(|line| line.contains(&start)).unwrap_or_default();
        assert!(line.contains(said) && line.is_empty() == said.is_empty(), "{name}: {line:?} for {said:?}");
        assert!(shown.stderr.contains(line), "the dry run does not say {line:?}");
        let entry = locked(&case, name);
        assert_eq!(entry.is_none(), *lock == Lock::None, "{name}: {entry:?}");
        let deleted = entry.is_some_and(|entry| entry.contains("deleted = true"));
        assert_eq!(deleted, *lock == Lock::Deleted, "{name}");
    }

    // Edits that nobody has called their own are drift, and nothing else is.
    let drift = case.run("sync-actions --check").code(3);
    for Row { name, lock, .. } in &rows {
        let line = format!(" {HERE}/{name} ");
        assert_eq!(drift.stderr.contains(&line), *lock == Lock::Edited, "{name}: {}", drift.stderr);
    }
    let edited =
        rows.iter().filter(|row| row.lock == Lock::Edited).map(|row| format!(" {HERE}/{}", row.name));
    case.run(&format!("sync-actions keep{}", edited.collect::<String>())).code(0);
    case.run("sync-actions --check").code(0).says(&["of v2.0.0 as locked", "of them your own"]);
    commit(&case.root());
    case.run("sync-actions").code(0).says(&["up to date"]);
    assert_eq!(state(&case), "", "the second time there is nothing to do");
}

#[test]
fn permissions_travel_and_who_changed_them_decides() {
    let names = ["theirs.sh", "edited.sh", "ours.sh", "both.sh"];
    let source = names.iter().fold(Source::new(), |source, name| source.file(name, text(name)));
    let source = source.release("1.0.0");
    let case = source.pulled();
    let path = |name: &str| case.root().join(HERE).join(name);
    std::fs::write(path("edited.sh"), with_line(&text("edited.sh"), 12, "ours")).unwrap();
    set_mode(&path("ours.sh"), 0o755);
    set_mode(&path("both.sh"), 0o755);
    let source =
        names.iter().filter(|name| **name != "ours.sh").fold(source, |source, name| source.mode(name, 0o755));
    let _source = source.file("ours.sh", with_line(&text("ours.sh"), 3, "theirs")).release("1.1.0");
    case.run("sync-actions").code(0).says(&["theirs.sh", "permissions"]);
    for name in names {
        assert!(is_executable(&path(name)), "{name}");
        assert_eq!(locked(&case, name).unwrap().contains("755"), name != "ours.sh", "{name}");
    }
    assert!(here(&case, "ours.sh").unwrap().contains("theirs\n"));
    assert!(here(&case, "edited.sh").unwrap().contains("ours\n"));
    case.run("sync-actions --check").code(3).says(&["edited.sh", "was edited", "ours.sh", "is executable"]);
    case.run(&format!("sync-actions keep {HERE}/ours.sh {HERE}/edited.sh")).code(0);
    case.run("sync-actions --check").code(0);
}

#[test]
fn a_kept_edit_is_green_and_later_updates_are_merged_into_it() {
    let t = text("ci");
    let source = Source::new().file("ci.yml", &t).file("gone.yml", text("gone")).release("1.0.0");
    let case = source.pulled();
    case.edit(&format!("{HERE}/ci.yml"), "ci 12", "ours");
    let case = case.without(&format!("{HERE}/gone.yml"));
    let red = case.run("sync-actions --check").code(3);
    red.says(&[
        "ci.yml",
        "was edited",
        "gone.yml",
        "is missing",
        &format!("sync-actions keep {HERE}/ci.yml"),
    ]);
    case.run(&format!("sync-actions keep {HERE}/ci.yml {HERE}/gone.yml"))
        .code(0)
        .says(&["your edit is kept; updates are merged into it", "stays deleted"]);
    assert!(locked(&case, "ci.yml").unwrap().contains("kept = "));
    case.run("sync-actions --check").code(0).says(&["2 files of v1.0.0 as locked, 2 of them your own"]);
    let source =
        source.file("ci.yml", with_line(&t, 3, "theirs")).file("gone.yml", "other\n").release("1.1.0");
    case.run("sync-actions").code(0).says(&["merged with your edit at line 12", "it stays deleted"]);
    case.run("sync-actions --check").code(0).says(&["2 of them your own"]);
    let _source = source.file("ci.yml", with_line(&t, 5, "theirs")).release("1.2.0");
    // Nothing new about the deleted one: nothing is said.
    let ran = case.run("sync-actions").code(0).says(&["ci.yml", "written"]);
    assert!(!ran.stderr.contains("gone.yml"), "{}", ran.stderr);
    assert_eq!(here(&case, "ci.yml"), Some(with_line(&with_line(&t, 5, "theirs"), 12, "ours")));
    assert_eq!(here(&case, "gone.yml"), None);
    case.run("sync-actions --check").code(0);
    // What was kept and is edited again is drift again.
    case.edit(&format!("{HERE}/ci.yml"), "ours", "ours once more");
    case.run("sync-actions --check").code(3).says(&["was edited again since it was kept"]);
}

#[test]
fn what_is_not_wanted_back_is_restored_by_theirs() {
    let source = Source::new().file("ci.yml", text("ci")).file("gone.yml", text("gone")).release("1.0.0");
    let case = source.pulled();
    case.edit(&format!("{HERE}/ci.yml"), "ci 12", "ours");
    let case = case.without(&format!("{HERE}/gone.yml"));
    case.run("sync-actions").code(0).says(&["you deleted it, it stays deleted"]);
    case.run(&format!("sync-actions --theirs {HERE}/ci.yml --theirs {HERE}/gone.yml")).code(0).says(&[
        "as the source has it",
        "as the source has it",
        "your edited files as they were",
    ]);
    assert_eq!(here(&case, "ci.yml"), Some(text("ci")));
    assert_eq!(here(&case, "gone.yml"), Some(text("gone")));
    case.run("sync-actions --check").code(0);
    // Also while an update would merge it.
    case.edit(&format!("{HERE}/ci.yml"), "ci 12", "ours");
    let _source = source.file("ci.yml", with_line(&text("ci"), 3, "theirs")).release("1.1.0");
    case.run(&format!("sync-actions --theirs {HERE}/ci.yml")).code(0).says(&["as the source has it"]);
    assert_eq!(here(&case, "ci.yml"), Some(with_line(&text("ci"), 3, "theirs")));
    case.run("sync-actions --check").code(0);
}

#[test]
fn an_lf_file_stays_lf_where_the_source_goes_crlf() {
    let wide = |text: &str| text.replace('\n', "\r\n");
    let source = Source::new().file("a.yml", text("a")).file("b.yml", text("b")).release("1.0.0");
    let case = source.pulled();
    case.edit(&format!("{HERE}/b.yml"), "b 12", "ours");
    let new = |name: &str| with_line(&text(name), 3, "theirs");
    let source = source.file("a.yml", wide(&new("a"))).file("b.yml", wide(&new("b")));
    let _source = source.file("new.yml", wide(&text("new"))).release("1.1.0");
    case.run("sync-actions").code(0);
    assert_eq!(here(&case, "a.yml"), Some(new("a")));
    assert_eq!(here(&case, "b.yml"), Some(with_line(&new("b"), 12, "ours")));
    assert_eq!(here(&case, "new.yml"), Some(wide(&text("new"))));
    case.run("sync-actions --check").code(3).says(&["b.yml", "was edited"]);
}

#[test]
fn a_file_where_a_folder_is_to_be_is_named() {
    let source = Source::new().file("a", text("a")).release("1.0.0");
    let case = source.pulled();
    let _source = source.without("a").file("a/b.yml", text("b")).release("1.1.0");
    let before = state(&case);
    let said = format!("{HERE}/a is a file, and {HERE}/a/b.yml is to be below it");
    case.run("sync-actions").code(1).says(&[&said, &format!("rm {HERE}/a")]);
    assert_eq!(state(&case), before);
    let case = case.without(&format!("{HERE}/a"));
    case.run("sync-actions").code(0);
    assert_eq!(here(&case, "a/b.yml"), Some(text("b")));
    case.run("sync-actions --check").code(0);
}
