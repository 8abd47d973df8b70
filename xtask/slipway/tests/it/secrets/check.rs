//! `secrets check`: names only.

use super::{case, links};
use crate::case::Case;
use crate::doppler::{Answer, Doppler};

#[test]
fn names_that_differ_are_shown_by_environment() {
    let api = links();
    let case = case().doppler(&api);
    let ran = case.run("secrets check").code(3).says(&[
        "dev  stg  prd",
        "UNDECLARED",
        "not declared for dev, prd, only there",
        "error: xtask.toml and Doppler differ in 1 name",
        "found  4 declared; in Doppler's links: dev 3, stg 2, prd 4",
        "next   in xtask.toml: UNDECLARED = { about = \"…\", in = [\"dev\", \"prd\"] }",
        "next   or remove it in Doppler",
    ]);
    assert!(!ran.stderr.contains("EDIT_TOKEN"), "{}", ran.stderr);
    // Of one environment, and missing.
    let api = Doppler::start().config("links", "stg", &[("LOG_LEVEL", "x"), ("PAGER_KEY", "pager-77ee88ff")]);
    let case = self::case().doppler(&api);
    case.run("secrets check stg").code(3).says(&[
        "EDIT_TOKEN",
        "missing in stg: who may change links",
        "PAGER_KEY",
        "not declared for stg",
        "doppler secrets set EDIT_TOKEN --silent --project links --config stg",
        "next   in xtask.toml: stg into `in` of PAGER_KEY",
    ]);
    let ran = case.run("secrets check stg --json").code(3);
    ran.prints(
        "{\"project\":\"links\",\"environments\":[\"stg\"],\"declared\":4,\"missing\":{\"EDIT_TOKEN\":[\"stg\"]},\
         \"undeclared\":{\"PAGER_KEY\":[\"stg\"]},\"only_in_some\":{},\"not_compared\":[],\"refused\":{}}\n",
    );
}

#[test]
fn a_name_that_cannot_be_declared_is_to_be_removed() {
    let secrets = [("EDIT_TOKEN", "x"), ("LOG_LEVEL", "x"), ("LD_PRELOAD", "x")];
    let api = Doppler::start().config("links", "stg", &secrets);
    let ran = case().doppler(&api).run("secrets check stg").code(3);
    ran.says(&["LD_PRELOAD", "next   LD_PRELOAD: programs obey it", "remove it in Doppler"]);
}

#[test]
fn no_value_is_asked_for() {
    let api = links();
    case().doppler(&api).run("secrets check stg").code(0).says(&["✓ secrets", "4 declared", "stg 2"]);
    // But for which config it is: a token for one answers whatever is asked for.
    let scope = ["DOPPLER_CONFIG", "DOPPLER_PROJECT"].map(str::to_owned);
    assert_eq!(api.names_asked(), scope.into());
    assert!(!api.values_asked());
}

#[test]
fn a_token_for_one_config_is_not_taken_for_another() {
    let api = links();
    let token = api.service_token("links", "stg");
    let case = case().doppler_token(&api, &token);
    case.run("secrets check stg").code(0);
    // It may be in Doppler's own file as well, where nobody sees what it is for.
    let stored = self::case().doppler_stored(&api, &token);
    stored.run("secrets check dev").code(6).says(&["the token is for links/stg"]);
    let ran = case.run("secrets check dev stg").code(6);
    ran.says(&["does not give links/dev", "the token is for links/stg"]);
    // Without names of environments: what it can tell of.
    let ran = case.run("secrets check").code(0);
    ran.says(&["note", "not compared: dev, prd; what is asked with gives stg only", "✓ secrets", "stg 2"]);
    let ran = case.run("secrets check --json").code(0);
    assert!(ran.stdout.contains("\"not_compared\":[\"dev\",\"prd\"],\"refused\":{}"), "{}", ran.stdout);
}

#[test]
fn a_config_that_is_not_there_is_no_token_that_cannot_tell() {
    let api = Doppler::start().config("links", "dev", &[("EDIT_TOKEN", "x")]);
    let ran = case().doppler(&api).run("secrets check").code(6);
    ran.says(&["does not give links/stg", "links has the configs dev"]);
}

#[test]
fn what_stops_it_has_its_own_code() {
    let api = links();
    let case = case().doppler(&api);
    api.answers(Answer::Hangs);
    case.run("secrets check").code(7).says(&["cannot be reached"]);
    api.answers(Answer::Well);
    api.revoke(api.cli_token());
    case.run("secrets check").code(6).says(&["does not take the token"]);
    self::case().without_doppler().run("secrets check").code(5).says(&["not installed"]);
    // For a program nothing compared is not nothing found.
    let ran = self::case().without_doppler().run("secrets check prd --json").code(5);
    assert!(ran.stdout.contains("\"environments\":[]"), "{}", ran.stdout);
    assert!(ran.stdout.contains("\"refused\":{\"prd\":\"not installed\"}"), "{}", ran.stdout);
    Case::new().run("secrets check").code(2).says(&["names no project"]);
}
