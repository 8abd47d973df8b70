//! A case meets Doppler as its calls say, whatever the runner has. `wrap` runs a shell in place of the tool.

use crate::case::{Case, Ran};
use crate::doppler::Doppler;

fn links() -> Doppler {
    Doppler::start().config("links", "dev", &[("EDIT_TOKEN", "hunter2-dev")])
}

fn sh(case: Case, script: &str) -> Ran {
    case.wrap(&["sh", "-c", script]).run("")
}

const VALUE: &str = "doppler run --no-fallback --attempts 1 -- sh -c 'echo $EDIT_TOKEN'";

#[test]
fn the_token_is_in_the_environment_or_in_the_file_or_nowhere() {
    let api = links();
    let set_up = |case: Case| case.doppler_setup("links", "dev");
    sh(set_up(Case::new().doppler(&api)), VALUE).code(0).prints_line("hunter2-dev");
    sh(set_up(Case::new().doppler_login(&api)), VALUE).code(0).prints_line("hunter2-dev");
    let service = api.service_token("links", "dev");
    sh(Case::new().doppler_token(&api, &service), VALUE).code(0).prints_line("hunter2-dev");
    sh(set_up(Case::new().doppler_logged_out(&api)), VALUE).code(1).says(&["you must provide a token"]);
    let token = "echo ${DOPPLER_TOKEN-none}";
    sh(Case::new().doppler(&api), token).code(0).prints_line(api.cli_token());
    sh(Case::new().doppler_login(&api), token).code(0).prints_line("none");
}

#[test]
fn without_doppler_only_doppler_is_gone() {
    let case = || Case::new().doppler(&links()).without_doppler();
    sh(case(), "command -v doppler || exit 9").code(9);
    sh(case(), "git --version && cargo --version && rustc --version").code(0);
}

#[test]
fn the_home_is_the_cases_own() {
    let case = Case::new().doppler(&links()).doppler_setup("links", "dev");
    let home = case.home();
    let file = home.join(".doppler/.doppler.yaml");
    assert!(std::fs::read_to_string(file).unwrap().contains("analytics: false"));
    sh(case, "echo $HOME").code(0).prints_line(home.to_str().unwrap());
}
