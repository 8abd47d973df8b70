//! The stand-alone binary: Slipway's verbs without a repository's own ones.

fn main() -> std::process::ExitCode {
    slipway::main(|verb: slipway::Verb, context| verb.run(context))
}
