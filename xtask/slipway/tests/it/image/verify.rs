//! `image verify`: built again from nothing.

use super::{build, text};
use crate::case::Case;

/// A digest that no image has.
const OTHER: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn a_digest_is_verified_or_both_are_named() {
    let case = Case::with_service();
    let digest = text(&build(&case), "digest");
    let gone = || {
        let entries = std::fs::read_dir(case.root().join("target")).unwrap().flatten();
        let left: Vec<_> = entries.map(|entry| entry.file_name()).filter(|name| name != "image").collect();
        assert!(left.is_empty(), "{left:?}");
    };
    case.run(&format!("image verify {digest}")).code(0).prints("").says(&["verified", &digest]);
    gone();
    case.run(&format!("image verify registry.example.com/links@{OTHER}")).code(3).prints("").says(&[
        "error: these sources give another image",
        "asked",
        OTHER,
        "built",
        &digest,
        "here",
        "rustc",
        "next",
    ]);
    gone();
    // The image that was built here is still the one.
    assert_eq!((text(&build(&case), "digest"), &build(&case)["changed"]), (digest.clone(), &false.into()));

    case.edit("src/main.rs", "\"tiny\"", "\"tall\"");
    case.run(&format!("image verify {digest}")).code(3).says(&["asked", &digest, "built", "sha256:"]);
    gone();
    // A build that fails leaves nothing either.
    case.edit("src/main.rs", "fn main()", "fn main(");
    case.run(&format!("image verify {digest}")).code(1).says(&["error: tiny does not build"]);
    gone();
}

#[test]
fn what_is_no_digest_is_a_mistake() {
    let case = Case::new();
    let short = &OTHER[..70];
    let upper = OTHER.replace('0', "A");
    for digest in
        ["latest", "sha256:", short, &upper, &OTHER.replace("256", "512"), "registry.example.com/links:v1"]
    {
        case.run(&format!("image verify {digest}"))
            .code(2)
            .says(&["error: ", "a digest is sha256: and 64 digits"]);
    }
    case.run("image verify").code(2).says(&["required arguments were not provided", "<DIGEST>"]);
}
