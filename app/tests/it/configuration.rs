//! xtask.toml and the command line agree on what the service is given.

use clap::CommandFactory;
use links::config::Cli;
use std::path::Path;

/// Names of `[secrets.names]` in xtask.toml.
fn declared() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("xtask.toml");
    let file: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    file["secrets"]["names"].as_table().unwrap().keys().cloned().collect()
}

/// Variables of `links serve`, and whether each is a secret.
fn read_by_serve() -> Vec<(String, bool)> {
    let cli = Cli::command();
    let serve = cli.find_subcommand("serve").unwrap();
    let name = |argument: &clap::Arg| Some(argument.get_env()?.to_str()?.to_owned());
    serve
        .get_arguments()
        .filter_map(|argument| Some((name(argument)?, argument.is_hide_env_values_set())))
        .collect()
}

#[test]
fn every_declared_name_is_read_and_every_secret_is_declared() {
    let declared = declared();
    let read = read_by_serve();
    for name in &declared {
        assert!(
            read.iter().any(|(read, _)| read == name),
            "{name} is in xtask.toml, but `serve` does not read it"
        );
    }
    for (name, is_secret) in &read {
        assert!(
            !is_secret || declared.contains(name),
            "{name} is a secret, but xtask.toml does not declare it"
        );
    }
}

#[test]
fn help_is_the_reference_and_shows_no_secret() {
    let mut command = std::process::Command::new(crate::service::BINARY);
    let output = command.args(["serve", "--help"]).env("EDIT_TOKEN", "visible?").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for (name, _) in read_by_serve() {
        assert!(help.contains(&format!("[env: {name}")), "{name}: {help}");
    }
    assert!(!help.contains("visible?"), "{help}");
}
