//! `image load`: the archive goes to docker or podman; they are stand-ins here.

use super::{archive, program, tools};
use crate::case::Case;

#[test]
fn the_archive_is_handed_to_docker_or_podman() {
    let case = Case::with_service();
    let path = tools(&case, &["cc", "rustc", "cargo", "sh", "getconf"]);
    let case = case.env("PATH", path.display());
    case.run("image load").code(5).says(&[
        "error: neither docker nor podman",
        "next",
        "cargo xtask image build",
    ]);
    // Said before minutes of compiling.
    assert!(!case.root().join("target").exists());

    let heard = case.folder().join("heard");
    program(&path.join("podman"), &format!("echo \"$@\" > '{}'\n", heard.display()));
    case.run("image load").code(0).prints("").says(&["loaded", "tiny:latest in podman", "next: podman run"]);
    assert_eq!(
        std::fs::read_to_string(&heard).unwrap(),
        format!("load --input {}\n", archive(&case).display())
    );

    // docker is asked first.
    program(&path.join("docker"), "echo 'Cannot connect to the Docker daemon at unix:///x' >&2; exit 1\n");
    case.run("image load").code(7).says(&[
        "error: docker did not take the image",
        "why",
        "Cannot connect",
        "next",
    ]);
    program(&path.join("docker"), "echo 'no space left on device' >&2; exit 1\n");
    case.run("image load").code(1).says(&["error: docker did not take the image", "no space left"]);
}
