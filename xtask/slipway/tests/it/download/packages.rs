//! `--install system`: the system's package manager in the download's place.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::archive::{Archive, Bare, path};

/// Stand-ins for sudo, apt-get and apt-cache. The first is the only way to the others here, so nothing of this
/// machine is changed; what they are asked is in a log.
fn debian(bare: Bare, sudo: &str) -> Option<(Bare, PathBuf)> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let Some(home) =
        fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|home| home.path()).max()
    else {
        eprintln!("skipped: nothing here that a stand-in for apt-get could install");
        return None;
    };
    if !release.lines().any(|line| line == "ID=debian" || line == "ID=ubuntu") {
        eprintln!("skipped: the stand-ins are for Debian's package manager");
        return None;
    }
    let Bare { case, folder } = bare;
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let log = folder.path().join("log");
    fs::write(&log, "").unwrap();
    fs::set_permissions(&log, fs::Permissions::from_mode(0o666)).unwrap();
    let root = folder.path().join("empty");
    fs::set_permissions(&root, fs::Permissions::from_mode(0o777)).unwrap();
    let into = root.join(home.parent().unwrap().strip_prefix("/").unwrap());
    let script = |name: &str, text: &str| {
        let mut file = fs::File::create(bin.join(name)).unwrap();
        file.write_all(format!("#!/bin/sh\n{text}\n").as_bytes()).unwrap();
        file.set_permissions(fs::Permissions::from_mode(0o755)).unwrap();
    };
    script("apt-cache", "echo Package: $3");
    let install =
        format!("mkdir -p {into} && ln -s {home} {into}/", into = into.display(), home = home.display());
    let sudo = sudo.replace("INSTALL", &install).replace("LOG", &log.display().to_string());
    script("sudo", &sudo);
    let path = format!("{}:{}", bin.display(), path());
    Some((Bare { case: case.env("PATH", path).ordinary_user(), folder }, log))
}

/// sudo asks for nothing; apt-get talks on stdout.
const WILLING: &str =
    r#"echo "$*" | head -n 1 >>LOG; case "$*" in *install*) echo Setting up; INSTALL;; esac"#;

fn bare_of_installed(config: &str) -> Option<Bare> {
    let version = Archive::real()?.version;
    let bare = Bare::with(config, &version);
    // The account's own cache.
    let cache = bare.folder.path().join("cache");
    fs::create_dir(&cache).unwrap();
    if fs::metadata("/proc/self").is_ok_and(|found| std::os::unix::fs::MetadataExt::uid(&found) == 0) {
        std::os::unix::fs::chown(&cache, Some(65534), Some(65534)).unwrap();
    }
    Some(bare)
}

#[test]
fn the_systems_packages_are_used_when_asked_for_and_start_no_cluster() {
    let Some(bare) = bare_of_installed("") else { return };
    let Some((bare, log)) = debian(bare, WILLING) else { return };
    let ran =
        bare.case.run("db url --install system").code(0).says(&["installed with apt-get, no system cluster"]);
    assert!(ran.stdout.starts_with("postgres://") && ran.stdout.lines().count() == 1, "{}", ran.stdout);
    let log = fs::read_to_string(log).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[..2], ["-n true", "-n apt-get update -q"], "{log}");
    assert!(lines[2].starts_with("-n sh -c f=/etc/postgresql-common/createcluster.conf"), "{log}");
    let words =
        ["DEBIAN_FRONTEND=noninteractive", "--no-install-recommends", "--force-confold", "postgresql-"];
    assert!(words.iter().all(|word| lines[3].contains(word)), "{log}");
}

#[test]
fn yes_installs_when_the_download_cannot_be_reached_and_sudo_asks_for_nothing() {
    let nowhere = "[postgres.download]\nurl = \"http://127.0.0.1:1\"\n";
    let Some(bare) = bare_of_installed(nowhere) else { return };
    let Some((bare, _)) = debian(bare, WILLING) else { return };
    // Without it nothing is installed.
    bare.case.run("db url").code(5).says(&["the download failed", "could not connect"]);
    bare.case.run("db url --yes").code(0).says(&[
        "✗ postgres",
        "could not connect",
        "✓ postgres",
        "installed",
    ]);
}

#[test]
fn nobody_waits_for_a_password() {
    let nowhere = "[postgres.download]\nurl = \"http://127.0.0.1:1\"\n";
    let Some(bare) = bare_of_installed(nowhere) else { return };
    let asks = r#"[ "$1" = --version ] && exit; echo "a password is required" >&2; exit 1"#;
    let Some((bare, _)) = debian(bare, asks) else { return };
    bare.case.run("db url --yes").code(5).says(&["the download failed", "next", "--install system"]);
    let says = ["nobody here can answer sudo", "next", "sudo apt-get install -y postgresql"];
    bare.case.run("db url --install system").code(5).says(&says);
}
