//! `image push` to a real registry: the digest stays, nothing is sent twice, a tag is not moved.

use super::{
    build, commit, committed, config, contains, digest, digest_there, git, has_skopeo, report, skopeo, text,
};
use crate::case::Case;
use crate::registry::Registry;

/// The tag that a commit gives.
fn tag(case: &Case) -> String {
    git(case, &["log", "-1", "--abbrev=12", "--format=20231114-221320-%h"])
}

#[test]
fn an_image_is_pushed_once_and_keeps_its_digest() {
    let Some(registry) = Registry::start().filter(|_| has_skopeo()) else { return };
    let repository = format!("{}/acme/tiny", registry.address());
    let case = committed(Case::with_service());
    let made = build(&case);
    let local = text(&made, "digest");
    let pinned = format!("{repository}@{local}\n");

    // Nothing is pushed, and nothing said to be.
    case.run(&format!("image push {repository} --dry-run")).code(0).prints("").says(&["would be pushed"]);
    assert!(digest_there(&format!("{repository}:{}", tag(&case))).is_err());
    let said = report(case.run(&format!("image push {repository} -n --json")).code(0));
    assert_eq!((&said["pushed"], &said["digest"]), (&false.into(), &made["digest"]));
    assert_eq!(registry.uploaded_bytes(), 0);

    let first = format!("{repository}:{}", tag(&case));
    case.run(&format!("image push {repository}")).code(0).prints(&pinned).says(&["push", &first]);
    assert_eq!(digest_there(&first).unwrap(), local);
    let blobs: u64 = made["size"].as_u64().unwrap() - manifest_size(&case, &local);
    assert_eq!(registry.uploaded_bytes(), blobs);

    let back = case.folder().join("back");
    let to = format!("dir:{}", back.display());
    skopeo(&["copy", "--preserve-digests", "--src-tls-verify=false", &format!("docker://{first}"), &to]);
    assert_eq!(digest(&std::fs::read(back.join("manifest.json")).unwrap()), local);

    case.run(&format!("image push {repository}"))
        .code(0)
        .prints(&pinned)
        .says(&[&format!("{first}: there already")]);
    assert_eq!(registry.uploaded_bytes(), 0);

    // A commit that changes nothing of the image has a tag of its own, and sends nothing.
    let case = case.file("README.md", "words");
    commit(&case, "two");
    let second = format!("{repository}:{}", tag(&case));
    assert_ne!(first, second);
    case.run(&format!("image push {repository}")).code(0).prints(&pinned).says(&[&second]);
    assert_eq!((digest_there(&second), registry.uploaded_bytes()), (Ok(local.clone()), 0));

    // xtask.toml says where; --json says what.
    let case = case.file("xtask.toml", config(&format!("push = \"{repository}\"")));
    commit(&case, "three");
    let said = report(case.run("image push --json").code(0));
    let name = format!("{repository}:{}", tag(&case));
    assert_eq!(
        said,
        serde_json::json!({ "reference": name, "digest": local, "pinned": pinned.trim(), "pushed": true })
    );
}

fn manifest_size(case: &Case, digest: &str) -> u64 {
    super::layout(case).join("blobs").join(digest.replace(':', "/")).metadata().unwrap().len()
}

#[test]
fn a_tag_is_not_moved() {
    let Some(registry) = Registry::start().filter(|_| has_skopeo()) else { return };
    let name = format!("{}/tiny:v1", registry.address());
    let case = committed(Case::with_service());
    case.run(&format!("image push {name}")).code(0);
    let old = text(&build(&case), "digest");
    registry.uploaded_bytes();

    case.edit("src/main.rs", "\"tiny\"", "\"tall\"");
    commit(&case, "tall");
    let new = text(&build(&case), "digest");
    for more in ["", " --json", " -n"] {
        case.run(&format!("image push {name}{more}")).code(1).prints("").says(&[
            &format!("error: {name} is another image"),
            "there",
            &old,
            "ours",
            &new,
            "next",
        ]);
    }
    assert_eq!((digest_there(&name), registry.uploaded_bytes()), (Ok(old), 0));
    let other = name.replace(":v1", ":v2");
    case.run(&format!("image push docker://{other}"))
        .code(0)
        .prints(&format!("{}@{new}\n", name.replace(":v1", "")));
    assert_eq!(digest_there(&other), Ok(new));
}

#[test]
fn what_is_not_committed_is_not_pushed_unless_that_is_said() {
    let Some(registry) = Registry::start().filter(|_| has_skopeo()) else { return };
    let repository = format!("{}/tiny", registry.address());
    let case = committed(Case::with_service().below("docs"));
    let case = case.file("new.txt", "").file("xtask.toml", config("ca = \"none\""));
    for line in ["image push", "image push -n", "image push --json"] {
        case.run(&format!("{line} {repository}")).code(1).prints("").says(&[
            "error: what is not committed",
            "found",
            "xtask.toml",
            "new.txt",
            "next",
            "--allow-dirty",
        ]);
    }
    assert!(!registry.log().contains("/v2/tiny"), "{}", registry.log());
    let name = format!("{repository}:{}-dirty", tag(&case));
    case.run(&format!("image push {repository} --allow-dirty")).code(0).says(&[&name]);
    assert_eq!(digest_there(&name), Ok(text(&build(&case), "digest")));
    // A tag that was typed is the tag.
    case.run(&format!("image push {repository}:v1 --allow-dirty"))
        .code(0)
        .says(&[&format!("{repository}:v1")]);
    assert!(digest_there(&format!("{repository}:v1")).is_ok());
    // Many are not listed.
    let case = (0..9).fold(case, |case, number| case.file(&format!("{number}.txt"), ""));
    let ran = case.run(&format!("image push {repository}")).code(1).says(&["…"]);
    assert!(!contains(ran.stderr.as_bytes(), b"8.txt"), "{}", ran.stderr);
}

#[test]
fn without_git_a_push_needs_a_tag_and_to_be_told() {
    let Some(registry) = Registry::start().filter(|_| has_skopeo()) else { return };
    let repository = format!("{}/tiny", registry.address());
    let case = Case::with_service();
    case.run(&format!("image push {repository}:v1")).code(1).says(&[
        "error: git cannot say whether all is committed",
        "why",
        "next",
        "--allow-dirty",
    ]);
    case.run(&format!("image push {repository} --allow-dirty"))
        .code(2)
        .says(&["error: there is no commit to name the tag after", "next"]);
    case.run(&format!("image push {repository}:v1 --allow-dirty")).code(0);
    assert!(digest_there(&format!("{repository}:v1")).is_ok());
}
