//! `help`, and the overview that `--help` shows: clap has no groups for sub-commands, so it is rendered here.

use std::process::ExitCode;

use anyhow::Result;
use clap::Command;

use crate::context::Context;
use crate::failure::{Code, Failure, nearest};
use crate::workspace::Env;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask help db migrate\n  cargo xtask help codes")]
pub struct Args {
    /// A verb with its sub-verbs, or `codes`
    topic: Vec<String>,
}

/// Verbs by group. A verb that is in no group belongs to the repository; tests hold that each of ours is in
/// exactly one.
const GROUPS: &[(&str, &[&str])] = &[
    ("Daily", &["dev", "test", "db", "secrets"]),
    ("Ship", &["ci", "image"]),
    ("Platform", &["sync-actions"]),
    ("Once", &["doctor", "help"]),
];

/// Gives the command its names and its overview.
pub fn shape(command: Command, env: &Env) -> Command {
    // `cargo run` starts target/xtask/xtask; people typed `cargo xtask`.
    let name = match env.program() {
        "slipway" => "slipway",
        _ => "cargo xtask",
    };
    let command = command
        .name(name)
        .bin_name(name)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .subcommand_required(true)
        .arg_required_else_help(true);
    let overview = overview(&command, name);
    command.override_help(overview)
}

fn overview(command: &Command, name: &str) -> String {
    let mut text = format!(
        "Everything this repository can do. Examples for each verb: {name} help VERB\n\n\
         Usage: {name} [OPTIONS] <VERB>\n\n"
    );
    let line = |group: &str, verb: &Command| {
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        format!("{group:<10} {:<13} {about}\n", verb.get_name())
    };
    for (group, verbs) in GROUPS {
        for (index, verb) in verbs.iter().filter_map(|verb| command.find_subcommand(verb)).enumerate() {
            text += &line(if index == 0 { group } else { "" }, verb);
        }
    }
    let ours =
        command.get_subcommands().filter(|verb| !verb.is_hide_set() && group_of(verb.get_name()).is_none());
    for (index, verb) in ours.enumerate() {
        text += &line(if index == 0 { "Ours" } else { "" }, verb);
    }
    text + &format!(
        "\n\
         Options    -v, --verbose  Print each command run    -y, --yes     Answer yes\n\
         \x20          --color WHEN   auto, always, never        --no-input    Never ask; fail instead\n\
         \x20          --install system  PostgreSQL from apt, dnf, brew …, where none is\n\
         \x20          -h, --help     Help, for any verb         -V, --version\n\
         Start with: {name} dev                         Exit codes: {name} help codes"
    )
}

fn group_of(verb: &str) -> Option<&'static str> {
    GROUPS.iter().find(|(_, verbs)| verbs.contains(&verb)).map(|(group, _)| *group)
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    if args.topic == ["codes"] {
        for (code, meaning) in Code::TABLE {
            context.screen.data(&format!("{code:>4}  {meaning}"));
        }
        context.screen.line(
            "`secrets run` ends as its program does: 127 not found, 126 not executable, 128+n signal n",
        );
        return Ok(ExitCode::SUCCESS);
    }
    let mut command = shape((context.command)(), &context.env);
    // Gives each sub-command the name that it is called by.
    command.build();
    for word in &args.topic {
        let known = command.get_subcommands().filter(|verb| !verb.is_hide_set());
        let known: Vec<String> = known.map(|verb| verb.get_name().to_owned()).collect();
        command = match command.find_subcommand(word) {
            Some(below) if known.contains(word) => below.clone(),
            _ => return Err(no_topic(word, &known).into()),
        };
    }
    context.screen.data(command.render_long_help().to_string().trim_end());
    Ok(ExitCode::SUCCESS)
}

fn no_topic(word: &str, known: &[String]) -> Failure {
    let near = nearest(word, known.iter().map(String::as_str).chain(["codes"]));
    let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    let topics = if known.is_empty() { "none below this verb".to_owned() } else { known.join(", ") };
    Failure::new(Code::Usage, format!("no help for `{word}`")).next(format!("{near}topics: {topics}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, Parser};

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        _verb: crate::cli::Verb,
    }

    #[test]
    fn each_verb_is_in_exactly_one_group_and_has_an_example() {
        let command = Cli::command().disable_help_subcommand(true);
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let name = verb.get_name();
            let groups = GROUPS.iter().filter(|(_, verbs)| verbs.contains(&name)).count();
            assert_eq!(groups, 1, "{name} is in {groups} groups");
            let example = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(example.contains("cargo xtask"), "{name} has no example");
        }
        for verb in GROUPS.iter().flat_map(|(_, verbs)| *verbs) {
            assert!(command.find_subcommand(verb).is_some(), "{verb} is in a group, and no verb");
        }
    }
}
