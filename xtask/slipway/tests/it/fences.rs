//! The fences of docs/architecture.md. Each is a function over source text, tried on a broken sample first:
//! a fence that cannot fail is none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Source by path below src/.
type Sources = BTreeMap<String, String>;

const GROUND: &[&str] = &["workspace", "config", "process", "files", "net", "output", "failure"];
const ENGINES: &[&str] = &[
    "postgres",
    "download",
    "packages",
    "cargo",
    "reload",
    "migrations",
    "secrets",
    "scan",
    "actions",
    "image",
    "infra",
    "scaffold",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn sources() -> Sources {
    fn walk(folder: &Path, base: &Path, found: &mut Sources) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, base, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(base).unwrap().to_str().unwrap().to_owned();
                found.insert(name, std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let (src, mut found) = (root().join("src"), Sources::new());
    walk(&src, &src, &mut found);
    assert!(found.len() > 20, "the sources were not found");
    found
}

fn sample(path: &str, text: &str) -> Sources {
    Sources::from([(path.to_owned(), text.to_owned())])
}

/// The lines of code of a file: comments, and what is compiled for tests only, are not.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let before_tests = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
    before_tests.lines().enumerate().map(|(index, line)| (index + 1, line.split("//").next().unwrap()))
}

/// The module of a file: `postgres` for `postgres/find.rs`, `net` for `net.rs`.
fn module(path: &str) -> &str {
    path.split('/').next().unwrap().trim_end_matches(".rs")
}

/// Imports go down, and no engine knows another.
fn upward_imports(sources: &Sources) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources {
        let module = module(path);
        let allowed: Vec<&str> = match module {
            _ if GROUND.contains(&module) => GROUND.to_vec(),
            _ if ENGINES.contains(&module) => GROUND.iter().copied().chain([module]).collect(),
            _ => continue,
        };
        for (number, line) in code(text) {
            for rest in line.split("crate::").skip(1) {
                // `crate::{a, b::c}` names several.
                let names = rest.strip_prefix('{').map_or(rest, |list| list.split('}').next().unwrap());
                for name in names.split(',').take(if rest.starts_with('{') { usize::MAX } else { 1 }) {
                    let name = name.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                    if !allowed.contains(&name) {
                        found.push(format!("{path}:{number}: {module} imports {name}"));
                    }
                }
            }
        }
    }
    found
}

#[test]
fn imports_only_go_down() {
    for (path, text, breaks) in [
        ("net.rs", "use crate::postgres::Cluster;", true),
        ("net.rs", "use crate::{files, verbs::db};", true),
        ("postgres/find.rs", "use crate::reload::Build;", true),
        ("postgres/find.rs", "let x = crate::cli::main();", true),
        ("postgres/find.rs", "use crate::process::Kind;", false),
        ("postgres/find.rs", "use crate::postgres::Folder; // crate::cli", false),
        ("verbs/dev.rs", "use crate::postgres::Cluster;", false),
    ] {
        assert_eq!(!upward_imports(&sample(path, text)).is_empty(), breaks, "{path}: {text}");
    }
    assert_eq!(upward_imports(&sources()), Vec::<String>::new());
}

/// Where one of `words` stands in a file that `fenced` says must not have it.
fn words(sources: &Sources, words: &[&str], fenced: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources.iter().filter(|(path, _)| fenced(path)) {
        for (number, line) in code(text) {
            found.extend(
                words
                    .iter()
                    .filter(|word| line.contains(**word))
                    .map(|word| format!("{path}:{number}: {word}")),
            );
        }
    }
    found
}

/// No engine prints, prompts, exits or reads the environment, or knows clap.
fn engines_that_talk(sources: &Sources) -> Vec<String> {
    let talk = [
        "print!",
        "println!",
        "eprint!",
        "eprintln!",
        "dbg!",
        "stdout()",
        "stderr()",
        "stdin()",
        "dialoguer",
        "indicatif",
        "clap",
        "process::exit",
        "std::env",
        "env::var",
        "env!(",
        "is_terminal",
    ];
    // A child's pipes are not ours.
    let streams = |line: &String| !line.contains("stdout()") && !line.contains("stderr()");
    let mut found = words(sources, &talk, |path| ENGINES.contains(&module(path)));
    let own = words(sources, &["io::stdout()", "io::stderr()"], |path| ENGINES.contains(&module(path)));
    found.retain(streams);
    found.extend(own);
    found
}

#[test]
fn engines_are_silent() {
    for (text, breaks) in [
        ("println!(\"ready\");", true),
        ("dialoguer::Confirm::new()", true),
        ("std::process::exit(1)", true),
        ("let home = std::env::var(\"HOME\");", true),
        ("writeln!(std::io::stderr(), \"x\")", true),
        ("#[derive(clap::Args)]", true),
        ("launcher.progress().working(\"postgres\", \"\");", false),
        ("// println! would be wrong here", false),
        ("child.stdout().context(\"no stdout\")", false),
    ] {
        assert_eq!(!engines_that_talk(&sample("postgres/find.rs", text)).is_empty(), breaks, "{text}");
    }
    assert_eq!(engines_that_talk(&sources()), Vec::<String>::new());
}

/// The environment is read in workspace.rs only; children are started in process.rs only. clippy.toml holds
/// the same for the methods, this for the types.
fn strays(sources: &Sources) -> Vec<String> {
    let environment = words(sources, &["std::env", "env::var", "env::args"], |path| path != "workspace.rs");
    let starts = ["Command::new", ".spawn()", "process::Command", ".exec()"];
    let children = words(sources, &starts, |path| module(path) != "process");
    // clap's command is another thing.
    let children = children.into_iter().filter(|line| !line.contains("clap::"));
    environment.into_iter().chain(children).collect()
}

#[test]
fn the_environment_and_children_have_one_place_each() {
    for (path, text, breaks) in [
        ("verbs/dev.rs", "std::process::Command::new(\"git\")", true),
        ("net.rs", "let x = command.spawn()?;", true),
        ("net.rs", "std::env::var(\"CI\")", true),
        ("process.rs", "let x = command.spawn()?;", false),
        ("process/leash.rs", "command.exec()", false),
        ("workspace.rs", "std::env::vars_os()", false),
    ] {
        assert_eq!(!strays(&sample(path, text)).is_empty(), breaks, "{path}: {text}");
    }
    assert_eq!(strays(&sources()), Vec::<String>::new());
}

#[test]
fn clippy_knows_the_fences_too() {
    let fences = std::fs::read_to_string(root().join("clippy.toml")).unwrap();
    for method in
        ["Command::spawn", "Command::output", "Command::status", "xshell::Cmd::run", "env::var", "exit"]
    {
        assert!(fences.contains(method), "{method}");
    }
}

/// Everybody who clones compiles them all.
#[test]
fn the_tool_has_at_most_85_crates() {
    let tree = Command::new("cargo")
        .args(["tree", "--package", "slipway", "--edges", "normal", "--prefix", "none", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let mut crates: Vec<String> =
        tree.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect();
    crates.sort();
    crates.dedup();
    assert!(crates.len() > 10, "cargo tree said too little: {tree}");
    assert!(crates.len() <= 85, "{} crates: {}", crates.len(), crates.join(", "));
}

#[test]
fn no_file_of_the_tool_is_longer_than_400_lines() {
    let long: Vec<_> =
        sources().into_iter().filter(|(_, text)| text.lines().count() > 400).map(|(path, _)| path).collect();
    assert_eq!(long, Vec::<String>::new());
}

/// A team's own part stays as small as README.md says.
#[test]
fn the_teams_own_file_is_about_twenty_lines() {
    let text = std::fs::read_to_string(root().join("../src/main.rs")).unwrap();
    assert!(text.lines().count() <= 25, "{} lines", text.lines().count());
}
