//! This repository's verbs: all of Slipway's, and our own. `cargo xtask --help` lists both.

use clap::Subcommand;

#[derive(Subcommand)]
enum Verb {
    #[command(flatten)]
    Slipway(slipway::Verb),
    /// Load a year of demo links
    DemoLinks,
}

fn main() -> std::process::ExitCode {
    slipway::main(|verb: Verb, context| match verb {
        Verb::Slipway(verb) => verb.run(context),
        Verb::DemoLinks => context.load_sql("app/demo.sql"),
    })
}
