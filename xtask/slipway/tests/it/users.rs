//! Any user, any place: the built binary under setpriv, umask and in mount namespaces of its own. Only root can
//! become all these users.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::case::{Case, nothing_left};

const SELECT: [&str; 5] = ["db", "psql", "--", "-Atc", "select 42"];

/// Says why a test is skipped, where it is.
fn is_root() -> bool {
    let root = std::fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0);
    if !root {
        eprintln!("skipped: only root can become other users");
    }
    root
}

/// A server starts, answers, is used by a second caller, stops, keeps its data.
#[track_caller]
fn works(case: &Case) {
    let url = case.run("db url").code(0).stdout;
    assert!(url.starts_with("postgres://postgres@localhost:5432/tiny?host=/tmp/slipway-"), "{url}");
    case.run_words(&SELECT).code(0).prints("42\n");
    case.run_words(&["db", "psql", "--", "-qc", "create table keep as select 7 as i"]).code(0);
    case.run("db stop").code(0).says(&["stopped, data kept"]);
    case.run_words(&["db", "psql", "--", "-Atc", "select i from keep"]).code(0).prints("7\n");
    case.run("db stop --force").code(0);
    nothing_left(&[case.root()]);
}

/// Files and folders below `folder` that other users could write.
fn writable_by_others(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, meta) = (entry.path(), entry.metadata().unwrap());
        if !meta.is_symlink() && meta.permissions().mode() & 0o022 != 0 {
            found.push(path.clone());
        }
        if meta.is_dir() {
            found.extend(writable_by_others(&path));
        }
    }
    found
}

#[test]
fn an_ordinary_user() {
    works(&Case::new().ordinary_user());
}

#[test]
fn a_user_without_a_passwd_entry() {
    if !is_root() {
        return;
    }
    assert!(!std::fs::read_to_string("/etc/passwd").unwrap().contains(":54321:"));
    let case = Case::new().user(54321);
    works(&case);
    let cache = case.folder().join("cache/slipway/postgres");
    assert!(std::fs::read_dir(cache).unwrap().flatten().all(|entry| {
        let name = entry.file_name().into_string().unwrap();
        !name.ends_with(".so") && !name.ends_with(".c")
    }));
    drop(case);
    std::fs::remove_dir("/tmp/slipway-54321").unwrap();
}

#[test]
fn any_umask_and_nothing_is_open_to_others() {
    for umask in ["000", "077"] {
        let case = Case::new().wrap(&["sh", "-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
        works(&case);
        let state = PathBuf::from(case.status("data")).parent().unwrap().parent().unwrap().to_path_buf();
        assert_eq!(writable_by_others(&state), Vec::<PathBuf>::new(), "umask {umask}");
        if is_root() {
            let case =
                Case::new().user(65534).wrap(&["sh", "-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
            works(&case);
            for folder in [case.root().join(".xtask"), case.folder().join("cache")] {
                assert_eq!(writable_by_others(&folder), Vec::<PathBuf>::new(), "umask {umask}, nobody");
            }
        }
    }
}

#[test]
fn a_home_that_cannot_be_written() {
    if !is_root() {
        return;
    }
    // Of nobody else, so that no other test's cache is in the way.
    let uid = 54322;
    let case = Case::new().user(uid).env("XDG_CACHE_HOME", "").env("HOME", "/proc");
    works(&case);
    let own = PathBuf::from(format!("/var/tmp/slipway-{uid}"));
    assert!(own.join("cache/postgres").is_dir());
    drop(case);
    std::fs::remove_dir_all(own).unwrap();
    std::fs::remove_dir(format!("/tmp/slipway-{uid}")).unwrap();
}

#[test]
fn a_worktree_whose_path_has_more_than_200_bytes() {
    let case = Case::new().nested(&format!("{}/{}", "d".repeat(120), "e".repeat(100)));
    assert!(case.root().as_os_str().len() > 220);
    works(&case);
    let case = Case::new().nested(&format!("{}/{}", "d".repeat(120), "e".repeat(100))).user(65534);
    works(&case);
}

#[test]
fn a_folder_below_a_closed_home() {
    let case = Case::new().nested("home/code");
    let home = case.folder().join("repo/home");
    std::fs::set_permissions(home, PermissionsExt::from_mode(0o700)).unwrap();
    works(&case);
    let case = Case::new().nested("home/code").user(65534);
    std::fs::set_permissions(case.folder().join("repo/home"), PermissionsExt::from_mode(0o700)).unwrap();
    works(&case);
}

/// A shell script in a mount namespace of its own, before the command.
fn mounted(case: Case, script: &str) -> Option<Case> {
    let can = Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success());
    if !can {
        eprintln!("skipped: this machine allows no mount namespaces");
        return None;
    }
    Some(case.wrap(&["unshare", "--mount", "sh", "-c", &format!("set -e; {script}; exec \"$@\""), "sh"]))
}

#[test]
fn memory_that_is_too_small_or_not_there() {
    if !is_root() {
        return;
    }
    // A container's 64 MB; none that can be written; none at all, as in a container without /dev/shm.
    let none = "mkdir $$; mount -t tmpfs none $$; cd $$; \
        for n in null zero full random urandom; do touch $n; mount --bind /dev/$n $n; done; cd ..; \
        mount --rbind $$ /dev";
    for script in ["mount -t tmpfs -o size=64m none /dev/shm", "mount -t tmpfs -o ro none /dev/shm", none] {
        let case = Case::with_service().file("tests/one.rs", "#[test] fn one() {}");
        let Some(case) = mounted(case, script) else { return };
        let ran = case.run("test").code(0).says(&["✓ postgres", "1 passed, 0 failed"]);
        assert!(ran.stderr.contains("/ephemeral/"), "{script}: {}", ran.stderr);
        assert!(case.run("doctor").code(0).stderr.contains("/dev/shm"), "{script}");
        works(&case);
    }
}

/// In a container the tool has the same process id each time, and what a killed one left has its name.
#[test]
fn a_process_id_that_comes_again() {
    if !is_root() {
        return;
    }
    let case = Case::with_service().file("tests/one.rs", "#[test] fn one() {}");
    let case = case.wrap(&["unshare", "--pid", "--fork", "--mount-proc"]);
    let memory = Path::new("/dev/shm/slipway-0/1");
    std::fs::create_dir_all(memory.join("data")).unwrap();
    std::fs::write(memory.join("data/PG_VERSION"), "15\n").unwrap();
    case.run("test").code(0).says(&["in /dev/shm/slipway-0/1 ", "1 passed, 0 failed"]);
    let _ = std::fs::remove_dir_all(memory);
}

#[test]
fn a_full_disk_loses_nothing() {
    if !is_root() {
        return;
    }
    let uid = 65534;
    let case = Case::new().user(uid);
    let state = case.root().join(".xtask");
    let binary = case.folder().join("slipway");
    let script = format!(
        r#"set -e
        cd {root}
        as() {{ setpriv --reuid={uid} --regid={uid} --clear-groups env XDG_CACHE_HOME={cache} {binary} "$@"; }}
        mkdir -p {state}
        mount -t tmpfs -o size=60m,uid={uid},gid={uid},mode=0700 none {state}
        as db url || echo "code $?"
        mount -o remount,size=300m {state}
        as db psql -- -qc 'create table t (x text)'
        as db psql -- -qc "insert into t select repeat(md5(i::text), 20) from generate_series(1, 1000) i"
        head -c 400m /dev/zero >{state}/big 2>/dev/null || true
        as db psql -- -qc "insert into t select repeat(md5(i::text), 20) from generate_series(1, 200000) i" || echo "code $?"
        as db stop --force || true
        as db psql -- -Atc 'select count(*) from t' || echo "code $?"
        rm {state}/big
        as db psql -- -Atc 'select count(*) from t'
        as db stop --force"#,
        root = case.root().display(),
        cache = case.folder().join("cache").display(),
        binary = binary.display(),
        state = state.display(),
    );
    let ran = Command::new("unshare").args(["--mount", "sh", "-c", &script]).output().unwrap();
    let said = String::from_utf8(ran.stdout).unwrap() + "\n--\n" + &String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.success(), "{said}");
    for part in ["no room for a new cluster: 128 MB needed", "code 1", "No space left on device", "code "] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.lines().any(|line| line == "1000"), "{said}");
}
