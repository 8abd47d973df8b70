//! `sync-actions fleet`

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::case::{Case, Ran};

const CI: &str = ".github/workflows/ci.yml";
const AS_PULLED: &str = "on: push\n";
/// The last one says that the second was withdrawn.
const VERSIONS: [&str; 4] = ["1.0.0", "1.1.0", "1.2.0", "1.3.0"];
const JANUARY: u64 = 1_767_225_600;

fn git(folder: &Path, words: &[&str], input: &str) -> String {
    let mut child = Command::new("git")
        .args(words)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "git {words:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The commits of a repository, for `git fast-import`.
#[derive(Default)]
struct Commits(String);

impl Commits {
    fn commit(mut self, time: u64, files: &[(&str, &str)]) -> Self {
        let data = |text: &str| format!("data {}\n{text}\n", text.len());
        let _ =
            write!(self.0, "commit refs/heads/main\ncommitter a <a@example.org> {time} +0000\n{}", data("x"));
        for (path, text) in files {
            let _ = write!(self.0, "M 100644 inline {path}\n{}", data(text));
        }
        self
    }

    fn tag(mut self, name: &str) -> Self {
        let _ = write!(self.0, "reset refs/tags/{name}\nfrom refs/heads/main\n\n");
        self
    }

    /// A repository without a work tree's files: they do not count.
    fn write(self, folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        git(folder, &["init", "-q", "-b", "main", "--template="], "");
        git(folder, &["fast-import", "--quiet"], &self.0);
    }
}

fn lock(source: &str, version: &str, files: &str) -> String {
    format!(
        "lock = 1\nsource = \"{source}\"\nref = \"refs/tags/v{version}\"\nversion = \"{version}\"\n\
         commit = \"{}\"\n\n[files]\n{files}",
        "b".repeat(40)
    )
}

/// A platform's repository with four versions, and services around it.
struct Fleet {
    case: Case,
    source: String,
    /// git's name of [`AS_PULLED`].
    blob: String,
}

impl Fleet {
    fn new() -> Self {
        // Nothing here needs an xtask.toml.
        let case = Case::new().without("xtask.toml");
        let cache = case.folder().join("cache");
        let case = case.env("GIT_CONFIG_GLOBAL", "/dev/null").env("SLIPWAY_CACHE", cache.display());
        let platform = case.folder().join("acme/platform");
        let mut commits = Commits::default();
        for (index, version) in VERSIONS.iter().enumerate() {
            let told = "[versions.\"1.1.0\"]\nwithdrawn = \"publishes from forks\"\n";
            let told = if index == 3 { told } else { "" };
            let manifest = format!("files = [\"workflows/\"]\n{told}");
            let files = [("templates.toml", manifest.as_str()), ("workflows/ci.yml", AS_PULLED)];
            commits = commits.commit(JANUARY + index as u64, &files).tag(&format!("v{version}"));
        }
        commits.write(&platform);
        let source = format!("file://{}", platform.display());
        let blob = git(&platform, &["hash-object", "--stdin"], AS_PULLED);
        Fleet { case, source, blob }
    }

    fn entry(&self, path: &str, more: &str) -> String {
        let sum = "c".repeat(64);
        format!("\"{path}\" = {{ blob = \"{}\", mode = \"644\", sha256 = \"{sum}\"{more} }}\n", self.blob)
    }

    /// A service that had 1.0.0 on a day of January, and then `version` a month later.
    fn service(&self, name: &str, day: u64, version: &str, text: &str, more: &str) -> PathBuf {
        let (time, file) = (JANUARY + day * 86_400, (CI, text));
        let files = self.entry(CI, "") + more;
        let (old, new) = (lock(&self.source, "1.0.0", &files), lock(&self.source, version, &files));
        let folder = self.case.root().join(name);
        let lock = ".github/sync-actions.lock";
        let commits = Commits::default().commit(time, &[(lock, &old), (CI, AS_PULLED)]);
        commits.commit(time + 31 * 86_400, &[(lock, &new), file]).write(&folder);
        folder
    }

    fn list(&self, lines: &[String]) {
        std::fs::write(self.case.root().join("list"), lines.join("\n")).unwrap();
    }
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
}

fn named<'a>(report: &'a Value, name: &str) -> &'a Value {
    let rows = report["repositories"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}"))
}

/// The page as Chromium reads it, where there is one.
fn as_read(page: &Path) -> Option<String> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let installed =
        |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|ran| ran.status.success());
    let Some(program) = names.into_iter().find(installed) else {
        eprintln!("skipped: no Chromium to read the page with");
        return None;
    };
    let profile = tempfile::tempdir().unwrap();
    let ran = Command::new(program)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", page.display()))
        .stderr(Stdio::null())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{program}: {}", ran.status);
    Some(String::from_utf8(ran.stdout).unwrap())
}

#[test]
fn a_hundred_repositories_are_counted_listed_and_drawn() {
    let fleet = Fleet::new();
    let mut lines = vec!["# services".to_owned(), String::new()];
    for index in 0..100 {
        let name = format!("services/s{index:02}");
        let own = fleet.entry(".github/own.yml", &format!(", kept = \"{}\"", "d".repeat(64)))
            + &fleet.entry(".github/gone.yml", ", deleted = true");
        let (version, text, more) = match index {
            0 => ("1.3.0", AS_PULLED, own.as_str()),
            1..60 => ("1.3.0", AS_PULLED, ""),
            60..64 => ("1.3.0", "on: [push, pull_request]\n", ""),
            64..80 => ("1.2.0", AS_PULLED, ""),
            80..90 => ("1.0.0", AS_PULLED, ""),
            90..92 => ("1.1.0", AS_PULLED, ""),
            _ => {
                let commits = Commits::default();
                // The last one has no commit at all.
                let commits =
                    if index == 99 { commits } else { commits.commit(JANUARY, &[("README.md", "x")]) };
                commits.write(&fleet.case.root().join(&name));
                lines.push(name);
                continue;
            }
        };
        fleet.service(&name, index, version, text, more);
        lines.push(name);
    }
    fleet.list(&lines);
    // Nobody's work tree counts.
    let edit = fleet.case.root().join("services/s02").join(CI);
    std::fs::create_dir_all(edit.parent().unwrap()).unwrap();
    std::fs::write(edit, "an edit that was not committed").unwrap();

    let ran = fleet.case.run("sync-actions fleet --from list").code(0).prints("");
    let ran = ran.says(&[
        "repository",
        "✗ services/s90",
        "v1.1.0",
        "withdrawn: publishes from forks",
        "! services/s80",
        "v1.0.0",
        "! services/s64",
        "! services/s60",
        "edited",
        "✓ services/s00",
        "· services/s92",
        "not adopted",
        "acme/platform: v1.3.0 of 4 versions",
        "100 repositories: 60 current, 26 behind, 2 withdrawn, 4 edited, 8 not adopted",
    ]);
    let rows = ran.stderr.lines().filter(|line| line.contains("services/s"));
    assert_eq!(rows.count(), 100);

    let report = json(&fleet.case.run("sync-actions fleet --from list --json").code(0));
    let rows = report["repositories"].as_array().unwrap();
    let count = |state: &str| rows.iter().filter(|row| row["state"] == state).count();
    let states = ["current", "behind", "withdrawn", "edited", "not-adopted"];
    assert_eq!(states.map(count), [60, 26, 2, 4, 8]);
    // What was withdrawn is not counted: nobody is given it.
    assert_eq!(named(&report, "services/s85")["behind"], 2);
    assert_eq!(named(&report, "services/s70")["behind"], 1);
    assert_eq!(named(&report, "services/s60")["edited"][0], CI);
    assert_eq!(named(&report, "services/s02")["edited"].as_array().unwrap().len(), 0);
    assert_eq!(named(&report, "services/s00")["own"].as_array().unwrap().len(), 2);
    assert_eq!(named(&report, "services/s91")["withdrawn"], "publishes from forks");
    assert_eq!(named(&report, "services/s99")["version"], Value::Null);
    assert_eq!(report["sources"][0]["newest"], "1.3.0");
    assert_eq!(report["sources"][0]["versions"].as_array().unwrap().len(), 4);
    // 92 adopted 1.0.0, and all but ten of them something newer.
    let adoption = report["adoption"].as_array().unwrap();
    assert_eq!(adoption.len(), 92 + 82);
    assert_eq!((&adoption[0]["date"], &adoption[0]["version"]), (&"2026-01-01".into(), &"1.0.0".into()));

    fleet.case.run("sync-actions fleet --from list --html page.html").code(0).says(&["✓ page", "page.html"]);
    let path = fleet.case.root().join("page.html");
    let page = std::fs::read_to_string(&path).unwrap();
    for text in
        ["<html lang=\"en\">", "<caption>", "scope=\"row\"", "<desc", "prefers-color-scheme", "60 current"]
    {
        assert!(page.contains(text), "no {text}");
    }
    for text in ["<script", "http://", "https://", "src=", "href="] {
        assert!(!page.contains(text), "{text}");
    }
    for read in [Some(page), as_read(&path)].into_iter().flatten() {
        // The head, and a row each; an area and a line of the legend each version.
        assert_eq!(read.matches("<tr>").count(), 101);
        assert_eq!(read.matches("<path class=\"area ").count(), 4);
        assert_eq!(read.matches("<span class=\"swatch ").count(), 4);
    }
}

#[test]
fn one_that_cannot_be_reached_stops_no_other_and_the_code_is_7() {
    let fleet = Fleet::new();
    let address = |path: &Path| format!("file://{}", path.display());
    let (plain, filtered) = (
        fleet.service("plain", 0, "1.2.0", "on: other\n", ""),
        fleet.service("filtered", 0, "1.3.0", AS_PULLED, ""),
    );
    git(&filtered, &["config", "uploadpack.allowFilter", "true"], "");
    let empty = fleet.case.root().join("empty");
    Commits::default().write(&empty);
    let broken = fleet.case.root().join("broken");
    Commits::default().commit(JANUARY, &[(".github/sync-actions.lock", "nonsense\n")]).write(&broken);
    // In no repository but the one around it.
    std::fs::create_dir(plain.join("below")).unwrap();
    let gone = Path::new("/nowhere/acme/gone");
    fleet.list(&[
        address(gone),
        address(&plain),
        address(&filtered),
        address(&empty),
        "missing".to_owned(),
        "plain/below".to_owned(),
        "broken".to_owned(),
    ]);
    // The second time from the cache.
    for _ in 0..2 {
        let ran = fleet.case.run("sync-actions fleet --from list").code(7).says(&[
            "✗ acme/gone",
            "unreachable: ",
            "behind",
            "✓ repo/filtered",
            "· repo/empty",
            "7 repositories: 1 current, 1 behind, 4 unreachable, 1 not adopted",
            "error: 4 of 7 repositories could not be read",
            "next",
        ]);
        ran.says(&["missing", "no such folder", "plain/below", "not a git repository"]);
        let report = json(&fleet.case.run("sync-actions fleet --from list --json").code(7));
        let behind = named(&report, "repo/plain");
        assert_eq!((&behind["behind"], &behind["edited"][0]), (&1.into(), &CI.into()));
        assert!(named(&report, "broken")["error"].as_str().unwrap().contains("sync-actions.lock:1"));
        assert_eq!(report["adoption"].as_array().unwrap().len(), 4);
    }
    // A source that is gone is nobody's failure.
    std::fs::rename(fleet.case.folder().join("acme"), fleet.case.folder().join("away")).unwrap();
    fleet.list(&["plain".to_owned(), "filtered".to_owned()]);
    fleet.case.run("sync-actions fleet --from list").code(0).says(&[
        "acme/platform",
        "behind unknown: ",
        "2 repositories: 1 edited, 1 behind unknown",
    ]);
    let report = json(&fleet.case.run("sync-actions fleet --from list --json").code(0));
    assert_eq!(named(&report, "filtered")["behind"], Value::Null);
}

#[test]
fn a_name_is_text_and_nothing_else() {
    let fleet = Fleet::new();
    let name = "<script>alert(1)<!-- \"x\" & 'y'\u{1b}[2J";
    fleet.service(name, 0, "1.3.0", AS_PULLED, "");
    fleet.list(&[name.to_owned()]);
    let ran = fleet.case.run("sync-actions fleet --from list --html page.html").code(0);
    assert!(!ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
    let page = std::fs::read_to_string(fleet.case.root().join("page.html")).unwrap();
    assert!(page.contains("&lt;script&gt;alert(1)&lt;!-- &quot;x&quot; &amp; &#39;y&#39;?[2J"), "{page}");
    assert!(!page.contains("<script"), "{page}");
}

#[test]
fn a_list_that_is_wrong_is_2_with_its_line() {
    let fleet = Fleet::new();
    for (line, wanted) in [
        ("https://robot:hunter2@example.org/a/b", "list:1: the address has a user or a password in it"),
        ("ext::sh -c x", "list:1: "),
        ("# nothing", "list names no repository"),
    ] {
        fleet.list(&[line.to_owned()]);
        let ran = fleet.case.run("sync-actions fleet --from list").code(2).says(&[wanted]);
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
    fleet.case.run("sync-actions fleet --from nowhere").code(2).says(&["cannot read nowhere"]);
    fleet.case.run("sync-actions fleet").code(2);
    fleet.case.run("sync-actions fleet --org --x").code(2);
    fleet.case.run("sync-actions fleet --org a/b").code(2).says(&["`a/b` names no organisation"]);
}

/// A folder for PATH with git, and gh where it is given.
fn path_with(fleet: &Fleet, gh: Option<&str>) -> PathBuf {
    let folder = fleet.case.folder().join("programs");
    std::fs::create_dir(&folder).unwrap();
    let path = std::env::var("PATH").unwrap();
    for program in ["git", "sh", "cat"] {
        let found = path.split(':').map(|folder| Path::new(folder).join(program)).find(|path| path.is_file());
        std::os::unix::fs::symlink(found.unwrap(), folder.join(program)).unwrap();
    }
    if let Some(text) = gh {
        let path = folder.join("gh");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

#[test]
fn an_organisation_is_what_gh_lists() {
    let mut fleet = Fleet::new();
    let links = fleet.service("acme/links", 0, "1.3.0", AS_PULLED, "");
    let gh = format!(
        "#!/bin/sh\n[ \"$*\" = 'repo list acme --limit 1000 --no-archived --json nameWithOwner,sshUrl' ] || \
         {{ echo 'HTTP 401: Bad credentials' >&2; exit 1; }}\n\
         echo '[{{\"nameWithOwner\":\"acme/links\",\"sshUrl\":\"file://{}\"}},\
         {{\"nameWithOwner\":\"acme/odd\",\"sshUrl\":\"ext::sh\"}}]'\n",
        links.display()
    );
    let programs = path_with(&fleet, Some(&gh));
    fleet.case = fleet.case.env("PATH", programs.display());
    fleet.case.run("sync-actions fleet --org acme").code(7).says(&[
        "✗ acme/odd",
        "✓ acme/links",
        "v1.3.0",
        "2 repositories: 1 current, 1 unreachable",
    ]);
    fleet.case.run("sync-actions fleet --org other").code(6).says(&[
        "error: gh cannot list the repositories of other",
        "Bad credentials",
        "gh auth status",
    ]);
}

#[test]
fn without_gh_an_organisation_is_5_with_how_to_get_it() {
    let mut fleet = Fleet::new();
    let programs = path_with(&fleet, None);
    fleet.case = fleet.case.env("PATH", programs.display());
    fleet.case.run("sync-actions fleet --org acme").code(5).says(&[
        "error: gh is not installed",
        "next",
        "https://cli.github.com",
        "--from FILE",
    ]);
}
