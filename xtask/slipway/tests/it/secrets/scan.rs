//! `secrets scan`: what is there is found, what is not is not, and no value is ever said.

mod edges;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde_json::Value;

use super::corpus::{Planted, guilty, innocent, key, tail, token};
use crate::actions::source::{commit, git};
use crate::case::{CONFIG, Case, Ran};

fn plant(root: &Path, files: &[Planted]) {
    for Planted { path, bytes, .. } in files {
        let path = root.join(OsStr::from_bytes(path));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// `path:line kind where [commit]` of each finding.
fn findings(ran: &Ran) -> Vec<String> {
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let line = |finding: &Value| {
        let text = |key: &str| finding[key].as_str().map(|text| format!(" {text}")).unwrap_or_default();
        let path = finding["path"].as_str().unwrap();
        format!("{path}:{}{}{}{}", finding["line"], text("kind"), text("where"), text("commit"))
    };
    report["findings"].as_array().unwrap().iter().map(line).collect()
}

/// Scans as people, programs and the curious do; none of them sees a value.
#[track_caller]
fn scan(case: &Case, code: i32) -> Vec<String> {
    let ran = case.run("secrets scan --json").code(code);
    let people = case.run("secrets scan").code(code);
    for ran in [&ran, &people, &case.run("-v secrets scan").code(code)] {
        for value in (0..100).map(tail) {
            assert!(!ran.stdout.contains(&value[..8]) && !ran.stderr.contains(&value[..8]), "{ran:?}");
        }
    }
    for line in people.stderr.lines() {
        assert!(line.chars().count() <= 96, "{line}");
    }
    findings(&ran)
}

#[test]
fn every_planted_secret_is_found_and_nothing_else() {
    let case = Case::new();
    let (guilty, innocent) = (guilty(), innocent());
    assert!(guilty.len() + innocent.len() >= 100, "{} and {}", guilty.len(), innocent.len());
    plant(&case.root(), &guilty);
    plant(&case.root(), &innocent);
    let mut wanted = BTreeSet::new();
    for Planted { path, found, .. } in &guilty {
        let path = match path.as_slice() {
            b"new\nline/.env" => "new\\nline/.env".to_owned(),
            b"latin\xe9/.env" => "latin\\xe9/.env".to_owned(),
            path => String::from_utf8(path.to_vec()).unwrap(),
        };
        wanted.extend(found.iter().map(|(kind, line)| format!("{path}:{line} {kind}")));
    }
    let with = |place: &str| wanted.iter().map(|one| format!("{one} {place}")).collect::<BTreeSet<_>>();
    let found = |found: Vec<String>| found.into_iter().collect::<BTreeSet<_>>();
    // In no repository, untracked, staged, committed; then only staged, then only in the history.
    assert_eq!(found(scan(&case, 3)), with("tree"));
    git(&case.root(), &["init", "-q", "-b", "main"]);
    assert_eq!(found(scan(&case, 3)), with("tree"));
    git(&case.root(), &["add", "-A"]);
    assert_eq!(found(scan(&case, 3)), with("tree"));
    for Planted { path, .. } in guilty.iter().chain(&innocent) {
        std::fs::remove_file(case.root().join(OsStr::from_bytes(path))).unwrap();
    }
    assert_eq!(found(scan(&case, 3)), with("index"));
    git(&case.root(), &["commit", "-q", "-m", "oh"]);
    let commit: String = git(&case.root(), &["rev-parse", "HEAD"]).chars().take(10).collect();
    git(&case.root(), &["rm", "-q", "-r", "--cached", "."]);
    git(&case.root(), &["commit", "-q", "-m", "gone"]);
    assert_eq!(found(scan(&case, 3)), with(&format!("history {commit}")));
    let screen = case.run("secrets scan").code(3);
    screen.says(&[
        "✗ env-file      ",
        ".env:3",
        "history, ",
        "error: ",
        "secrets in files",
        "next",
        "roll each one",
    ]);
}

#[test]
fn this_repository_has_none() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let case = Case::new();
    let files = git(&root, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    for path in files.split('\0').filter(|path| !path.is_empty() && root.join(path).is_file()) {
        let to = case.root().join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(root.join(path), to).unwrap();
    }
    let case = case.file("xtask.toml", CONFIG);
    assert_eq!(scan(&case, 0), Vec::<String>::new());
}

#[test]
fn the_history_is_all_that_a_ref_leads_to() {
    let case = Case::new().file("a.txt", "a\n").file("old.env.example", "A=1\n");
    let root = case.root();
    let git = |words: &[&str]| git(&root, words);
    let short = |rev: &str| git(&["rev-parse", rev]).chars().take(10).collect::<String>();
    let write = |path: &str, seed| {
        std::fs::write(root.join(path), format!("# x\nT={}\n", token("st.dev.", seed))).unwrap()
    };
    commit(&root);
    let mut wanted = BTreeSet::new();
    let mut want = |path: &str, rev: &str| {
        wanted.insert(format!("{path}:2 doppler-token history {}", short(rev)));
    };
    // Brought once, kept by two more commits, then removed.
    write("removed.txt", 70);
    commit(&root);
    want("removed.txt", "HEAD");
    std::fs::write(root.join("removed.txt"), format!("# y\nT={}\n# more\n", token("st.dev.", 70))).unwrap();
    commit(&root);
    std::fs::remove_file(root.join("removed.txt")).unwrap();
    commit(&root);
    // On a branch, at a tag that no branch has, in a tag of the bytes alone, and in two stashes.
    git(&["checkout", "-q", "-b", "side"]);
    write("branch.txt", 71);
    commit(&root);
    want("branch.txt", "HEAD");
    git(&["checkout", "-q", "-b", "tagged", "main"]);
    write("tag.txt", 72);
    commit(&root);
    want("tag.txt", "HEAD");
    git(&["tag", "-a", "-m", "v1", "v1"]);
    git(&["checkout", "-q", "main"]);
    git(&["branch", "-q", "-D", "tagged"]);
    for seed in [73, 74] {
        write("a.txt", seed);
        git(&["stash", "-q"]);
    }
    want("a.txt", "stash@{1}");
    want("a.txt", "stash@{0}");
    write("untracked.txt", 75);
    git(&["stash", "-q", "-u"]);
    want("untracked.txt", "stash@{0}^3");
    write("blob", 76);
    let blob = git(&["hash-object", "-w", "blob"]);
    std::fs::remove_file(root.join("blob")).unwrap();
    git(&["tag", "bytes", &blob]);
    wanted.insert("refs/tags/bytes:2 doppler-token history".to_owned());
    // In what people wrote of a commit and of a tag.
    git(&["commit", "-q", "--allow-empty", "-m", "rotate", "-m", &format!("was {}", token("st.dev.", 78))]);
    wanted.insert(format!("(message):3 doppler-token history {}", short("HEAD")));
    git(&["tag", "-a", "-m", "", "empty"]);
    git(&["tag", "-a", "-m", &format!("with {}", token("pt.", 79)), "said"]);
    wanted.insert("refs/tags/said:1 doppler-token history".to_owned());
    // A merge that has what neither side had.
    git(&["checkout", "-q", "-b", "other", "main"]);
    git(&["commit", "-q", "--allow-empty", "-m", "other"]);
    git(&["checkout", "-q", "main"]);
    git(&["commit", "-q", "--allow-empty", "-m", "main"]);
    git(&["merge", "-q", "--no-ff", "--no-commit", "other"]);
    write("evil.txt", 77);
    commit(&root);
    wanted.insert(format!("evil.txt:2 doppler-token history {}", short("HEAD")));
    std::fs::remove_file(root.join("evil.txt")).unwrap();
    // The same bytes are one thing under one name and another under another.
    git(&["mv", "old.env.example", "new.env"]);
    commit(&root);
    wanted.insert(format!("new.env:1 env-file history {}", short("HEAD")));
    git(&["mv", "new.env", "old.env.example"]);
    commit(&root);
    assert_eq!(scan(&case, 3).into_iter().collect::<BTreeSet<_>>(), wanted);
    // From a folder below, and from a worktree of the same repository.
    let below = case.below("deep/er");
    assert_eq!(scan(&below, 3).len(), wanted.len());
    git(&["worktree", "add", "-q", "--detach", "../linked"]);
    let linked = below.below("../linked");
    assert_eq!(scan(&linked, 3).into_iter().collect::<BTreeSet<_>>(), wanted);
}

#[test]
fn what_is_staged_is_found_where_the_file_is_another() {
    let case = Case::new()
        .file("a.txt", token("st.dev.", 80))
        .file("b.txt", token("st.dev.", 81))
        .file("c.txt", "c");
    let root = case.root();
    git(&root, &["init", "-q"]);
    git(&root, &["add", "-A"]);
    std::fs::write(root.join("a.txt"), "clean").unwrap();
    std::fs::write(root.join("b.txt"), format!("\n{}", token("st.dev.", 81))).unwrap();
    assert_eq!(scan(&case, 3), ["a.txt:1 doppler-token index", "b.txt:2 doppler-token tree"]);
    // git was told not to look.
    git(&root, &["update-index", "--assume-unchanged", "c.txt"]);
    git(&root, &["update-index", "--skip-worktree", "a.txt"]);
    std::fs::write(root.join("c.txt"), token("st.dev.", 82)).unwrap();
    let found = scan(&case, 3);
    assert!(found.contains(&"c.txt:1 doppler-token tree".to_owned()), "{found:?}");
    assert!(found.contains(&"a.txt:1 doppler-token index".to_owned()), "{found:?}");
}

#[test]
fn ignored_env_files_are_on_the_laptop_too_and_links_lead_nowhere() {
    let case = Case::new()
        .file(".gitignore", ".env\n/local/\n/target/\nnotes.txt\n")
        .file(".env", "A=1\n")
        .file("app/.env", "A=1\n")
        .file("local/.env", "A=1\n")
        .file("local/deep/.env", "A=1\n")
        .file("target/.env", "A=1\n")
        .file("notes.txt", token("st.dev.", 83))
        .file("nested/.env", "A=1\n");
    let root = case.root();
    std::fs::write(case.folder().join("outside.env"), "A=1\n").unwrap();
    std::os::unix::fs::symlink("../outside.env", root.join("link.env")).unwrap();
    std::os::unix::fs::symlink("../../outside.env", root.join("app/.env.local")).unwrap();
    std::os::unix::fs::symlink(case.folder(), root.join("folder")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe.env"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    git(&root.join("nested"), &["init", "-q"]);
    git(&root, &["init", "-q"]);
    git(&root, &["add", "link.env", "app/.env.local", ".gitignore"]);
    git(&root, &["commit", "-q", "-m", "links"]);
    assert_eq!(
        scan(&case, 3),
        [".env:1 env-file tree", "app/.env:1 env-file tree", "local/.env:1 env-file tree"]
    );
    case.run("secrets scan").code(3).says(&["1 nested repositories not entered"]);
}

#[test]
fn a_folder_of_a_larger_repository_is_scanned_alone() {
    let case = Case::new().nested("mono/links").file("a/.env", "A=1\n").file("../other/.env", "A=1\n");
    let mono = case.root().join("..");
    commit(&mono);
    let first: String = git(&mono, &["rev-parse", "HEAD"]).chars().take(10).collect();
    std::fs::write(case.root().join("new.env"), "A=1\n").unwrap();
    assert_eq!(scan(&case, 3), ["a/.env:1 env-file tree", "new.env:1 env-file tree"]);
    git(&mono, &["rm", "-q", "links/a/.env", "other/.env"]);
    commit(&mono);
    let wanted = [format!("a/.env:1 env-file history {first}"), "new.env:1 env-file tree".to_owned()];
    assert_eq!(scan(&case, 3), wanted);
    // Where the larger one ignores it, its files are there all the same.
    std::fs::write(mono.join(".gitignore"), "/links/\n").unwrap();
    git(&mono, &["rm", "-q", "-r", "--cached", "links"]);
    commit(&mono);
    assert_eq!(scan(&case, 3), wanted);
}

#[test]
fn what_a_commit_has_brought_can_be_accepted_without_what_comes_later() {
    let case = Case::new().file("old/.env", "A_KEY=first-value\n");
    commit(&case.root());
    let case = case.without("old/.env").file("README.md", "x\n");
    commit(&case.root());
    let ran = case.run("secrets scan").code(3).says(&["old/.env:1", "history, ", "next", "accepted = ["]);
    assert!(!ran.stderr.contains("take it out"), "{}", ran.stderr);
    let (_, entry) = ran.stderr.split_once("accepted = [").unwrap();
    let entry = entry.split(']').next().unwrap();
    let case = case.file("xtask.toml", format!("{CONFIG}[secrets]\naccepted = [{entry}]\n"));
    case.run("secrets scan").code(0).says(&["1 accepted"]);
    // A new one at the same path is news, here and once it is committed.
    let case = case.file("old/.env", "A_KEY=second-value\n");
    assert_eq!(scan(&case, 3), ["old/.env:1 env-file tree"]);
    commit(&case.root());
    let case = case.without("old/.env");
    assert_eq!(scan(&case, 3).len(), 1);
    commit(&case.root());
    let found = scan(&case, 3);
    assert!(found.len() == 1 && found[0].starts_with("old/.env:1 env-file history "), "{found:?}");
}

#[test]
fn what_is_accepted_is_counted_and_an_entry_for_nothing_is_noted() {
    let config = format!("{CONFIG}[secrets]\naccepted = [\"tests/fixtures/\", \"old/.env\", \"gone.pem\"]\n");
    let case = Case::new()
        .file("tests/fixtures/key.pem", key("PRIVATE", 84))
        .file("tests/fixtures-2/key.pem", key("PRIVATE", 85))
        .file("old/.env", "A=1\n");
    commit(&case.root());
    let case = case.without("old/.env").file("xtask.toml", config);
    let ran = case.run("secrets scan --json").code(3);
    assert_eq!(findings(&ran), ["tests/fixtures-2/key.pem:1 private-key tree"]);
    assert!(ran.stdout.contains("\"accepted\":2"), "{}", ran.stdout);
    case.run("secrets scan").code(3).says(&[
        "note",
        "accepted in xtask.toml: nothing is in gone.pem",
        "2 accepted",
    ]);
    case.edit("xtask.toml", "\"gone.pem\"", "\"./tests\"");
    assert_eq!(scan(&case, 0), Vec::<String>::new());
    case.run("secrets scan").code(0).says(&["✓ scan", "3 accepted"]);
}

#[test]
fn what_was_not_read_is_said() {
    let case = Case::new().file("a.txt", "a\n").file("big.bin", vec![b'x'; 6_000_000]);
    commit(&case.root());
    git(
        case.folder(),
        &["clone", "-q", "--depth=1", &format!("file://{}", case.root().display()), "shallow"],
    );
    case.run("secrets scan").code(0).says(&["✓ scan", "1 over 5 MB passed over"]);
    let shallow = case.below("../shallow");
    shallow.run("secrets scan").code(0).says(&["note", "shallow clone"]);
    shallow.run("ci secrets").code(1).says(&["error: the history is cut off", "next", "fetch-depth: 0"]);
    let case = Case::new().file("a.txt", "a\n").file("closed.txt", token("st.dev.", 86)).ordinary_user();
    std::os::unix::fs::chown(case.root().join("closed.txt"), Some(0), Some(0)).ok();
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    std::fs::set_permissions(case.root().join("closed.txt"), closed).unwrap();
    case.run("secrets scan").code(1).says(&["! not read", "closed.txt: permission denied", "error: 1 file"]);
}

#[test]
fn a_home_is_scanned_where_that_is_asked_for() {
    let setting =
        |value: &str| format!("scoped:\n    /:\n        token: {value}\n        enclave.project: links\n");
    let case = Case::new()
        .file("../home/.doppler/.doppler.yaml", setting(&token("ct.", 87)))
        .file("../home/.doppler/fallback/.secrets-0a1b.json", "x")
        .file("../home/.doppler/fallback/.metadata-0a1b.json", "x")
        .file("../home/.bashrc", format!("alias x=y\nexport DOPPLER_TOKEN='{}'\n", token("st.dev.", 88)))
        .file("../home/.profile", "export DOPPLER_TOKEN=$(pass doppler)\nexport MY_DOPPLER_TOKEN_FILE=/x\n")
        .file("../home/.zshrc", format!("export DOPPLER_TOKEN={}\n", tail(89)))
        .file("../home/.zsh_history", format!(": 1:0;doppler run --token {} -- x\n", token("pt.", 90)))
        .file("../home/.config/fish/config.fish", format!("set -gx DOPPLER_TOKEN {}\n", token("st.", 91)))
        .file("../home/.config/fish/conf.d/a.fish", format!("set -gx DOPPLER_TOKEN {}\n", token("st.", 93)))
        .file(
            "../home/.config/fish/conf.d/a.fish.bak",
            format!("set -gx DOPPLER_TOKEN {}\n", token("st.", 94)),
        )
        .file("../home/.config/environment.d/9.conf", format!("DOPPLER_TOKEN={}\n", token("st.", 95)))
        .file("../home/.config/zsh/.zshrc", format!("DOPPLER_TOKEN={}\n", token("st.", 96)))
        .file("../home/.bashrc.d/work", format!("export DOPPLER_TOKEN={}\n", token("st.", 97)))
        .file("../home/.zlogout", format!("# {}\n", token("st.", 98)))
        .file("../home/.histfile", format!("{}\n{}", token("st.", 99), "x".repeat(6_000_000)))
        .file("../home/.bash_history", "doppler run -- x\nDOPPLER_TOKEN=dp.st.xxxx doppler run\n");
    let home = case.folder().join("home");
    let case = case.env("HOME", home.display());
    assert_eq!(scan(&case, 0), Vec::<String>::new());
    let ran = case.run("secrets scan --home --json").code(3);
    assert_eq!(
        findings(&ran),
        [
            "~/.bashrc:2 doppler-token home",
            "~/.bashrc.d/work:1 doppler-token home",
            "~/.config/environment.d/9.conf:1 doppler-token home",
            "~/.config/fish/conf.d/a.fish:1 doppler-token home",
            "~/.config/fish/config.fish:1 doppler-token home",
            "~/.config/zsh/.zshrc:1 doppler-token home",
            "~/.doppler/.doppler.yaml:3 doppler-token home",
            "~/.doppler/fallback/.secrets-0a1b.json:1 fallback-file home",
            "~/.zlogout:1 doppler-token home",
            "~/.zsh_history:1 doppler-token home",
            "~/.zshrc:1 doppler-token home",
        ]
    );
    let people = case.run("-v secrets scan --home").code(3);
    for value in (80..100).map(tail) {
        assert!(![&ran, &people].iter().any(|ran| format!("{ran:?}").contains(&value[..8])));
    }
    people.says(&["1 over 5 MB passed over", "next", "doppler login", "doppler run clean --all"]);
    let keyring = setting("secret-6f0c9b1e-0a1b-4c2d-8e3f-112233445566");
    let case = case.file("../home/.doppler/.doppler.yaml", keyring);
    assert!(!case.run("secrets scan --home --json").stdout.contains(".doppler.yaml"));
}

#[test]
fn the_step_of_ci_annotates_each_line() {
    let case = Case::new().file("a,b.txt", format!("\n{}", token("st.dev.", 92)));
    git(&case.root(), &["init", "-q"]);
    case.run("ci secrets").code(3).says(&[
        "doppler-token",
        "a,b.txt:2",
        "✗ secrets",
        "error: failed: secrets",
    ]);
    let case = case.env("GITHUB_ACTIONS", "true");
    case.run("ci secrets").code(3).says(&["::error file=a%2Cb.txt,line=2,col=1::doppler-token"]);
    let case = case.without("a,b.txt");
    case.run("ci secrets").code(0).says(&["✓ scan", "✓ secrets"]);
    // A checkout without a history would pass for ever.
    std::fs::remove_dir_all(case.root().join(".git")).unwrap();
    case.run("ci secrets").code(1).says(&["error: there is no history", "next", "fetch-depth: 0"]);
    case.run("secrets scan").code(0);
}
