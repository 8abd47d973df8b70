//! `secrets scan` where something is out of the ordinary: nothing is passed over without a word.

use serde_json::Value;

use super::super::corpus::{key, token};
use super::scan;
use crate::actions::source::{commit, git};
use crate::case::{CONFIG, Case};

#[test]
fn a_dotenv_file_here_hides_no_older_one_with_other_values() {
    let case = Case::new().file(".env", "A=first\nB=x\n");
    let first: String = commit(&case.root()).chars().take(10).collect();
    let case = case.without(".env").file(".gitignore", ".env\n");
    commit(&case.root());
    let case = case.file(".env", "A=second\nB=x\n");
    assert_eq!(
        scan(&case, 3),
        [".env:1 env-file tree".to_owned(), format!(".env:1 env-file history {first}")]
    );
    let case = case.file(".env", "# the same\r\n\r\nA=first\r\nB=x\r\n");
    assert_eq!(scan(&case, 3), [".env:3 env-file tree"]);
}

#[test]
fn a_repository_that_leads_nowhere_is_no_clean_one() {
    let case = Case::new().nested("mono/links").file("../.git", "gitdir: /nonexistent/worktrees/x\n");
    case.run("secrets scan").code(1).says(&[
        "error: git cannot say",
        "not a git repository: ",
        "/nonexistent",
    ]);
    case.run("ci secrets").code(1);
}

#[test]
fn grafts_cut_off_no_history() {
    let case = Case::new().file("a.txt", token("st.dev.", 78));
    commit(&case.root());
    let case = case.without("a.txt");
    let last = commit(&case.root());
    let case = case.file(".git/info/grafts", format!("{last}\n"));
    assert_eq!(scan(&case, 3).len(), 1);
}

#[test]
fn folders_that_cannot_be_read_are_said() {
    let case = Case::new()
        .nested("mono/links")
        .file(".gitignore", "/ignored/\n")
        .file("open/closed/a.txt", "a\n")
        .file("ignored/.env", "A=1\n");
    git(&case.root().join(".."), &["init", "-q"]);
    let case = case.ordinary_user();
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    for folder in ["open/closed", "ignored"] {
        std::fs::set_permissions(case.root().join(folder), std::fs::Permissions::clone(&closed)).unwrap();
    }
    let ran = case.run("secrets scan").code(1).says(&[
        "! not read",
        " open/closed/: permission denied",
        " ignored/: permission denied",
        "error: 2 files",
    ]);
    assert_eq!(ran.stderr.matches("denied").count(), 2, "{}", ran.stderr);
}

#[test]
fn what_is_not_in_this_clone_is_said() {
    let case = Case::new().file("a.txt", "a\n").file("big.bin", vec![b'x'; 6_000_000]);
    git(&case.root(), &["init", "-q", "inner"]);
    let facts = |case: &Case| {
        let report: Value = serde_json::from_str(&case.run("secrets scan --json").code(0).stdout).unwrap();
        let scanned = |name: &str| report["scanned"][name].to_string();
        format!("{} {} {} {}", report["history"], scanned("long"), scanned("missing"), scanned("nested"))
    };
    assert_eq!(facts(&case), "\"none\" 1 0 0");
    commit(&case.root().join("inner"));
    commit(&case.root());
    let case = case.file("a.txt", "b\n");
    commit(&case.root());
    assert_eq!(facts(&case), "\"whole\" 1 0 1");
    git(&case.root(), &["config", "uploadpack.allowFilter", "true"]);
    let from = format!("file://{}", case.root().display());
    git(case.folder(), &["clone", "-q", "--depth=1", &from, "shallow"]);
    git(case.folder(), &["clone", "-q", "--filter=blob:none", &from, "partial"]);
    let case = case.below("../shallow");
    assert_eq!(facts(&case), "\"shallow\" 1 0 1");
    let case = case.below("../partial");
    case.run("ci secrets").code(1).says(&["error: not all of the history", "next", "--no-filter"]);
    assert_eq!(facts(&case), "\"whole\" 1 1 1");
    case.run("secrets scan").code(0).says(&[
        "note",
        "1 older version not in this clone",
        "git fetch --refetch",
    ]);
    git(&case.folder().join("partial"), &["fetch", "-q", "--refetch", "--no-filter"]);
    assert_eq!(facts(&case), "\"whole\" 1 0 1");
}

#[test]
fn the_entry_to_accept_is_one_whatever_the_path_is() {
    for path in ["a:b/.env", "a\"b/.env", "a\nb/.env", "a'b\\c/.env", "-x/\u{202e}.env", "0123456789:x/.env"]
    {
        let case = Case::new().file(path, "A=1\n");
        commit(&case.root());
        let case = case.without(path);
        commit(&case.root());
        let ran = case.run("secrets scan").code(3);
        let (_, entry) = ran.stderr.split_once("accepted = [").unwrap();
        let entry = entry.split(']').next().unwrap();
        let case = case.file("xtask.toml", format!("{CONFIG}[secrets]\naccepted = [{entry}]\n"));
        case.run("secrets scan").code(0).says(&["1 accepted"]);
    }
    let config = format!("{CONFIG}[secrets]\naccepted = [\"a:b/\"]\n");
    let case = Case::new().file("a:b/.env", "A=1\n").file("xtask.toml", config);
    assert_eq!(scan(&case, 0), Vec::<String>::new());
}

#[test]
fn what_git_refuses_is_said_with_what_helps() {
    let case = Case::new().file("a.txt", "a\n");
    commit(&case.root());
    let case = case.env("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1");
    case.run("secrets scan").code(1).says(&[
        "dubious ownership",
        "next",
        "git config --global --add safe.directory /",
    ]);
    let case = Case::new().file("a.txt", "a\n");
    commit(&case.root());
    std::fs::write(case.root().join(".git/HEAD"), "ref: refs/heads/x\n").unwrap();
    std::fs::write(case.root().join(".git/index"), "x").unwrap();
    case.run("secrets scan").code(1).says(&["error: git cannot say", "index file"]);
}

#[test]
fn variables_for_git_lead_it_nowhere_else() {
    for name in ["GLOB", "NOGLOB", "ICASE", "LITERAL"] {
        let case = Case::new().file("a.txt", "a\n").env(&format!("GIT_{name}_PATHSPECS"), "1");
        commit(&case.root());
        assert_eq!(scan(&case, 0), Vec::<String>::new());
    }
    let case = Case::new().nested("mono/links").file("a/.env", "A=1\n");
    let mono = case.root().join("..");
    commit(&mono);
    let case = case.without("a/.env");
    commit(&mono);
    let ceiling = mono.canonicalize().unwrap();
    let case = case.env("GIT_CEILING_DIRECTORIES", ceiling.display());
    assert_eq!(scan(&case, 3).len(), 1);
}

#[test]
fn why_a_folder_was_not_read_is_said_once() {
    let case = Case::new().file("closed/a.txt", "a\n").ordinary_user();
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    std::fs::set_permissions(case.root().join("closed"), closed).unwrap();
    let ran = case.run("secrets scan").code(1).says(&["closed: permission denied\n"]);
    assert_eq!(ran.stderr.matches("closed").count(), 1, "{}", ran.stderr);
}

#[test]
fn ignored_files_that_are_named_like_keys_are_read() {
    let key = |seed| key("PRIVATE", seed);
    let case = Case::new()
        .file(".gitignore", "*.pem\n*.KEY\nid_*\n*.txt\n/folder/\n")
        .file("a.pem", key(1))
        .file("deep/b.KEY", key(2))
        .file("deep/id_rsa", key(3))
        .file("deep/id_rsa_notes", key(4))
        .file("deep/token.key.pem", format!("# {}\n", token("pt.", 77)))
        .file("folder/c.pem", key(5))
        .file("notes.txt", key(6))
        .file("long.pem", format!("{}{}", key(7), "x".repeat(1_000_000)));
    git(&case.root(), &["init", "-q"]);
    assert_eq!(
        scan(&case, 3),
        [
            "a.pem:1 private-key tree",
            "deep/b.KEY:1 private-key tree",
            "deep/id_rsa:1 private-key tree",
            "deep/token.key.pem:1 doppler-token tree",
        ]
    );
}

#[test]
fn without_git_or_a_repository_it_says_so() {
    let case = Case::new().file("a/.env", "A=1\n").file("target/.env", "A=1\n");
    assert_eq!(scan(&case, 3), ["a/.env:1 env-file tree"]);
    case.run("secrets scan").code(3).says(&["note", "no git repository"]);
    let case = case.env("PATH", "/nonexistent");
    case.run("secrets scan").code(5).says(&["git is not installed"]);
}
