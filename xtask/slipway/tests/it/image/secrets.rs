//! Secrets that got into the program: each is found in every form and named, none is shown, nothing is pushed.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::{committed, has_skopeo};
use crate::case::{CONFIG, Case, Ran};
use crate::doppler::Doppler;
use crate::registry::{Registry, is_installed};

/// Each has what its forms differ in.
const VALUES: [(&str, &str); 4] = [
    ("API_KEY", "k3y/wi+h=sigil?s&a%nd~more"),
    ("EDIT_TOKEN", "zYx9>Wv8?Ut7"),
    ("MAIL_PASSWORD", "p\u{e4}ss w\u{f6}rd <&> 42"),
    ("SIGNING_KEY", "-----BEGIN-----\nQUJD/+8=\nZZZ\n-----END-----"),
];
const URL: (&str, &str) = ("DATABASE_URL", "postgres://links:0nly%40the-p4ss@db.internal:5432/links");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn url(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    value.bytes().map(one).collect()
}

/// The ways in which a program can have a value.
fn forms(value: &str) -> Vec<String> {
    let shifted = |offset: usize| [&b"xyz"[..offset], value.as_bytes(), b"z"].concat();
    let base64 = (0..3).map(|offset| STANDARD.encode(shifted(offset)));
    let safe = (0..3).map(|offset| URL_SAFE.encode(shifted(offset)));
    let upper = hex(value.as_bytes()).to_uppercase();
    let plain = [value.to_owned(), hex(value.as_bytes()), upper, url(value)];
    plain.into_iter().chain(base64).chain(safe).collect()
}

/// A repository that declares all of them, and has their values.
fn declared(more: &str) -> Case {
    let names = VALUES.iter().chain([&URL]).map(|(name, _)| format!("{name} = {{ about = \"x\" }}\n"));
    let config = format!("{CONFIG}[secrets.names]\n{}{more}", names.collect::<String>());
    let case = Case::with_service().file("xtask.toml", config);
    VALUES.iter().chain([&URL]).fold(case, |case, (name, value)| case.env(name, value))
}

/// A program with these texts in it.
fn planted(texts: &[String]) -> String {
    format!(
        "static DATA: &[&str] = &{texts:?};\n\
         fn main() {{ println!(\"{{:?}}\", DATA.get(std::env::args().count())) }}\n"
    )
}

#[track_caller]
fn shows_nothing(ran: &Ran) {
    let said = format!("{}{}", ran.stdout, ran.stderr);
    for (name, value) in VALUES.iter().chain([&URL]) {
        for form in forms(value) {
            assert!(!said.contains(&form), "{name} is shown as {form}:\n{said}");
        }
    }
    assert!(!said.contains("p4ss"), "{said}");
}

#[test]
fn every_form_of_every_secret_is_found_and_none_is_shown() {
    let Some(registry) = Registry::start().filter(|_| has_skopeo()) else { return };
    let name = format!("{}/tiny:v1", registry.address());
    let case = committed(declared(""));
    let count = forms(VALUES[0].1).len();
    // One form of each at a time: each must be enough.
    for form in 0..count {
        let texts: Vec<String> = VALUES.iter().map(|(_, value)| forms(value).swap_remove(form)).collect();
        std::fs::write(case.root().join("src/main.rs"), planted(&texts)).unwrap();
        let more = ["", " -v", " --json", " -n"][form % 4];
        let ran = case.run(&format!("image push {name} --allow-dirty{more}")).code(1).prints("");
        shows_nothing(&ran);
        let ran = ran.says(&["error: a secret is in the image: it was not pushed", "why", "next"]);
        for (secret, _) in VALUES {
            assert!(ran.stderr.contains(&format!("{secret} in layer 2, byte ")), "{form}: {}", ran.stderr);
        }
        assert!(!ran.stderr.contains("DATABASE_URL in"), "{}", ran.stderr);
    }
    assert!(!registry.log().contains("/v2/tiny"), "{}", registry.log());
    assert_eq!(registry.uploaded_bytes(), 0);
    println!("{count} forms of {} values found", VALUES.len());

    // The password of an address alone, as it is in the address and as it is.
    for text in ["0nly%40the-p4ss", "0nly@the-p4ss"] {
        std::fs::write(case.root().join("src/main.rs"), planted(&[text.to_owned()])).unwrap();
        let ran = case.run(&format!("image push {name} --allow-dirty")).code(1);
        shows_nothing(&ran);
        ran.says(&["DATABASE_URL (its password) in layer 2, byte "]);
    }

    std::fs::write(case.root().join("src/main.rs"), planted(&["nothing of that".to_owned()])).unwrap();
    let ran = case.run(&format!("image push -v {name} --allow-dirty")).code(0);
    shows_nothing(&ran);
    ran.says(&[
        "secrets",
        "API_KEY",
        "DATABASE_URL",
        "DATABASE_URL (its password)",
        "not in the image",
        "push",
    ]);
}

#[test]
fn what_is_not_searched_for_is_said() {
    let Some(registry) = Registry::start().filter(|_| has_skopeo()) else { return };
    let name = format!("{}/tiny:v1", registry.address());
    let more = "SHORT_KEY = { about = \"x\" }\nUNSET_KEY = { about = \"x\" }\n\
                LOG_LEVEL = { about = \"x\", masked = false }\n[image]\nca-file = \"ca.pem\"\n";
    // What stands around a certificate does not get in.
    let pem = format!(
        "# {}\n-----BEGIN CERTIFICATE-----\nMIIABWxpbmtz\n-----END CERTIFICATE-----\n{}\n",
        VALUES[0].1, VALUES[1].1
    );
    let case = committed(
        declared(more).file("ca.pem", pem).env("SHORT_KEY", "tiny").env("LOG_LEVEL", "main thread"),
    );
    case.run(&format!("image push {name}")).code(0).says(&[
        "EDIT_TOKEN",
        "not in the image",
        "too short to be searched for: SHORT_KEY",
        "no value here to search for: UNSET_KEY",
    ]);
}

#[test]
fn dopplers_values_are_searched_for_too() {
    let Some(registry) = Registry::start().filter(|_| has_skopeo()) else { return };
    let name = format!("{}/tiny:v1", registry.address());
    let api = Doppler::start()
        .config("links", "dev", &[("API_KEY", "key-of-dev-44c1")])
        .config("links", "prd", &[("API_KEY", "key-of-prd-90ba")])
        .config("links", "stg", &[("API_KEY", "key-of-stg-17fe")]);
    api.forbid("links", "stg");
    let config =
        format!("{CONFIG}[secrets]\nproject = \"links\"\n[secrets.names]\nAPI_KEY = {{ about = \"x\" }}\n");
    let case = committed(Case::with_service().file("xtask.toml", config).doppler(&api));
    let push = format!("image push {name} --allow-dirty");
    for (text, code, said) in [
        ("key-of-dev-44c1", 1, "API_KEY in layer 2"),
        ("key-of-prd-90ba", 1, "API_KEY in layer 2"),
        // Whoever pushes cannot read it either.
        ("key-of-stg-17fe", 0, "API_KEY: not in the image; Doppler's dev, prd"),
    ] {
        std::fs::write(case.root().join("src/main.rs"), planted(&[text.to_owned()])).unwrap();
        let ran = case.run(&push).code(code).says(&[said]);
        assert!(!ran.stderr.contains(text), "{}", ran.stderr);
    }
}

#[test]
fn a_repository_that_declares_nothing_is_told_so() {
    if !is_installed("skopeo") {
        return;
    }
    let case = committed(Case::with_service());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    case.run(&format!("image push {nobody}/tiny:v1")).code(7).says(&[
        "secrets",
        "none of the declared names has a value here",
        "error: ",
    ]);
}
