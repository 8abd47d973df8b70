//! What `image build` makes: an exact list of files, once, whole, and readable for others.

use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use super::{archive, blobs, build, config, has_skopeo, layer, layout, report, skopeo, text};
use crate::case::Case;

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMIIAPU5vdCByZWFsbHkgYSBjZXJ0aWZpY2F0ZSwgYnV0IGxvbmcgZW5vdWdoIGZv\n\
                           ciB0d28gbGluZXMgb2YgaXQ=\n-----END CERTIFICATE-----\n";

/// The files of the last image, as `/etc/passwd 0444 0:0`.
#[track_caller]
fn files(case: &Case) -> Vec<String> {
    let report = report(case.run("image inspect --json").code(0));
    let line = |file: &serde_json::Value| {
        format!("{} {} {}:{}", text(file, "path"), text(file, "mode"), file["uid"], file["gid"])
    };
    report["files"].as_array().unwrap().iter().map(line).collect()
}

#[test]
fn the_files_are_an_exact_list() {
    let case = Case::with_service().file("xtask.toml", config("ca = \"none\""));
    case.run("image inspect").code(1).says(&["error: no image was built here", "next", "image build"]);
    case.run("image build").code(0).prints("").says(&["image", "digest", "sha256:", "archive", "65532"]);
    let bare = ["/etc/ 0755 0:0", "/etc/group 0444 0:0", "/etc/passwd 0444 0:0", "/tiny 0555 0:0"];
    assert_eq!(files(&case), bare);

    let trusting = [
        "/etc/ 0755 0:0",
        "/etc/ssl/ 0755 0:0",
        "/etc/ssl/certs/ 0755 0:0",
        "/etc/group 0444 0:0",
        "/etc/passwd 0444 0:0",
        "/etc/ssl/certs/ca-certificates.crt 0444 0:0",
        "/tiny 0555 0:0",
    ];
    let ends = CERTIFICATE.replace("ciB0", "AAAA");
    let (mozilla, rds) = ("ca = \"mozilla\"", "ca = \"rds\"\nca-file = \"rds.pem\"");
    let sizes = [mozilla, rds, "ca = \"mozilla\"\nca-file = \"rds.pem\""].map(|image| {
        let case = &case;
        std::fs::write(case.root().join("xtask.toml"), config(image)).unwrap();
        // In another order, twice, and with words around them.
        let text = format!("# Amazon\n{ends}\n{CERTIFICATE}Subject: x\n{ends}");
        std::fs::write(case.root().join("rds.pem"), text).unwrap();
        build(case);
        assert_eq!(files(case), trusting);
        let out = case.folder().join("out");
        case.run(&format!("image build --rootfs {}", out.display())).code(0);
        std::fs::read_to_string(out.join("etc/ssl/certs/ca-certificates.crt")).unwrap()
    });
    let [public, own, both] = sizes;
    assert_eq!(own, format!("{ends}{CERTIFICATE}"));
    assert!(both.contains(CERTIFICATE) && public.lines().all(|line| both.contains(line)));
    assert_eq!(both.len(), public.len() + own.len());

    let report = report(case.run("image inspect --json").code(0));
    assert_eq!(text(&report, "user"), "65532:65532");
    assert_eq!(report["command"], serde_json::json!(["/tiny", "serve"]));
    assert!(text(&report["inputs"], "rustc").starts_with(|c: char| c.is_ascii_digit()), "{report}");
    assert!(case.run("image inspect").code(0).stderr.contains("/etc/ssl/certs/ca-certificates.crt"));
}

#[test]
fn what_is_there_already_is_not_made_again() {
    let case = Case::with_service();
    let first = build(&case);
    assert_eq!(first["changed"], true);
    let seen = || {
        let found = std::fs::metadata(archive(&case)).unwrap();
        (found.mtime(), found.mtime_nsec(), found.ino())
    };
    let before = seen();
    let second = build(&case);
    assert_eq!((&second["changed"], &second["digest"]), (&false.into(), &first["digest"]));
    assert_eq!(seen(), before);
    case.run("image build").code(0).says(&["unchanged"]);

    case.edit("src/main.rs", "\"tiny\"", "\"tall\"");
    let third = build(&case);
    assert_eq!((&third["changed"], &third["layers"][0]), (&true.into(), &first["layers"][0]));
    assert_ne!(third["digest"], first["digest"]);
    let layers = third["layers"].as_array().unwrap().iter().map(|layer| text(layer, "digest"));
    let mut wanted: Vec<String> = layers.chain([text(&third, "digest"), text(&third, "id")]).collect();
    wanted.sort();
    assert_eq!(blobs(&case), wanted);
}

#[test]
fn a_broken_image_is_said_to_be_and_made_again() {
    let case = Case::with_service().file("xtask.toml", config("ca = \"none\""));
    let whole = build(&case);
    let blob = |digest: String| layout(&case).join("blobs").join(digest.replace(':', "/"));
    let index = layout(&case).join("index.json");
    for (path, bytes) in [
        (blob(text(&whole["layers"][1], "digest")), "cut"),
        (blob(text(&whole["layers"][0], "digest")), ""),
        (blob(text(&whole, "id")), "{}"),
        (blob(text(&whole, "digest")), "[]"),
        (index.clone(), "{\"manifests\":"),
        (index, r#"{"schemaVersion":2,"mediaType":"","manifests":[]}"#),
    ] {
        std::fs::write(&path, bytes).unwrap();
        case.run("image inspect").code(1).says(&["error: the image in ", "is broken", "next", "image build"]);
        let mended = build(&case);
        assert_eq!((&mended["digest"], &mended["changed"]), (&whole["digest"], &true.into()), "{path:?}");
        case.run("image inspect").code(0);
    }
    std::fs::write(archive(&case), "cut").unwrap();
    std::fs::remove_file(layout(&case).join("oci-layout")).unwrap();
    assert_eq!(build(&case)["changed"], true);
    assert!(layout(&case).join("oci-layout").is_file() && archive(&case).metadata().unwrap().len() > 1000);
}

#[test]
fn the_archive_is_for_every_loader_and_skopeo_sees_the_same_digest() {
    let case = Case::with_service();
    let made = build(&case);
    let listed = Command::new("tar").arg("tf").arg(archive(&case)).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let mut wanted: Vec<String> =
        blobs(&case).iter().map(|name| format!("blobs/{}", name.replace(':', "/"))).collect();
    wanted.extend(["index.json", "manifest.json", "oci-layout"].map(str::to_owned));
    assert_eq!(listed.lines().collect::<Vec<_>>(), wanted);

    let bill = std::fs::read_to_string(case.root().join(text(&made, "sbom"))).unwrap();
    let bill: serde_json::Value = serde_json::from_str(&bill).unwrap();
    assert_eq!(
        (&bill["bomFormat"], &bill["metadata"]["component"]["name"]),
        (&"CycloneDX".into(), &"tiny".into())
    );

    if has_skopeo() {
        for place in [
            format!("oci:{}:latest", layout(&case).display()),
            format!("oci-archive:{}:latest", archive(&case).display()),
        ] {
            assert_eq!(skopeo(&["inspect", "--format", "{{.Digest}}", &place]).trim(), text(&made, "digest"));
        }
        let docker = format!("docker-archive:{}:tiny:latest", archive(&case).display());
        let config = skopeo(&["inspect", "--config", "--raw", &docker]);
        assert_eq!(super::digest(config.as_bytes()), text(&made, "id"));
    }
}

#[test]
fn a_root_for_a_dockerfile_has_the_same_bytes_and_modes_under_any_umask() {
    let umask = ["sh", "-c", "umask 077; exec \"$0\" \"$@\""];
    let case = Case::with_service().wrap(&umask).below("app");
    // Twice: what is there already is replaced.
    for _ in 0..2 {
        case.run("image build --rootfs ../out/root").code(0);
    }
    let out = case.root().join("out/root");
    let mut seen = 0;
    for number in [1, 2] {
        let tar = layer(&case, number);
        for entry in tar::Archive::new(&tar[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = out.join(entry.path().unwrap());
            let found = std::fs::symlink_metadata(&path).unwrap();
            assert_eq!(found.mode() & 0o7777, entry.header().mode().unwrap(), "{}", path.display());
            if found.is_file() {
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
                assert!(std::fs::read(&path).unwrap() == bytes, "{}", path.display());
            }
            seen += 1;
        }
    }
    assert_eq!(out.metadata().unwrap().mode() & 0o777, 0o755);
    let there = Command::new("find").arg(&out).args(["-mindepth", "1", "-print"]).output().unwrap();
    assert_eq!((String::from_utf8(there.stdout).unwrap().lines().count(), seen), (7, 7));
}
