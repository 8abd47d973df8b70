//! `doctor`

use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::case::{CONFIG, Case, Ran};

/// A folder for PATH that has these programs and no others.
fn path_with(case: &Case, programs: &[&str]) -> PathBuf {
    let folder = case.root().join("programs");
    std::fs::create_dir(&folder).unwrap();
    let path = std::env::var("PATH").unwrap();
    for program in programs {
        let found = path.split(':').map(|folder| Path::new(folder).join(program)).find(|path| path.is_file());
        symlink(found.unwrap_or_else(|| panic!("no {program} here")), folder.join(program)).unwrap();
    }
    folder
}

/// A case that finds these programs only.
fn case_with(config: &str, programs: &[&str]) -> Case {
    let case = Case::new().file("xtask.toml", format!("{CONFIG}{config}"));
    let folder = path_with(&case, programs);
    case.env("PATH", folder.display())
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
}

/// What `doctor --json` says of a path that is kept.
fn kept(case: &Case, path: &Path) -> Option<Value> {
    let report = json(&case.run("doctor --json").code(0));
    let state = report["state"].as_array().unwrap().clone();
    state.into_iter().find(|kept| kept["path"].as_str() == path.to_str())
}

#[test]
fn what_is_here_is_listed_from_any_folder() {
    let ran = Case::new().below("app/src").run("doctor").code(0).prints("").says(&[
        "Tools",
        "✓ cargo",
        "✓ git",
        "✓ postgres",
        "dev, test, db",
        "State",
        "Room",
        "✓ disk",
        "free at",
    ]);
    for line in ran.stderr.lines() {
        assert!(line.chars().count() <= 96, "{line}");
    }
}

#[test]
fn looking_changes_nothing() {
    let case = Case::new();
    case.run("doctor").code(0);
    case.run("doctor --clean --dry-run").code(0);
    let names: Vec<_> =
        std::fs::read_dir(case.root()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["xtask.toml"]);
    assert_eq!(case.status("running"), "false");
}

#[test]
fn a_required_tool_that_is_missing_is_5_with_what_installs_it() {
    let ran = case_with("", &["cargo", "rustc", "cc", "curl"]).run("doctor").code(5);
    ran.says(&[
        "✓ cargo",
        "✗ git",
        "missing: ",
        "install",
        "git",
        "error: required and not here: git",
        "next",
        "git",
    ]);
    let ran = case_with("", &["git", "curl"]).run("doctor").code(5);
    ran.says(&["✗ cargo", "missing", "· rustc", "error: required and not here: cargo", "next", "rust"]);
}

#[test]
fn an_optional_tool_that_is_missing_is_no_error() {
    let ran = case_with("", &["cargo", "git"]).run("doctor").code(0);
    ran.says(&["✓ cargo", "· cc", "missing: ", "· nextest", "cargo install --locked cargo-nextest"]);
}

#[test]
fn a_tool_that_does_not_run_is_as_good_as_none() {
    let case = case_with("", &["cargo", "curl"]).file("programs/git", "#!/bin/sh\nexit 1\n");
    let git = case.root().join("programs/git");
    std::fs::set_permissions(git, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    case.run("doctor").code(5).says(&["✗ git", "programs/git does not run: ", "error: required"]);
}

#[test]
fn no_server_needs_curl_and_neither_is_5() {
    let none = |config: &str, programs: &[&str]| {
        case_with(config, programs).env("SLIPWAY_SEARCH_ROOT", "/nowhere").env("HOME", "/nowhere")
    };
    let wanted = "[postgres]\nversions = [\"18\"]\n";
    let with = none(wanted, &["cargo", "git", "curl"]);
    with.run("doctor").code(0).says(&[
        "✓ curl",
        "· postgres",
        "none of 18 is here; curl gets one",
        "    or ",
    ]);
    let report = json(&with.run("doctor --json").code(0));
    assert_eq!(
        (&report["server"]["version"], &report["server"]["fetched"]),
        (&Value::Null, &Value::Bool(true))
    );
    // Without curl; forbidden; not published.
    for (config, programs) in [
        (wanted, &["cargo", "git"][..]),
        ("[postgres]\nversions = [\"18\"]\ndownload = false\n", &["cargo", "git", "curl"]),
        ("[postgres]\nversions = [\"9\"]\n", &["cargo", "git", "curl"]),
    ] {
        let without = none(config, programs);
        without.run("doctor").code(5).says(&[
            "✗ postgres",
            "is here",
            "next",
            "error: required and not here: PostgreSQL",
            "found",
            "wants ",
            "next",
        ]);
        assert_eq!(json(&without.run("doctor --json").code(5))["ok"], false);
    }
    // Who names a folder wants what is there.
    let named = case_with("[postgres]\nbin = \"nowhere\"\n", &["cargo", "git", "curl"]);
    named.run("doctor").code(5).says(&["✗ postgres", "error: ", "next", "remove `bin`"]);
}

#[test]
fn json_is_one_object_with_everything() {
    let case = Case::new();
    case.run("db psql").code(0);
    let report = json(&case.run("doctor --json").code(0));
    for key in ["repository", "tools", "server", "state", "target", "disk", "ok"] {
        assert!(report.get(key).is_some(), "no {key} in {report}");
    }
    assert_eq!(report["ok"], true);
    let tools = report["tools"].as_array().unwrap();
    for key in ["name", "version", "path", "required", "verbs", "get"] {
        assert!(tools.iter().all(|tool| tool.get(key).is_some()), "no {key} in {tools:?}");
    }
    let required: Vec<_> = tools
        .iter()
        .filter(|tool| tool["required"] == true)
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(required, ["cargo", "git"]);
    assert!(report["server"]["version"].is_string(), "{report}");
    assert!(report["disk"].as_array().unwrap().iter().all(|disk| disk["free_bytes"].is_u64()), "{report}");
    let state = PathBuf::from(case.status("data")).parent().unwrap().parent().unwrap().to_path_buf();
    let state = kept(&case, &state).unwrap();
    assert_eq!((state["kind"].as_str(), state["stray"].as_bool()), (Some("worktree"), Some(false)));
    assert!(state["bytes"].as_u64().unwrap() > 1_000_000, "{state}");
}

#[test]
fn without_a_repository_or_with_a_broken_one_the_rest_is_shown() {
    let outside = Case::new().without("xtask.toml");
    outside.run("doctor").code(0).says(&["✓ cargo", "· repository", "none here", "State", "✓ disk"]);
    assert_eq!(json(&outside.run("doctor --json").code(0))["repository"]["root"], Value::Null);
    let broken = Case::new().file("xtask.toml", format!("{CONFIG}[postgres]\nversion = [\"17\"]\n"));
    broken.run("doctor").code(0).says(&[
        "✓ cargo",
        "✗ xtask.toml",
        "4:1: unknown key `version` in [postgres]",
        "next",
        "did you mean `versions`?",
        "State",
        "✓ disk",
    ]);
    let mistake = json(&broken.run("doctor --json").code(0))["repository"]["mistake"].to_string();
    assert!(mistake.contains("xtask.toml:4:1"), "{mistake}");
}

#[test]
fn a_target_folder_of_several_worktrees_is_named() {
    let own = Case::with_service();
    own.run("doctor").code(0).says(&["✓ target", "target/, of this worktree alone"]);
    let configured = Case::with_service().file(".cargo/config.toml", "[build]\ntarget-dir = \"../shared\"\n");
    configured.run("doctor").code(0).says(&["! target", "shared is not of this worktree alone", "wait"]);
    let variable = Case::new().env("CARGO_TARGET_DIR", "/var/tmp/slipway-shared-target");
    variable.run("doctor").code(0).says(&["! target", "not of this worktree alone"]);
    let report = json(&variable.run("doctor --json").code(0));
    assert_eq!(report["target"]["shared"], true);
}

/// `--clean` is for all that a user has: two of these tests at once would clean each other's.
fn alone() -> File {
    // A name by user: nobody can open another's in /tmp.
    let uid = tempfile::tempdir().unwrap().path().metadata().unwrap().uid();
    let lock = File::create(std::env::temp_dir().join(format!("slipway-doctor-tests-{uid}.lock"))).unwrap();
    lock.lock().unwrap();
    lock
}

/// A repository's folder that is gone for as long as this lives.
struct Away {
    from: PathBuf,
    to: PathBuf,
}

impl Away {
    fn new(case: &Case) -> Self {
        let (from, to) = (case.root(), case.root().with_file_name("away"));
        std::fs::rename(&from, &to).unwrap();
        Away { from, to }
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        let _ = std::fs::rename(&self.to, &self.from);
    }
}

/// The state of a case, and the short link to it.
fn state_of(case: &Case) -> (PathBuf, PathBuf) {
    let url = case.run("db url").code(0).stdout;
    let link = PathBuf::from(url.trim().split("host=").nth(1).unwrap())
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .to_path_buf();
    (std::fs::read_link(&link).unwrap(), link)
}

#[test]
fn what_deleted_clones_left_is_listed_and_removed_and_what_runs_is_left_alone() {
    let _alone = alone();
    let (gone, used, here) = (Case::new(), Case::new(), Case::new());
    let (state, link) = state_of(&gone);
    let root = std::fs::read_to_string(state.join("root")).unwrap();
    assert_eq!(Path::new(root.trim_end()), gone.root().canonicalize().unwrap());
    gone.run("db stop").code(0);
    let (used_state, used_link) = state_of(&used);
    let is_root = !state.starts_with(gone.root());
    // A server of a test run, as its user holds it.
    let uid = link.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let memory = Path::new("/dev/shm").join(uid);
    let held = memory.join(format!("held-{}", std::process::id()));
    let users = memory.is_dir().then(|| {
        std::fs::create_dir(&held).unwrap();
        let users = File::create(held.join("users.lock")).unwrap();
        users.lock_shared().unwrap();
        users
    });
    // Nobody's yet.
    assert!(kept(&here, &link).is_none_or(|kept| kept["stray"] == false));

    let (away, used_away) = (Away::new(&gone), is_root.then(|| Away::new(&used)));
    // Root's state is outside of the clone; everybody else's went with it, and only the link is left.
    let stray = if is_root { &state } else { &link };
    let listed = kept(&here, stray).unwrap();
    assert_eq!(listed["stray"], true, "{listed}");
    here.run("doctor").code(0).says(&["! stray", "next", "cargo xtask doctor --clean"]);
    if is_root {
        let listed = kept(&here, &used_state).unwrap();
        assert_eq!((&listed["stray"], listed["kind"].as_str()), (&Value::Bool(false), Some("clone")));
        assert!(listed["about"].as_str().unwrap().contains("still in use"), "{listed}");
    }
    here.run("doctor --clean -n").code(0).says(&["! stray", "would remove"]);
    here.run("doctor --clean").code(2).says(&["Nobody here can answer", "--yes"]);
    assert!(stray.symlink_metadata().is_ok());
    here.run("doctor --clean --yes").code(0).says(&["✓ clean", "removed", "freed"]);
    assert!(stray.symlink_metadata().is_err() && link.symlink_metadata().is_err());
    assert!(used_state.is_dir() || used_away.is_none());
    assert!(used_link.symlink_metadata().is_ok());
    drop((away, used_away));
    assert_eq!(used.status("running"), "true");
    if users.is_some() {
        assert!(held.is_dir(), "a cluster in use was removed");
        std::fs::remove_dir_all(&held).unwrap();
    }
}

#[test]
fn a_clone_whose_branch_lacks_the_tool_keeps_its_state() {
    let _alone = alone();
    let (case, here) = (Case::new().file(".git", "gitdir: elsewhere\n"), Case::new());
    let (state, _) = state_of(&case);
    case.run("db stop").code(0);
    let case = case.without("xtask.toml");
    if let Some(listed) = kept(&here, &state) {
        assert_eq!(listed["stray"], false, "{listed}");
    }
    here.run("doctor --clean --yes").code(0);
    assert!(state.join("cluster/data").is_dir());
    // For the case to find and remove it.
    drop(case.file("xtask.toml", CONFIG));
}

#[test]
fn what_is_somebody_elses_or_nobodys_by_name_is_not_touched() {
    let parent = Path::new("/var/tmp/slipway-0");
    let probe = tempfile::tempdir().unwrap();
    if std::os::unix::fs::chown(probe.path(), Some(65534), None).is_err() || !parent.is_dir() {
        eprintln!("skipped: only root can make another user's folder");
        return;
    }
    let _alone = alone();
    let case = Case::new();
    let folder = |digit: char| parent.join(format!("{digit}{:07x}", std::process::id()));
    let (theirs, unknown, other) = (folder('a'), folder('b'), parent.join("not-a-hash"));
    for path in [&theirs, &unknown, &other] {
        std::fs::create_dir(path).unwrap();
    }
    std::fs::write(theirs.join("root"), "/no/such/clone\n").unwrap();
    std::os::unix::fs::chown(&theirs, Some(65534), None).unwrap();
    assert!(kept(&case, &theirs).is_none() && kept(&case, &other).is_none());
    let listed = kept(&case, &unknown).unwrap();
    assert_eq!((listed["kind"].as_str(), &listed["stray"]), (Some("unknown"), &Value::Bool(false)));
    case.run("doctor --clean --yes").code(0);
    for path in [&theirs, &unknown, &other] {
        std::fs::remove_dir_all(path).unwrap();
    }
}

#[test]
fn what_a_cut_download_left_is_stray_unless_one_goes_on() {
    let case = Case::new();
    let cache = case.folder().join("kept");
    let case = case.env("SLIPWAY_CACHE", cache.display());
    case.run("db psql").code(0);
    let folder = cache.join("slipway/postgres");
    let (part, staged) = (folder.join("postgresql-9.tar.gz.part"), folder.join("server-9.staged"));
    std::fs::write(&part, "half").unwrap();
    std::fs::create_dir(&staged).unwrap();
    // Locked by the test, as a download that goes on would.
    let lock = std::fs::File::create(folder.join("postgresql-9.tar.gz.lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(kept(&case, &part), None);
    drop(lock);
    let found = kept(&case, &part).unwrap();
    assert_eq!((&found["kind"], &found["stray"]), (&"download".into(), &true.into()));
    case.run("doctor --clean -n").code(0).says(&["would remove"]);
    assert!(part.exists() && staged.exists());
    let _alone = alone();
    case.run("doctor --clean --yes").code(0).says(&["removed"]);
    assert!(!part.exists() && !staged.exists());
    case.run_words(&["db", "psql", "--", "-Atc", "select 1"]).code(0).prints("1\n");
}
