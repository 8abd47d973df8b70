//! `dev` with Doppler: asked once, masked, and left out where it is not in use.

use super::{DEV_TOKEN, links};
use crate::case::{Case, get};
use crate::doppler::{Answer, Doppler};

const CONFIG: &str = r#"
[service]
name = "tiny"
[secrets]
project = "links"
[secrets.names]
EDIT_TOKEN = { about = "who may change links", dev = "dev-only" }
LOG_LEVEL = { about = "tracing filter", dev = "info", masked = false }
"#;

fn url(text: &str) -> String {
    let (_, rest) = text.split_once("http://").unwrap();
    format!("http://{}", rest.split_whitespace().next().unwrap())
}

#[test]
fn values_come_once_and_reloads_ask_nothing() {
    let api = links();
    let case = Case::with_service().file("xtask.toml", CONFIG).doppler(&api).env("SSH_AUTH_SOCK", "/agent");
    let mut dev = case.start("dev");
    dev.until("2 values from Doppler (links/dev)").until("ready ");
    dev.until("watching");
    let url = url(&dev.text);
    let of = |name: &str| get(&format!("{url}/env/{name}")).1;
    assert_eq!((of("EDIT_TOKEN").as_str(), of("LOG_LEVEL").as_str()), (DEV_TOKEN, "debug"));
    for name in ["DOPPLER_TOKEN", "DOPPLER_CONFIG", "UNDECLARED", "SSH_AUTH_SOCK", "DOPPLER_API_HOST"] {
        assert_eq!(of(name), "(unset)", "{name}");
    }
    let asked = api.log().len();
    assert_eq!(asked, 1);
    // From here on it may be down: a reload has the values.
    api.answers(Answer::Status(500));
    case.edit("src/main.rs", "\"tiny\"", "\"again\"");
    dev.until("swap      ✓ ");
    assert_eq!((get(&url).1.as_str(), of("EDIT_TOKEN").as_str()), ("again", DEV_TOKEN));
    // A name that is declared meanwhile has its default, and is asked for the next time.
    case.edit("xtask.toml", "[secrets.names]", "[secrets.names]\nNEW_KEY = { about = \"new\" }");
    dev.until("Doppler is asked by the next `cargo xtask dev`: NEW_KEY").until("swap      ✓ ");
    assert_eq!(api.log().len(), asked);
    dev.signal("INT");
    assert_eq!(dev.end(), 0, "{}", dev.text);
    assert!(!dev.text.contains(DEV_TOKEN), "{}", dev.text);
}

#[test]
fn what_the_service_prints_is_masked() {
    let case = Case::with_service().file("xtask.toml", CONFIG).doppler(&links());
    case.edit(
        "src/main.rs",
        "fn serve() {",
        "fn serve() {\n    eprintln!(\"token {:?}\", std::env::var(\"EDIT_TOKEN\"));",
    );
    let mut dev = case.start("dev");
    dev.until("token Ok(\"***\")").until("watching");
    // Declared otherwise meanwhile: a service that has it may run on, and its lines are read as before.
    dev.text.clear();
    case.edit("xtask.toml", "dev = \"dev-only\"", "masked = false, dev = \"dev-only\"");
    dev.until("token Ok(\"***\")").until("swap      ✓ ");
    dev.signal("INT");
    assert_eq!(dev.end(), 0, "{}", dev.text);
}

#[test]
fn what_is_not_masked_is_named() {
    let api = Doppler::start().config("links", "dev", &[("EDIT_TOKEN", "password"), ("LOG_LEVEL", "debug")]);
    let case = Case::with_service().file("xtask.toml", CONFIG).doppler(&api);
    let mut dev = case.start("dev");
    dev.until("note").until("not masked, too short or too common: EDIT_TOKEN").until("watching");
    dev.signal("INT");
    assert_eq!(dev.end(), 0, "{}", dev.text);
}

#[test]
fn an_outage_ends_it_and_local_goes_on() {
    let api = links();
    let case = Case::with_service().file("xtask.toml", CONFIG).doppler(&api);
    api.answers(Answer::Portal);
    case.run("dev").code(7).says(&["Doppler cannot be reached", "next", "dev --local"]);
    let mut dev = case.start("dev --local");
    dev.until("2 development defaults from xtask.toml").until("watching");
    assert_eq!(get(&format!("{}/env/EDIT_TOKEN", url(&dev.text))).1, "dev-only");
    dev.signal("INT");
    assert_eq!(dev.end(), 0, "{}", dev.text);
}

#[test]
fn without_doppler_there_are_defaults_and_one_line() {
    let case = Case::with_service().file("xtask.toml", CONFIG).without_doppler();
    let mut dev = case.start("dev");
    dev.until("2 development defaults; Doppler is not installed").until("watching");
    dev.signal("INT");
    assert_eq!(dev.end(), 0, "{}", dev.text);
    assert_eq!(dev.text.matches("Doppler").count(), 1, "{}", dev.text);
}
