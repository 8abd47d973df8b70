//! `image`: what is in it, the same bytes everywhere, what is refused, and the way to a registry.

mod build;
mod ecr;
mod kills;
mod push;
mod push_fails;
mod refused;
mod same_bytes;
mod secrets;
mod verify;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::case::{CONFIG, Case, Ran};
use crate::registry::is_installed;

/// A right configuration with a table `[image]`.
fn config(image: &str) -> String {
    format!("{CONFIG}\n[image]\n{image}\n")
}

/// The report of `image build`.
#[track_caller]
fn build(case: &Case) -> Value {
    report(case.run("image build --json").code(0))
}

#[track_caller]
fn report(ran: Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
}

/// A text of a report.
#[track_caller]
fn text(report: &Value, key: &str) -> String {
    report[key].as_str().unwrap_or_else(|| panic!("no {key} in {report}")).to_owned()
}

fn layout(case: &Case) -> PathBuf {
    case.root().join("target/image/oci")
}

fn archive(case: &Case) -> PathBuf {
    case.root().join("target/image/tiny.tar")
}

/// The names of the layout's blobs.
fn blobs(case: &Case) -> Vec<String> {
    let entries = std::fs::read_dir(layout(case).join("blobs/sha256")).unwrap().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| format!("sha256:{}", entry.file_name().display())).collect();
    names.sort();
    names
}

/// What a layer holds, as a tar; the last one has the program.
fn layer(case: &Case, number: usize) -> Vec<u8> {
    let report = report(case.run("image inspect --json").code(0));
    let digest = text(&report["layers"][number - 1], "digest");
    let blob = std::fs::File::open(layout(case).join("blobs").join(digest.replace(':', "/"))).unwrap();
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(blob).read_to_end(&mut tar).unwrap();
    tar
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// Whether `part` is anywhere in `bytes`.
fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Whoever runs these tests may not have it; the push is skipped then.
fn has_skopeo() -> bool {
    let found = is_installed("skopeo");
    if !found {
        eprintln!("skipped: no skopeo here (apt-get install skopeo)");
    }
    found
}

/// What skopeo prints.
#[track_caller]
fn skopeo(words: &[&str]) -> String {
    let output = Command::new("skopeo").args(words).output().unwrap();
    assert!(output.status.success(), "skopeo {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The digest that a name in a registry has, or why it has none.
fn digest_there(name: &str) -> Result<String, String> {
    let output = Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")])
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(digest(&output.stdout)),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// git in the case's repository.
#[track_caller]
fn git(case: &Case, words: &[&str]) -> String {
    let output = Command::new("git")
        .args(words)
        .current_dir(case.root())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|name| (name, "Ann")))
        .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|name| (name, "ann@example.org")))
        .envs(["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"].map(|name| (name, "1700000000 +0200")))
        .output()
        .unwrap();
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Commits all there is.
#[track_caller]
fn commit(case: &Case, message: &str) {
    git(case, &["add", "--all"]);
    git(case, &["commit", "--quiet", "--allow-empty", "--message", message]);
}

/// A service in a git repository with one commit.
fn committed(case: Case) -> Case {
    let case = case.file(".gitignore", "/target\n/.xtask\n");
    git(&case, &["init", "--quiet", "--template="]);
    commit(&case, "one");
    case
}

/// A folder of programs for PATH, and nothing else: links to those of this machine.
fn tools(case: &Case, names: &[&str]) -> PathBuf {
    let folder = case.folder().join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let path = std::env::var("PATH").unwrap();
    for name in names {
        let found = path.split(':').map(|folder| Path::new(folder).join(name)).find(|path| path.is_file());
        std::os::unix::fs::symlink(found.unwrap(), folder.join(name)).unwrap();
    }
    folder
}

/// A program of a few lines of shell.
fn program(path: &Path, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, format!("#!/bin/sh\n{script}")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
