//! What cannot go into an image, and what cannot be built: each is said, with what to do.

use std::path::Path;

use super::{build, config};
use crate::case::Case;
use crate::disk::Disk;

const MAIN: &str = "fn main() { println!(\"{}\", TEXT) }\n";

#[test]
fn a_program_that_names_a_folder_of_this_machine_is_refused() {
    let case = Case::with_service();
    let home = case.folder().join("home");
    std::fs::create_dir(&home).unwrap();
    let (root, case) = (case.root().display().to_string(), case.env("HOME", home.display()));
    let home = home.display().to_string();
    for (text, folder) in [
        ("env!(\"CARGO_MANIFEST_DIR\")", &root),
        ("concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/pages\")", &root),
        ("env!(\"HOME\")", &home),
        ("concat!(env!(\"HOME\"), \"/.config\")", &home),
    ] {
        let main = format!("const TEXT: &str = {text};\n{MAIN}");
        std::fs::write(case.root().join("src/main.rs"), main).unwrap();
        case.run("image build").code(1).says(&[
            "error: the program names a folder of this machine",
            "found",
            folder,
            "why",
            "next",
            "CARGO_MANIFEST_DIR",
        ]);
        assert!(!case.root().join("target/image/oci/index.json").exists());
    }
    // Renamed is what rustc itself writes.
    std::fs::write(case.root().join("src/main.rs"), format!("const TEXT: &str = file!();\n{MAIN}")).unwrap();
    case.run("image build").code(0);
}

#[test]
fn a_package_outside_the_repository_is_refused() {
    let case = Case::with_service();
    let manifest = std::fs::read_to_string(case.root().join("Cargo.toml")).unwrap();
    let lock = std::fs::read_to_string(case.root().join("Cargo.lock")).unwrap();
    let lock = lock.replace("version = \"0.1.0\"", "version = \"0.1.0\"\ndependencies = [\n \"common\",\n]");
    let case = case
        .file("Cargo.toml", format!("{manifest}\n[dependencies]\ncommon = {{ path = \"../common\" }}\n"))
        .file("Cargo.lock", format!("{lock}\n[[package]]\nname = \"common\"\nversion = \"0.1.0\"\n"))
        .file("src/main.rs", "fn main() { println!(\"{}\", common::place()) }")
        .file("../common/Cargo.toml", "[package]\nname = \"common\"\nversion = \"0.1.0\"\n")
        .file("../common/src/lib.rs", "pub fn place() -> &'static str { file!() }");
    case.run("image build").code(1).says(&[
        "error: the program names a folder of this machine",
        "/common/src/lib.rs",
        "a package lies outside the repository",
        "next",
    ]);
}

#[test]
fn a_root_is_not_written_into_a_folder_with_anything_else_in_it() {
    let case = Case::with_service().file("out/etc/hostname", "somebody's\n");
    case.run("image build --rootfs out").code(2).says(&[
        "error: ",
        "is not empty",
        "out/etc/hostname",
        "next",
    ]);
    assert!(!case.root().join("out/tiny").exists() && !case.root().join("out/etc/passwd").exists());
}

#[test]
fn what_could_not_run_alone_is_refused() {
    let script = |words: &str| format!("fn main() {{ println!(\"cargo:rustc-link-arg-bins={words}\") }}");
    let case = Case::with_service().file("src/main.rs", "fn main() {}");
    let manifest = std::fs::read_to_string(case.root().join("Cargo.toml")).unwrap();
    let case = case.file("Cargo.toml", manifest.replace("\"symbols\"", "false"));
    case.run("image build").code(1).says(&[
        "cannot go into the image: it is not stripped",
        "next",
        "strip = ",
    ]);

    let case = case.file("Cargo.toml", manifest).file("build.rs", script("-Wl,-z,execstack"));
    case.run("image build").code(1).says(&["cannot go into the image: its stack can be executed"]);
    let case = case.file("build.rs", script("-Wl,--dynamic-linker=/lib64/ld-linux-x86-64.so.2"));
    case.run("image build").code(1).says(&[
        "it needs a dynamic loader, and the image has none",
        "why",
        "next",
    ]);
    assert!(!case.root().join("target/image/oci/index.json").exists());
    let case = case.without("build.rs");
    case.run("image build").code(0);
}

#[test]
fn a_program_for_another_platform_is_refused() {
    let case = Case::with_service()
        .file("src/main.rs", "fn main() {}")
        .file(".cargo/config.toml", "[target.x86_64-unknown-linux-gnu]\nlinker = \"tools/linker\"\n")
        .file("tools/linker", "");
    // It puts a file in the place of what it was asked to link.
    let linker = "while [ \"$1\" != -o ]; do shift; done\ncp tools/program \"$2\"\n";
    super::program(&case.root().join("tools/linker"), linker);
    let mut header = [0; 64];
    header[..6].copy_from_slice(b"\x7fELF\x02\x01");
    header[18] = 183;
    for (program, says) in [
        (&header[..], "it is for linux/arm64, the image for linux/amd64"),
        (b"\xcf\xfa\xed\xfe", "it is no Linux program (ELF)"),
        (b"\x7fELF\x01\x01", "its headers cannot be read"),
    ] {
        let case = &case;
        std::fs::write(case.root().join("tools/program"), program).unwrap();
        // Linked anew.
        std::fs::write(case.root().join("src/main.rs"), format!("fn main() {{}} // {says}")).unwrap();
        case.run("image build").code(1).says(&["cannot go into the image: ", says]);
    }
}

#[test]
fn what_is_missing_has_a_line_to_get_it() {
    for (image, says) in [
        ("target = \"aarch64-unknown-linux-gnu\"", "rustup target add aarch64-unknown-linux-gnu"),
        ("rustc = \"1.2.3\"", "rustup toolchain install 1.2.3"),
    ] {
        if says.contains("aarch64") && has_target("aarch64-unknown-linux-gnu") {
            eprintln!("skipped: this machine can build for aarch64");
            continue;
        }
        let case = Case::with_service().file("xtask.toml", config(image));
        for line in ["image build", "image push localhost:1/links:v1 --allow-dirty"] {
            case.run(line).code(5).prints("").says(&["error: ", "next", says]);
        }
    }
}

fn has_target(target: &str) -> bool {
    let asked = ["--print", "target-libdir", "--target", target];
    let output = std::process::Command::new("rustc").args(asked).output().unwrap();
    Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
}

#[test]
fn a_wrong_bundle_of_certificates_has_its_place() {
    let pem = "-----BEGIN CERTIFICATE-----\nMIIABWxpbmtz\n-----END CERTIFICATE-----\n";
    let case = Case::with_service().file("xtask.toml", config("ca = \"rds\"\nca-file = \"app/rds.pem\""));
    case.run("image build").code(2).prints("").says(&["error: ", "xtask.toml:6:11", "app/rds.pem", "next"]);
    for (text, says) in [
        (Vec::new(), "there is no certificate in it"),
        (b"not PEM".to_vec(), "there is no certificate in it"),
        (b"\xff\xfe\x00".to_vec(), "app/rds.pem"),
        (
            format!("{pem}-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n").into(),
            "private key",
        ),
        (format!("{pem}-----BEGIN CERTIFICATE-----\nAAAA").into(), "a certificate does not end"),
        (pem.replace("MIIA", "T!").into(), "a certificate is not base64"),
        (pem.replace("bmtz", "").into(), "what it calls a certificate is none"),
    ] {
        std::fs::create_dir_all(case.root().join("app")).unwrap();
        std::fs::write(case.root().join("app/rds.pem"), text).unwrap();
        case.run("image build").code(2).prints("").says(&["error: ", "xtask.toml:6:11", says]);
    }
    // Said before the service is built for minutes.
    assert!(!case.root().join("target/image/x86_64-unknown-linux-gnu").exists());
}

#[test]
fn a_full_disk_says_so_and_the_next_build_succeeds() {
    let case = Case::with_service().file("xtask.toml", config("ca = \"none\""));
    std::fs::create_dir(case.root().join("target")).unwrap();
    let Some(disk) = Disk::new(case.root().join("target"), 24) else { return };
    let whole = build(&case);
    let image = case.root().join("target/image");
    let (mut failed, mut sizes) = (0, 0);
    // From none to enough for the layout and the archive.
    for pages in (0..400).step_by(50) {
        std::fs::remove_dir_all(image.join("oci")).unwrap();
        std::fs::remove_file(image.join("tiny.tar")).unwrap();
        disk.fill(pages * 4096);
        let ran = case.run("image build");
        disk.empty();
        sizes += 1;
        if ran.code != Some(0) {
            failed += 1;
            ran.code(1).says(&["error: cannot ", "No space left"]);
        }
        let next = build(&case);
        assert_eq!(next["digest"], whole["digest"], "{pages} pages");
        case.run("image inspect").code(0);
        super::kills::no_litter(&case);
    }
    assert!(failed > 2 && failed < sizes, "{failed} of {sizes}");
    // Before the case is.
    drop(disk);
}

#[test]
fn a_wrong_table_has_its_place() {
    for (image, says) in [
        ("target = \"x86_64-pc-windows-msvc\"", "xtask.toml:5:10: `x86_64-pc-windows-msvc` is no target"),
        ("target = \"x86_64-unknown-linux\"", "one of x86_64-unknown-linux-gnu"),
        ("rustc = \"1.95\"", "xtask.toml:5:9: `1.95` is no exact version"),
        ("rustc = \"stable\"", "three numbers"),
        ("ca = \"rds\"", "xtask.toml:5:6: `rds` needs a `ca-file`"),
        ("ca = \"none\"\nca-file = \"a.pem\"", "xtask.toml:6:11: "),
        ("ca-file = \"/etc/ssl/cert.pem\"", "xtask.toml:5:11: `/etc/ssl/cert.pem` is no path below the root"),
        ("ca-file = \"../cert.pem\"", "xtask.toml:5:11: "),
        ("ca = \"system\"", "xtask.toml:5:6: "),
        ("push = \"https://registry.example.com/links\"", "xtask.toml:5:8: "),
        ("rustcc = \"1.95.0\"", "did you mean `rustc`?"),
    ] {
        let ran = Case::new().file("xtask.toml", config(image)).run("image build").code(2).prints("");
        ran.says(&["error: ", says]);
    }
}
