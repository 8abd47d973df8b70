//! The same sources give the same digest, whoever builds them, and nothing of who it was is inside. The whole, with
//! this repository's own service, with SLIPWAY_SOAK=1.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{build, contains, layer, text};
use crate::case::Case;

/// One who builds.
struct Builder {
    umask: &'static str,
    env: &'static [(&'static str, &'static str)],
    /// How deep its folder is, and the folder of what cargo fetched.
    below: &'static str,
    cargo_home: &'static str,
}

const BUILDERS: [Builder; 2] = [
    Builder { umask: "022", env: &[("TZ", "UTC"), ("LC_ALL", "C")], below: "a", cargo_home: "cargo" },
    Builder {
        umask: "077",
        env: &[
            ("TZ", "Asia/Tokyo"),
            ("LC_ALL", "C.UTF-8"),
            ("CARGO_BUILD_JOBS", "1"),
            ("CC", "gcc"),
            ("RUSTFLAGS", "-Copt-level=0 -Cdebuginfo=2"),
            ("CFLAGS", "-O0 -g"),
            ("CFLAGS_x86_64_unknown_linux_gnu", "-O0"),
            ("CARGO_ENCODED_RUSTFLAGS", "-Copt-level=1"),
            ("CARGO_BUILD_RUSTFLAGS", "-Copt-level=1"),
            ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-Ctarget-cpu=native"),
            ("CARGO_PROFILE_IMAGE_OPT_LEVEL", "1"),
            ("CARGO_PROFILE_IMAGE_STRIP", "none"),
            ("CARGO_PROFILE_RELEASE_LTO", "fat"),
            ("CARGO_INCREMENTAL", "1"),
            ("CARGO_BUILD_BUILD_DIR", "elsewhere"),
            ("CPATH", "/usr/include"),
            ("SOURCE_DATE_EPOCH", "1700000000"),
        ],
        below: "a/deeper/place than/the other",
        cargo_home: "another/cargo home",
    },
];

impl Builder {
    /// A case of this builder's, with what `fill` puts there.
    fn case(&self, fill: impl FnOnce(Case) -> Case) -> Case {
        let mut case = fill(Case::new().nested(self.below));
        for (name, value) in self.env {
            case = case.env(name, value);
        }
        let (home, cargo_home) = (case.folder().join("home"), case.folder().join(self.cargo_home));
        std::fs::create_dir_all(&home).unwrap();
        let case = case.env("HOME", home.display()).env("CARGO_HOME", cargo_home.display());
        case.wrap(&["sh", "-c", &format!("umask {}; exec \"$0\" \"$@\"", self.umask)])
    }
}

/// All build the same, and nothing of them is in it.
fn compare(cases: &[Case]) -> String {
    let digests: Vec<String> = cases.iter().map(|case| text(&build(case), "digest")).collect();
    for case in cases {
        let (program, folder) = (layer(case, 2), case.folder().display().to_string());
        assert!(!contains(&program, folder.as_bytes()), "{folder} is in the program");
        // Where the tests run as root, and where rustup is.
        for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME"] {
            let own = std::env::var(name).map(|folder| format!("{folder}/")).unwrap_or_default();
            assert!(own.len() < 3 || !contains(&program, own.as_bytes()), "{own} is in the program");
        }
    }
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
    digests[0].clone()
}

#[test]
fn whoever_builds_gets_the_same_digest() {
    let panics = "fn main() { let _ = std::env::args().nth(9).expect(\"in a file of its own\"); }";
    let cases = BUILDERS.map(|builder| {
        builder.case(|case| {
            let main = "mod inner;\nfn main() { println!(\"{}\", file!()); inner::main() }";
            case.service().file("src/main.rs", main).file("src/inner.rs", format!("pub {panics}"))
        })
    });
    compare(&cases);
}

#[test]
fn flags_of_the_repository_cannot_make_it_another_kind_of_program() {
    let flags =
        "rustflags = [\"-Ctarget-feature=-crt-static\", \"-Cstrip=none\", \"-Crelocation-model=static\"]\n";
    let plain = Case::with_service();
    let flagged = Case::with_service()
        .file(".cargo/config.toml", format!("[build]\n{flags}[target.x86_64-unknown-linux-gnu]\n{flags}"));
    assert_eq!(build(&plain)["digest"], build(&flagged)["digest"]);
}

/// The files that git has of this repository, below `to`.
fn copy_repository(to: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(&root).output().unwrap();
    for name in String::from_utf8(listed.stdout).unwrap().split_terminator('\0') {
        let (from, to) = (root.join(name), to.join(name));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    }
}

#[test]
fn this_repositorys_service_has_one_digest_too() {
    if std::env::var("SLIPWAY_SOAK").is_err() {
        eprintln!("skipped: two whole builds; SLIPWAY_SOAK=1 runs them");
        return;
    }
    let own: PathBuf = std::env::var("CARGO_HOME")
        .map_or_else(|_| Path::new(&std::env::var("HOME").unwrap()).join(".cargo"), PathBuf::from);
    let [first, mut second] = BUILDERS.map(|builder| {
        builder.case(|case| {
            copy_repository(&case.root());
            let copy = case.folder().join(builder.cargo_home);
            std::fs::create_dir_all(&copy).unwrap();
            let copied = Command::new("cp").arg("-a").arg(own.join("registry")).arg(&copy).status().unwrap();
            assert!(copied.success());
            case
        })
    });
    // The real one, and what git, cargo and rustc of two cores do.
    let first = first.env("CARGO_HOME", own.display()).env("CARGO_BUILD_JOBS", 2);
    second = second.env("CARGO_BUILD_JOBS", 1);
    println!("one digest: {}", compare(&[first, second]));
}

#[test]
fn a_generated_source_is_no_place_of_the_builders_either() {
    let script = "fn main() {\n    let out = std::path::Path::new(&std::env::var(\"OUT_DIR\").unwrap()).join(\"made.rs\");\n    \
                  std::fs::write(out, \"pub fn made(x: Option<u8>) -> u8 { x.expect(file!()) }\").unwrap();\n}\n";
    let main = "include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"));\n\
                fn main() { std::process::exit(made(std::env::args().nth(5).map(|_| 1)).into()) }\n";
    let cases = BUILDERS.map(|builder| {
        builder.case(|case| case.service().file("build.rs", script).file("src/main.rs", main))
    });
    let digest = compare(&cases);
    // And from nothing, in another folder of artifacts.
    cases[0].run(&format!("image verify {digest}")).code(0);
}
