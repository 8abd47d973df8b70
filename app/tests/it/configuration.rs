//! xtask.toml and the command line agree on what the service is given.

use clap::CommandFactory;
use links::config::Cli;
use std::path::Path;

/// `[secrets.names]` in xtask.toml.
fn declared() -> toml::Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("xtask.toml");
    let file: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    file["secrets"]["names"].as_table().unwrap().clone()
}

/// A variable of `links serve`.
struct Read {
    name: String,
    /// Its type is `Secret`: never shown.
    is_secret: bool,
    /// Without it the service does not start.
    is_required: bool,
}

fn read_by_serve() -> Vec<Read> {
    let cli = Cli::command();
    let serve = cli.find_subcommand("serve").unwrap();
    let read = |argument: &clap::Arg| {
        let name = argument.get_env()?.to_str()?.to_owned();
        let is_required = argument.is_required_set();
        Some(Read { name, is_secret: argument.is_hide_env_values_set(), is_required })
    };
    serve.get_arguments().filter_map(read).collect()
}

#[test]
fn what_is_declared_is_what_is_read() {
    let declared = declared();
    let read = read_by_serve();
    for (name, about) in &declared {
        let Some(read) = read.iter().find(|read| read.name == *name) else {
            panic!("{name} is in xtask.toml, but `serve` does not read it")
        };
        let is =
            |key: &str, otherwise: bool| about.get(key).map_or(otherwise, |value| value.as_bool().unwrap());
        if !is("provided", false) {
            // Hidden by the tool and shown by the service, or the other way round, is hidden by nobody.
            assert_eq!(
                is("masked", true),
                read.is_secret,
                "{name}: `masked` and the type in config.rs differ"
            );
        }
        let everywhere = about.get("in").is_none_or(|within| within.as_array().unwrap().len() == 3);
        assert!(
            everywhere || !read.is_required,
            "{name} is required, but xtask.toml does not have it everywhere"
        );
    }
    for Read { name, .. } in &read {
        // What is not declared does not reach the service under `dev`, whoever sets it.
        assert!(declared.contains_key(name), "{name} is read, but xtask.toml does not declare it");
    }
}

#[test]
fn help_is_the_reference_and_shows_no_secret() {
    let mut command = std::process::Command::new(crate::service::BINARY);
    let output = command.args(["serve", "--help"]).env("EDIT_TOKEN", "visible?").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for Read { name, .. } in read_by_serve() {
        assert!(help.contains(&format!("[env: {name}")), "{name}: {help}");
    }
    assert!(!help.contains("visible?"), "{help}");
}
