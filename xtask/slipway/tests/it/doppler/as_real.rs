//! What runs under the name of `doppler` here does as the real one was measured to do (3.76). Where the real one is
//! installed these tests are about it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use crate::case::Ran;
use crate::doppler::{Doppler, program, sha};

/// One user: a home, a token in the environment, and what else a test sets.
pub struct Cli {
    home: tempfile::TempDir,
    env: Vec<(String, String)>,
}

impl Cli {
    pub fn new(api: &Doppler) -> Self {
        let home = tempfile::Builder::new().prefix("slipway-").tempdir().unwrap();
        let cli = Cli { home, env: Vec::new() };
        cli.yaml("").env("DOPPLER_TOKEN", api.cli_token()).env("DOPPLER_API_HOST", api.url())
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The user's file has these scopes.
    pub fn yaml(self, scopes: &str) -> Self {
        let folder = self.home.path().join(".doppler");
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!("flags:\n    analytics: false\nscoped:\n{scopes}");
        std::fs::write(folder.join(".doppler.yaml"), text).unwrap();
        self
    }

    pub fn fallbacks(&self) -> usize {
        std::fs::read_dir(self.home.path().join(".doppler/fallback")).map_or(0, |found| {
            found
                .filter(|entry| !entry.as_ref().unwrap().path().to_string_lossy().contains("metadata"))
                .count()
        })
    }

    /// A command line, split at white space but for what follows ` -- `, which a shell is given.
    fn command(&self, line: &str) -> Command {
        let (before, script) = line.split_once(" -- ").unwrap_or((line, ""));
        let mut command = Command::new(program().join("doppler"));
        command.args(before.split_whitespace());
        if !script.is_empty() {
            command.args(["--", "sh", "-c", script]);
        }
        let path = std::env::var_os("PATH").unwrap();
        command.env_clear().env("PATH", path).env("HOME", self.home.path()).current_dir(self.home.path());
        command.envs(self.env.iter().cloned()).stdin(Stdio::null());
        command
    }

    pub fn run(&self, line: &str) -> Ran {
        let output = self.command(line).output().unwrap();
        Ran {
            line: line.to_owned(),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// What the tool always says.
pub const RUN: &str = "run --no-fallback --no-liveness-ping --no-check-version --attempts 1 --timeout 3s";

fn links() -> Doppler {
    let api = Doppler::start().config("links", "dev", &[("EDIT_TOKEN", "hunter2-dev"), ("UNUSED", "other")]);
    api.config("links", "stg", &[("EDIT_TOKEN", "hunter2-stg")]).config(
        "links",
        "prd",
        &[("EDIT_TOKEN", "hunter2-prd")],
    )
}

#[test]
fn a_failure_has_the_measured_text_and_is_always_1() {
    let api = links();
    api.forbid("links", "prd");
    let gone = api.service_token("links", "dev");
    api.revoke(&gone);
    let (none, token) = (String::new(), api.cli_token().to_owned());
    let run = |flags: &str| format!("{RUN} {flags} -- true");
    let refused = "dial tcp 127.0.0.1:1: connect: connection refused";
    let missing =
        "the following secrets you are trying to include do not exist in your config:\n- NOPE\n- NOR";
    for (token, line, texts) in [
        (&none, run("-p links -c dev"), &["Doppler Error: you must provide a token"][..]),
        (&token, run("-p nope -c dev"), &["Unable to download secrets\n", "Doppler Error: ", "nope"]),
        (&token, run("-p links -c nope"), &["Unable to download secrets\n", "Doppler Error: ", "nope"]),
        (&token, run("-p links -c prd"), &["Unable to download secrets\n", "Doppler Error: ", "access"]),
        (&gone, run(""), &["Unable to download secrets\n", "Doppler Error: Invalid Service token"]),
        (
            &token,
            run("-p links -c dev --api-host http://127.0.0.1:1"),
            &["Unable to download secrets", refused],
        ),
        (&token, run("-p links -c dev --only-secrets NOPE,EDIT_TOKEN,NOR"), &[missing]),
        (&gone, "me".to_owned(), &["Unable to fetch actor\n", "Doppler Error: Invalid Service token"]),
        (&gone, "me --json".to_owned(), &["{\"error\":\"Invalid Service token\"}"]),
        (&none, "--json me".to_owned(), &["{\"error\":\"you must provide a token\"}"]),
        (&token, "secrets --only-names --json -p nope -c dev".to_owned(), &["{\"error\":\"", "nope"]),
        (&token, format!("{RUN} -p links -c dev -- ./not-here"), &["not-here"]),
    ] {
        let ran = Cli::new(&api).env("DOPPLER_TOKEN", token).run(&line);
        // A shell found no such file, and the code is the child's.
        let code = if line.ends_with("not-here") { 127 } else { 1 };
        let ran = ran.code(code).says(texts).prints("");
        assert!(!ran.stderr.contains("hunter2"), "{line}: {}", ran.stderr);
    }
}

#[test]
fn only_the_listed_secrets_are_asked_for() {
    let api = links();
    let cli = Cli::new(&api);
    let env = "echo $EDIT_TOKEN,$UNUSED,$DOPPLER_CONFIG";
    let line =
        format!("{RUN} --only-secrets=EDIT_TOKEN,NOPE --no-exit-on-missing-only-secrets -p links -c dev");
    let ran = cli.run(&format!("{line} -- {env}")).code(0).prints("hunter2-dev,,\n");
    ran.says(&["do not exist in your config", "- NOPE"]);
    assert_eq!(api.names_asked(), BTreeSet::from(["EDIT_TOKEN", "NOPE"].map(str::to_owned)));
    assert!(!api.values_asked());
    let log = api.log();
    assert_eq!(log.len(), 1, "{log:?}");
    assert_eq!(log[0].path, "/v3/configs/config/secrets/download");
    assert_eq!([&log[0].query["project"], &log[0].query["config"]], ["links", "dev"]);
    assert_eq!(log[0].token_sha, sha(api.cli_token()));
    cli.run(&format!("{RUN} -p links -c dev -- {env}")).code(0).prints("hunter2-dev,other,dev\n");
    assert!(api.values_asked());
}

#[test]
fn a_flag_is_before_the_environment_and_that_before_the_setup() {
    let api = links();
    let cli = Cli::new(&api);
    let own = cli.home.path().canonicalize().unwrap();
    let scopes = format!(
        "    /:\n        enclave.project: other\n    {}:\n        enclave.project: links\n        \
         enclave.config: dev\n",
        own.display()
    );
    let cli = cli.yaml(&scopes);
    let says = " -- echo $DOPPLER_CONFIG";
    cli.run(&format!("{RUN}{says}")).code(0).prints("dev\n");
    let cli = cli.env("DOPPLER_CONFIG", "stg");
    cli.run(&format!("{RUN}{says}")).code(0).prints("stg\n");
    cli.run(&format!("{RUN} -c prd{says}")).code(0).prints("prd\n");
    cli.run(&format!("{RUN} --config=prd{says}")).code(0).prints("prd\n");
    let get = "configure get project config --json";
    let both = "{\"enclave.config\":\"dev\",\"enclave.project\":\"links\"}\n";
    cli.run(get).code(0).prints(both);
    cli.run(&format!("{get} --scope {}/below", own.display())).code(0).prints(both);
    let neither = "{\"enclave.config\":\"\",\"enclave.project\":\"other\"}\n";
    cli.run(&format!("--scope / {get}")).code(0).prints(neither);
    // Its config folder in the environment is told on stderr, though nothing is wrong.
    let cli = cli.env("DOPPLER_CONFIG_DIR", own.join(".doppler").to_str().unwrap());
    cli.run(get).code(0).says(&["Using DOPPLER_CONFIG_DIR from the environment."]).prints(both);
}

#[test]
fn a_service_token_gets_its_own_config_whatever_is_asked() {
    let api = links();
    let token = api.service_token("links", "prd");
    let cli = Cli::new(&api).env("DOPPLER_TOKEN", &token);
    for flags in ["", "-p links -c dev", "-p nope -c nope"] {
        let says = "echo $DOPPLER_CONFIG $EDIT_TOKEN";
        cli.run(&format!("{RUN} {flags} -- {says}")).code(0).prints("prd hunter2-prd\n");
    }
    cli.run("me --json").code(0);
    let api = api.strict();
    let ran = cli.run(&format!("{RUN} -p links -c dev -- true")).code(1);
    ran.says(&["This token does not have access to requested config 'dev'"]);
    cli.run(&format!("{RUN} -p links -c prd -- true")).code(0);
    drop(api);
}

#[test]
fn names_projects_and_configs_come_without_values() {
    let api = links();
    let cli = Cli::new(&api);
    let names =
        "{\"DOPPLER_CONFIG\":{},\"DOPPLER_ENVIRONMENT\":{},\"DOPPLER_PROJECT\":{},\"EDIT_TOKEN\":{}}\n";
    cli.run("secrets --only-names --json -p links -c stg").code(0).prints(names);
    let named = |line: &str| {
        let found: serde_json::Value = serde_json::from_str(&cli.run(line).code(0).stdout).unwrap();
        let found: Vec<_> =
            found.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        found.join(" ")
    };
    assert_eq!(named("projects --json"), "links");
    assert_eq!(named("configs --json -p links"), "dev prd stg");
    let me: serde_json::Value = serde_json::from_str(&cli.run("me --json").code(0).stdout).unwrap();
    assert_eq!([&me["type"], &me["workplace"]["slug"]], ["cli", "acme"]);
    assert!(!api.values_asked());
    // What the tool must not use shows.
    cli.run("secrets -p links -c stg --json").code(0);
    assert!(api.values_asked());
}

#[test]
fn the_child_gets_all_that_is_there_and_its_code_is_passed_on() {
    let api = links();
    let cli = Cli::new(&api).env("EDIT_TOKEN", "mine").env("OTHERS", "kept");
    let run = format!("{RUN} -p links -c dev");
    let env = "echo $EDIT_TOKEN,$OTHERS,$DOPPLER_TOKEN";
    let all = format!("hunter2-dev,kept,{}\n", api.cli_token());
    cli.run(&format!("{run} -- {env}")).code(0).prints(&all);
    cli.run(&format!("{run} -- exit 7")).code(7);
    cli.run(&format!("{run} -- kill -9 $$")).code(255);
    // A token by flag or from the file is not in the child's environment.
    let cli = cli.env("DOPPLER_TOKEN", "").yaml(&format!("    /:\n        token: {}\n", api.cli_token()));
    cli.run(&format!("{run} -- {env}")).code(0).prints("hunter2-dev,kept,\n");
}

#[test]
fn a_signal_is_passed_on_where_there_is_no_terminal() {
    let api = links();
    let cli = Cli::new(&api);
    for (signal, code) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
        let script =
            format!("trap 'echo got; exit {code}' {signal}; echo ready; while :; do sleep 0.01; done");
        let mut command = cli.command(&format!("{RUN} -p links -c dev -- {script}"));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut String::new()).unwrap();
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}");
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "got\n", "once");
    }
}

#[test]
fn two_services_know_nothing_of_each_other_and_have_room() {
    let (one, two) = (Doppler::start(), Doppler::start());
    assert_ne!(one.cli_token(), two.cli_token());
    let names: Vec<String> = (0..50).map(|number| format!("NAME_{number:02}")).collect();
    let secrets: Vec<_> =
        names.iter().map(|name| (name.as_str(), "a \"value\"\nof two lines, ünd\t%+&")).collect();
    let one = ["dev", "stg", "prd"].iter().fold(one, |api, config| api.config("links", config, &secrets));
    let cli = Cli::new(&one);
    for config in ["dev", "stg", "prd"] {
        let found = cli.run(&format!("secrets --only-names --json -p links -c {config}")).code(0);
        let found: serde_json::Value = serde_json::from_str(&found.stdout).unwrap();
        assert_eq!(found.as_object().unwrap().len(), 53);
    }
    let ran = cli.run(&format!("{RUN} -p links -c dev -- printf %s \"$NAME_49\"")).code(0);
    ran.prints("a \"value\"\nof two lines, ünd\t%+&");
    assert!(two.log().is_empty());
    Cli::new(&two).env("DOPPLER_TOKEN", one.cli_token()).run("me").code(1).says(&["Invalid Auth token"]);
    let two = two.token("dp.pt.another", None);
    Cli::new(&two).env("DOPPLER_TOKEN", "dp.pt.another").run("me").code(0);
}
