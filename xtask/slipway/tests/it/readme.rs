//! README.md says what is true. Its commands are run by .ci/readme; here is what needs no clone of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::case::Case;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_table_of_verbs_has_every_verb() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let overview = Case::new().run("--help").code(0).stdout;
    let verbs: Vec<&str> = overview
        .lines()
        .filter(|line| !line.starts_with("Options") && line.len() > 25)
        .filter_map(|line| line.get(11..24))
        .map(str::trim)
        .filter(|verb| !verb.is_empty() && verb.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
        .collect();
    assert!(verbs.contains(&"dev") && verbs.contains(&"help"), "{verbs:?}");
    for verb in verbs {
        assert!(readme.contains(&format!("| `{verb}")), "README.md does not list {verb}");
    }
}

#[test]
fn every_command_of_a_console_block_is_one_that_exists() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let commands: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("$ cargo xtask ")).collect();
    assert!(commands.len() >= 3, "{commands:?}");
    let case = Case::new();
    for command in commands {
        let verbs: Vec<&str> = command.split_whitespace().take_while(|word| !word.starts_with('-')).collect();
        case.run(&format!("help {}", verbs.join(" "))).code(0);
    }
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    for document in [
        "README.md",
        "docs/README.md",
        "docs/architecture.md",
        "docs/decisions.md",
        "docs/sync-actions.md",
        "app/README.md",
    ] {
        let path = root().join(document);
        let text = std::fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let local = !target.is_empty() && !target.contains("://");
            assert!(!local || path.with_file_name(target).exists(), "{document} links {target}");
        }
    }
}

/// README.md names .ci/run, which runs README.md's commands: without a stop they would go round.
#[test]
fn a_nested_run_of_the_readme_stops() {
    let ran = Command::new(root().join(".ci/readme")).env("SLIPWAY_NESTED", "1").output().unwrap();
    assert!(ran.status.success());
    assert!(String::from_utf8_lossy(&ran.stdout).contains("being run already"));
}

#[test]
fn every_key_of_the_configuration_is_documented() {
    let docs = std::fs::read_to_string(root().join("docs/xtask-toml.md")).unwrap();
    let config = std::fs::read_to_string(root().join("xtask/slipway/src/config.rs")).unwrap();
    let keys = config.split("const KEYS").nth(1).unwrap().split("];").next().unwrap();
    let names = keys.split('"').skip(1).step_by(2).filter(|name| !name.is_empty() && !name.contains('*'));
    for name in names {
        let last = name.rsplit('.').next().unwrap();
        assert!(docs.contains(last), "docs/xtask-toml.md does not have {name}");
    }
}
