//! Amazon's registry: the password is asked for at each push, and is only where skopeo reads it. `aws` and `skopeo` are
//! stand-ins here.

use std::path::{Path, PathBuf};

use super::{build, committed, layout, program, text};
use crate::case::{Case, Ran};

const REGISTRY: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
const PASSWORD: &str = "eyJwYXlsb2FkIjoiZm9yIHRlc3RzIG9ubHkifQ==";

struct Stand {
    case: Case,
    bin: PathBuf,
}

impl Stand {
    fn new() -> Self {
        let case = committed(Case::with_service());
        let (bin, home) = (case.folder().join("bin"), case.folder().join("home"));
        for folder in [&bin, &home] {
            std::fs::create_dir(folder).unwrap();
        }
        let heard = case.folder().join("heard");
        std::fs::create_dir(&heard).unwrap();
        let heard = heard.display();
        program(&bin.join("aws"), &format!("echo \"$@\" >> '{heard}/aws'\necho '{PASSWORD}'\n"));
        // It has what was pushed, and nothing before.
        let skopeo = format!(
            "[ \"$1\" = --version ] && exit 0\necho \"$@\" >> '{heard}/skopeo'\ncat /dev/stdin >> '{heard}/auth'\n\
             echo >> '{heard}/auth'\ncase \"$*\" in\n*' copy '*) touch '{heard}/pushed' ;;\n\
             *) [ -e '{heard}/pushed' ] || {{ echo 'manifest unknown' >&2; exit 1; }}\n\
             cat '{}'/blobs/sha256/\"$(cat '{heard}/manifest')\" ;;\nesac\n",
            layout(&case).display()
        );
        program(&bin.join("skopeo"), &skopeo);
        let digest = text(&build(&case), "digest");
        std::fs::write(case.folder().join("heard/manifest"), digest.replace("sha256:", "")).unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let case = case.env("PATH", path).env("HOME", home.display());
        Stand { case, bin }
    }

    fn heard(&self, name: &str) -> String {
        std::fs::read_to_string(self.case.folder().join("heard").join(name)).unwrap_or_default()
    }

    fn push(&self, more: &str) -> Ran {
        self.case.run(&format!("image push {REGISTRY}/tiny:v1{more}"))
    }
}

/// The files below `folder` that have `part` in them.
fn files_with(folder: &Path, part: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, part));
        } else if super::contains(&std::fs::read(&path).unwrap_or_default(), part.as_bytes()) {
            found.push(path);
        }
    }
    found
}

#[test]
fn the_password_is_only_where_skopeo_reads_it() {
    use base64::Engine as _;
    let stand = Stand::new();
    let ran = stand.push(" -v").code(0);
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("AWS:{PASSWORD}"));
    assert_eq!(stand.heard("aws"), "ecr get-login-password --region eu-west-1\n");
    let calls = stand.heard("skopeo");
    assert_eq!(calls.lines().count(), 3, "{calls}");
    assert!(calls.lines().all(|call| call.contains("--authfile /dev/stdin")), "{calls}");
    let wanted = serde_json::json!({ "auths": { REGISTRY: { "auth": auth } } }).to_string();
    assert_eq!(stand.heard("auth").lines().collect::<Vec<_>>(), [wanted.as_str(); 3]);
    for secret in [PASSWORD, &auth] {
        for text in [&ran.stdout, &ran.stderr, &calls] {
            assert!(!text.contains(secret), "{text}");
        }
        for folder in [stand.case.root(), stand.case.folder().join("home")] {
            assert_eq!(files_with(&folder, secret), Vec::<PathBuf>::new());
        }
    }
    // For each push anew.
    stand.push("").code(0).says(&["there already"]);
    assert_eq!(stand.heard("aws").lines().count(), 2);
}

#[test]
fn who_is_nobody_to_aws_is_told_so() {
    let stand = Stand::new();
    program(&stand.bin.join("aws"), "echo 'Unable to locate credentials' >&2\nexit 253\n");
    stand.push("").code(6).prints("").says(&[
        "error: aws",
        "why",
        "Unable to locate credentials",
        "next",
        "aws sts",
    ]);
    assert_eq!(stand.heard("skopeo"), "");

    // Without it at all.
    std::fs::remove_file(stand.bin.join("aws")).unwrap();
    let path = super::tools(&stand.case, &["git", "cc", "rustc", "cargo", "sh", "cat", "touch"]);
    let Stand { case, bin } = stand;
    let stand = Stand { case: case.env("PATH", path.display()), bin };
    stand.push("").code(5).prints("").says(&["error: aws is not installed", "next", "aws.amazon.com/cli"]);
    assert_eq!(stand.heard("skopeo"), "");
}
