//! A machine without a server: the download, with everything that can go wrong on its way.

mod archive;
mod packages;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use self::archive::{Archive, Bare, Entry, noise, path};
use crate::case::{Case, nothing_left};
use crate::web::Manners;

/// `select 1`, and nothing stays up.
const SELECT: &[&str] = &["db", "psql", "--", "-Atc", "select 'it runs'"];

#[test]
fn a_file_url_is_enough_the_sum_is_pinned_and_the_pin_is_enough_from_then_on() {
    let Some(archive) = Archive::real() else { return };
    let mirror = tempfile::tempdir().unwrap();
    let asset = mirror.path().join(&archive.path()[1..]);
    fs::create_dir(asset.parent().unwrap()).unwrap();
    fs::write(&asset, &archive.bytes).unwrap();
    let sidecar = PathBuf::from(format!("{}.sha256", asset.display()));
    fs::write(&sidecar, archive.sum()).unwrap();
    let bare = Bare::new(&archive.version, &format!("file://{}", mirror.path().display()));
    // `db url` prints the URL alone.
    let fact = format!("{} downloaded, ", archive.version);
    let url = bare.case.run("db url").code(0).says(&["✓ postgres", &fact, " MB"]).stdout;
    assert!(url.starts_with("postgres://") && url.lines().count() == 1, "{url}");
    bare.has(&archive);
    let ran = bare.case.run_words(SELECT).code(0).prints("it runs\n");
    assert!(!ran.stderr.contains("downloaded"), "{}", ran.stderr);
    bare.case.run("db stop").code(0);
    // Another machine of the same repository, and a mirror without sums.
    fs::remove_dir_all(bare.folder.path().join("cache")).unwrap();
    fs::remove_file(sidecar).unwrap();
    // Data are of a major, whatever is preferred now; this mirror has not the release that the tool knows.
    let config = fs::read_to_string(bare.case.root().join("xtask.toml")).unwrap();
    let major = archive.version.split('.').next().unwrap();
    let preferred = config.replace("versions = [", "versions = [\"18\", ").replace("version = ", "# ");
    let bare = Bare { case: bare.case.file("xtask.toml", preferred), folder: bare.folder };
    let what = format!("error: no PostgreSQL {major} here, and the download failed");
    let wants = format!("/cluster/data wants {major}");
    bare.case.run("db url").code(5).says(&[&what, &wants, "no such file", &format!("postgresql-{major}.")]);
    let bare = Bare { case: bare.case.file("xtask.toml", config), folder: bare.folder };
    bare.case.run_words(SELECT).code(0).says(&["downloaded"]).prints("it runs\n");
    bare.has(&archive);
    // Another repository shares the cache, unless it pins another sum for the same file.
    let other = Case::new()
        .file("xtask.toml", fs::read_to_string(bare.case.root().join("xtask.toml")).unwrap())
        .file("xtask.lock", format!("\"{}\" = \"{}\"\n", archive.asset(), "0".repeat(64)))
        .env("PATH", path())
        .env("HOME", bare.folder.path().join("empty").display())
        .env("SLIPWAY_SEARCH_ROOT", bare.folder.path().join("empty").display())
        .env("SLIPWAY_CACHE", bare.folder.path().join("cache").display());
    other.run("db url").code(1).says(&["is not what it should be", &archive.sum(), &"0".repeat(64)]);
    other.without("xtask.lock").run_words(SELECT).code(0).prints("it runs\n");
}

#[test]
fn a_download_that_is_killed_is_resumed_by_the_next_run() {
    let Some(archive) = Archive::real() else { return };
    let half = archive.bytes.len() / 2;
    let web = archive.web().manners(Manners::Stall(half));
    let bare = Bare::new(&archive.version, web.url());
    let mut killed = bare.case.start_words(SELECT);
    let part = bare.cache().join(format!("{}.part", archive.asset()));
    // curl keeps the last bytes to itself until more come.
    while fs::metadata(&part).map_or(0, |found| found.len()) + 100_000 < half as u64 {
        assert!(killed.text.is_empty());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    killed.signal("KILL");
    assert_eq!(killed.end(), 137);
    nothing_left(&[bare.case.root(), bare.folder.path().into()]);
    assert!(bare.lock().is_empty());
    // What a run that was killed while it unpacked would have left.
    fs::create_dir_all(bare.cache().join(format!("server-{}.staged/bin", archive.version))).unwrap();
    let web = web.manners(Manners::Good);
    bare.case.run_words(SELECT).code(0).says(&["downloaded"]).prints("it runs\n");
    bare.has(&archive);
    let log = web.log();
    let from = log.last().and_then(|last| last.strip_prefix(&format!("{} from ", archive.path())));
    let from: usize = from.unwrap_or_else(|| panic!("not resumed: {log:?}")).parse().unwrap();
    assert!((half - 100_000..=half).contains(&from), "{log:?}");
}

#[test]
fn four_callers_at_once_download_once() {
    let Some(archive) = Archive::real() else { return };
    let web = archive.web();
    let bare = Bare::new(&archive.version, web.url());
    let downloads: usize = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4).map(|_| scope.spawn(|| bare.case.run("db url").code(0))).collect();
        let ran = callers.into_iter().map(|caller| caller.join().unwrap());
        ran.filter(|ran| ran.stderr.contains("downloaded")).count()
    });
    assert_eq!(downloads, 1);
    assert_eq!(web.log(), [format!("{}.sha256", archive.path()), archive.path()]);
    bare.has(&archive);
}

#[test]
fn the_tests_of_a_service_get_a_server_too() {
    let Some(archive) = Archive::real() else { return };
    let web = archive.web();
    let Bare { case, folder } = Bare::new(&archive.version, web.url());
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixture");
    let read = |name: &str| fs::read_to_string(fixture.join(name)).unwrap();
    let home = std::env::var("HOME").unwrap();
    let of_home = |name: &str, below: &str| std::env::var(name).unwrap_or_else(|_| format!("{home}/{below}"));
    let case = case
        .file("Cargo.toml", read("manifest.toml"))
        .file("src/main.rs", read("tiny.rs"))
        .file("tests/one.rs", "#[test] fn one() {}")
        // The folder that lacks a server's programs is HOME here.
        .env("CARGO_HOME", of_home("CARGO_HOME", ".cargo"))
        .env("RUSTUP_HOME", of_home("RUSTUP_HOME", ".rustup"));
    let bare = Bare { case, folder };
    bare.case.run("test").code(0).says(&["downloaded", "of this run alone", "1 passed, 0 failed"]);
    bare.has(&archive);
}

/// The archive came whole, and only the trial refused it.
const CAME: &[&str] = &["error: the download of PostgreSQL 15.18.0 does not run here", "not built for this"];

#[test]
fn a_connection_that_is_cut_is_resumed() {
    let archive = Archive::of_another_machine();
    let web = archive.web().manners(Manners::Cut(100_000, 2));
    let bare = Bare::new("15.18.0", web.url());
    bare.case.run("db url").code(1).says(CAME);
    let path = archive.path();
    let expected = [
        format!("{path}.sha256"),
        path.clone(),
        format!("{path} from 100000"),
        format!("{path} from 200000"),
    ];
    assert_eq!(web.log(), expected);
}

#[test]
fn a_part_that_cannot_be_resumed_is_fetched_from_its_start() {
    let archive = Archive::of_another_machine();
    for (web, part) in [
        // Without ranges curl gives up; of another file the sum is wrong; longer than the file, 416.
        (archive.web().without_ranges(), archive.bytes[..1000].to_vec()),
        (archive.web(), noise(1000)),
        (archive.web(), noise(1_000_000)),
    ] {
        let bare = Bare::new("15.18.0", web.url());
        fs::create_dir_all(bare.cache()).unwrap();
        fs::write(bare.cache().join(format!("{}.part", archive.asset())), part).unwrap();
        bare.case.run("db url").code(1).says(CAME);
        assert_eq!(web.log().last(), Some(&archive.path()), "{:?}", web.log());
    }
}

#[test]
fn a_server_for_another_machine_is_refused_and_not_pinned() {
    let archive = Archive::of_another_machine();
    let web = archive.web();
    let bare = Bare::new("15.18.0", web.url());
    bare.case.run("db url").code(1).says(CAME).says(&["next", "slipway db url --install system"]);
    assert_eq!(bare.cached(), Vec::<String>::new());
    assert_eq!(bare.lock(), "");
}

#[test]
fn a_wrong_sum_is_an_error_that_names_both_and_leaves_nothing() {
    let archive = Archive::of_another_machine();
    let wrong = "a".repeat(64);
    let pinned = |bare: Bare| {
        let line = format!("\"{}\" = \"{wrong}\"\n", archive.asset());
        Bare { case: bare.case.file("xtask.lock", line), folder: bare.folder }
    };
    let web = archive.web();
    let bare = pinned(Bare::new("15.18.0", web.url()));
    let locked = bare.lock();
    let says = ["is not what it should be", &archive.sum(), &wrong, "says xtask.lock", "next"];
    bare.case.run("db url").code(1).says(&says);
    assert_eq!((bare.cached(), bare.lock()), (Vec::new(), locked));
    // The first time, against the sum that is published beside it.
    let web = archive.web().file(&format!("{}.sha256", archive.path()), format!("{wrong}  x\n"));
    let bare = Bare::new("15.18.0", web.url());
    bare.case.run("db url").code(1).says(&["is not what it", &archive.sum(), &wrong, "its .sha256 file"]);
    assert_eq!((bare.cached(), bare.lock()), (Vec::new(), String::new()));
    // Half an archive that claims to be all of it.
    let web = archive.web().manners(Manners::Half);
    let bare = Bare::new("15.18.0", web.url());
    bare.case.run("db url").code(1).says(&["is not what it", &archive.sum(), "cut short"]);
    assert_eq!((bare.cached(), bare.lock()), (Vec::new(), String::new()));
}

#[test]
fn a_source_that_fails_is_told_with_two_ways_on() {
    let archive = Archive::of_another_machine();
    let web = archive.web();
    web.remove(&archive.path());
    let screen = |url: &str, why: &str| {
        let bare = Bare::new("15.18.0", url);
        bare.case.run("db url").code(5).says(&[
            "error: no PostgreSQL here, and the download failed",
            "found",
            "none; xtask.toml:4 wants 15",
            "why",
            why,
            "next",
            "slipway db url --install system",
            "next",
            "once online: slipway db url",
        ]);
        assert_eq!((bare.cached(), bare.lock()), (Vec::new(), String::new()));
    };
    screen(web.url(), "HTTP 404");
    screen("http://127.0.0.1:1", "could not connect");
    screen("https://nowhere.invalid", "could not resolve host (offline? behind a proxy, set HTTPS_PROXY)");
    screen("file:///nowhere", "no such file");
    // Every connection is cut at once.
    screen(archive.web().manners(Manners::Cut(0, 1000)).url(), "the connection was cut");
    // A sum's place that has none.
    let web = archive.web().file(&format!("{}.sha256", archive.path()), "<html>sign in</html>");
    Bare::new("15.18.0", web.url()).case.run("db url").code(1).says(&["error: no SHA-256 in http://"]);
}

#[test]
fn what_leads_outside_is_not_unpacked() {
    let file = |name| Entry::File(name, b"x");
    let absolute = "/tmp/slipway-evil";
    for (entries, why) in [
        (vec![file("../evil")], "`../evil` leads outside"),
        (vec![file("top/../../evil")], "leads outside"),
        (vec![file(absolute)], "leads outside"),
        (vec![Entry::Link("top/bin", "/etc")], "is a link that leads outside"),
        (vec![Entry::Link("top/a/b", "../../..")], "is a link that leads outside"),
        (vec![Entry::Link("top/a", "b/../../..")], "is a link that leads outside"),
        (vec![Entry::Hard("top/a", "/etc/passwd")], "is a link that leads outside"),
        (vec![Entry::Hard("top/a", "top/b")], "is a link to no file of the archive"),
        (vec![Entry::Link("top/a", "b"), file("top/a/evil")], "cannot unpack to"),
        (vec![Entry::Device("top/null")], "is neither a file"),
        (vec![file("top/a"), file("other/b")], "is beside the archive's one folder"),
        (vec![file("top/a"), file("top/a")], "cannot unpack to"),
    ] {
        let archive = Archive::of(&entries);
        let web = archive.web();
        let bare = Bare::new("15.18.0", web.url());
        bare.case.run("db url").code(1).says(&["error: ", why]);
        assert_eq!((bare.cached(), bare.lock()), (Vec::new(), String::new()), "{why}");
    }
    assert!(!Path::new(absolute).exists());
    // What is no archive at all, with a right sum.
    let archive = Archive { version: "15.18.0".into(), bytes: noise(5000) };
    let web = archive.web();
    Bare::new("15.18.0", web.url()).case.run("db url").code(1).says(&["error: the archive is damaged"]);
}

#[test]
fn a_download_can_be_forbidden() {
    let bare = Bare::with("download = false\n", "15.18.0");
    let ran = bare.case.run("db url").code(5).says(&[
        "error: no PostgreSQL here that fits",
        "none; xtask.toml:4 wants 15",
        "download = false forbids",
        "next",
        "--install system",
    ]);
    assert!(!ran.stderr.contains("failed"), "{}", ran.stderr);
    assert!(!bare.cache().exists());
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let archive = Archive::of_another_machine();
    let web = archive.web();
    let Bare { case, folder } = Bare::new("15.18.0", web.url());
    // The folder is another account's: root would write there all the same.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let bare = Bare { case: case.ordinary_user(), folder };
    let says = ["error: cannot write the cache", "/cache", "Permission denied", "next", "SLIPWAY_CACHE="];
    bare.case.run("db url").code(1).says(&says);
    assert_eq!(web.log(), Vec::<String>::new());
}
