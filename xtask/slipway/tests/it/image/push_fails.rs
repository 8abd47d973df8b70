//! Pushes that fail: each has its code, its reason and a way on, and the next one succeeds.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::{build, commit, committed, config, digest_there, has_skopeo, layout, program, text, tools};
use crate::case::{Case, nothing_left, processes_in};
use crate::registry::{Registry, stub_registry, stub_registry_after_ping};

#[test]
fn a_name_that_is_none_is_a_mistake() {
    let case = Case::new();
    for name in [
        "links",
        "acme/links",
        "https://registry.example.com/links",
        "registry.example.com/Links",
        "registry.example.com/links:",
        "registry.example.com/links:a/b",
        "registry.example.com/links@sha256:00",
        "registry.example.com/../links",
        "registry.example.com//links",
        "-o.example.com/links",
    ] {
        let ran = case.run_words(&["image", "push", "--allow-dirty", "--", name]).code(2).prints("");
        ran.says(&["error: ", "does not name an image in a registry", "why", "next"]);
    }
    case.run("image push").code(2).says(&["error: it is not said where to push", "next", "[image]: push ="]);
    case.run("image push a.example/b c").code(2).says(&["unexpected argument 'c'"]);
}

#[test]
fn whoever_does_not_let_us_in_is_told_from_whoever_cannot_be_reached() {
    if !has_skopeo() {
        return;
    }
    let case = committed(Case::with_service());
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    case.run(&format!("image push {nobody}/tiny:v1")).code(7).prints("").says(&[
        "error: ",
        &nobody,
        "could not be reached",
        "connection refused",
        "next",
    ]);
    for (stub, code, says) in [
        (stub_registry(401), 6, "does not let us in"),
        (stub_registry_after_ping(401), 6, "does not let us in"),
        (stub_registry(403), 6, "does not let us in"),
        (stub_registry_after_ping(403), 6, "does not let us in"),
        (stub_registry(500), 1, "was not pushed"),
        (stub_registry_after_ping(500), 1, "was not pushed"),
        (stub_registry(429), 1, "was not pushed"),
    ] {
        let login = format!("skopeo login {}", stub.address());
        let next = if code == 6 { &login } else { "the same command" };
        let ran = case.run(&format!("image push {}/tiny:v1", stub.address())).code(code).prints("");
        let ran = ran.says(&["error: ", &stub.address(), says, "why", "next", next]);
        assert!(!ran.stderr.contains("level="), "{}", ran.stderr);
        assert!(stub.log().iter().all(|request| !request.starts_with("POST") && !request.starts_with("PUT")));
    }
}

#[test]
fn a_password_is_taken_from_where_skopeo_keeps_it() {
    use base64::Engine as _;
    let Some(registry) = Registry::with_password("ann", "s3cret pass").filter(|_| has_skopeo()) else {
        return;
    };
    let name = format!("{}/tiny:v1", registry.address());
    let case = committed(Case::with_service());
    let auth = case.folder().join("auth.json");
    let write = |text: &str| {
        let auths = serde_json::json!({ registry.address(): {
            "auth": base64::engine::general_purpose::STANDARD.encode(text)
        }});
        std::fs::write(&auth, serde_json::json!({ "auths": auths }).to_string()).unwrap();
    };
    std::fs::write(&auth, "{}").unwrap();
    let case = case.env("REGISTRY_AUTH_FILE", auth.display());
    let login = format!("skopeo login {}", registry.address());
    case.run(&format!("image push {name}")).code(6).prints("").says(&["does not let us in", "next", &login]);
    write("ann:wrong pass");
    let ran = case.run(&format!("image push -v {name}")).code(6).says(&["does not let us in", &login]);
    assert!(!ran.stderr.contains("wrong pass"), "{}", ran.stderr);
    write("ann:s3cret pass");
    let ran = case.run(&format!("image push -v {name}")).code(0);
    assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
}

#[test]
fn a_push_that_is_cut_or_ended_leaves_nothing_and_the_next_one_sends_the_rest() {
    let Some(registry) = Registry::start().filter(|_| has_skopeo()) else { return };
    let name = format!("{}/tiny:v1", registry.address());
    let case = committed(Case::with_service().file("xtask.toml", config("ca = \"none\"")));
    // The first layer is there from another version.
    case.run(&format!("image push {}0", name)).code(0);
    case.edit("src/main.rs", "\"tiny\"", "\"tall\"");
    commit(&case, "tall");
    let made = build(&case);
    let digest = text(&made, "digest");
    let size =
        |digest: &str| layout(&case).join("blobs").join(digest.replace(':', "/")).metadata().unwrap().len();
    let rest = size(&text(&made["layers"][1], "digest")) + size(&text(&made, "id"));

    for (signal, code) in [("TERM", 143), ("INT", 130), ("KILL", 137)] {
        registry.hold_after(100_000);
        let mut push = case.start(&format!("image push {name}"));
        let deadline = Instant::now() + Duration::from_secs(30);
        while !registry.is_held() {
            assert!(Instant::now() < deadline, "{} {}", push.text, registry.log());
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(processes_in(case.folder()).iter().any(|line| line.contains("skopeo")));
        // What was searched for secrets is what is sent: a build beside waits.
        assert!(!is_free(&case));
        push.signal(signal);
        assert_eq!(push.end(), code, "{}", push.text);
        nothing_left(&[case.folder().to_path_buf()]);
        assert!(digest_there(&name).is_err());
        assert!(is_free(&case));
    }
    registry.uploaded_bytes();
    registry.break_after(100_000);
    case.run(&format!("image push {name}")).code(7).prints("").says(&[
        "error: ",
        "next",
        "the same command again",
    ]);
    assert!(registry.uploaded_bytes() <= 100_000);
    case.run(&format!("image push {name}")).code(0);
    assert_eq!(registry.uploaded_bytes(), rest);
    assert_eq!(digest_there(&name), Ok(digest));
}

#[test]
fn without_skopeo_it_is_said_how_to_get_it() {
    let case = committed(Case::with_service());
    let path = tools(&case, &["git", "cc", "rustc", "cargo", "sh"]);
    let case = case.env("PATH", path.display());
    let ran = case.run("image push localhost:1/tiny:v1").code(5).prints("");
    ran.says(&["error: skopeo is not installed, or not on PATH", "why", "next", "skopeo"]);
    // It is said before minutes of compiling.
    assert!(!case.root().join("target").exists());
    // A skopeo that does not run is none.
    program(&path.join("skopeo"), "exit 1");
    case.run("image push localhost:1/tiny:v1").code(5);
}

/// Whether a build could replace the image now.
fn is_free(case: &Case) -> bool {
    std::fs::File::open(layout(case).with_extension("lock")).unwrap().try_lock().is_ok()
}
