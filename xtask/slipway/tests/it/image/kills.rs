//! Kills while an image is packed: the last image is whole, the next build gives what an undisturbed one gives. A
//! tenth of the points, all of them with SLIPWAY_SOAK=1.

use std::time::Instant;

use super::{archive, build, config, layout, text};
use crate::case::{Case, nothing_left};

/// Nothing half written is left where images are.
#[track_caller]
pub fn no_litter(case: &Case) {
    let image = case.root().join("target/image");
    for folder in [image.clone(), image.join("oci"), image.join("oci/blobs/sha256")] {
        let entries = std::fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.file_name());
        let left: Vec<_> = entries.filter(|name| name.to_string_lossy().starts_with(".slipway")).collect();
        assert!(left.is_empty(), "{}: {left:?}", folder.display());
    }
}

/// Bytes that do not get smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x5eed_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(&mut next).take(length).collect()
}

#[test]
fn a_build_that_is_killed_while_it_packs_leaves_a_whole_image() {
    let points = if std::env::var("SLIPWAY_SOAK").is_ok() { 100 } else { 10 };
    let main = "static DATA: &[u8] = include_bytes!(\"noise\");\n\
                fn main() { println!(\"{:?}\", DATA.get(std::env::args().count())) }\n";
    let case = Case::with_service().file("src/main.rs", main).file("src/noise", noise(1 << 20));
    let configure = |ca: &str| std::fs::write(case.root().join("xtask.toml"), config(ca)).unwrap();
    let clear = || {
        std::fs::remove_dir_all(layout(&case)).unwrap();
        std::fs::remove_file(archive(&case)).unwrap();
    };
    let configs = ["ca = \"mozilla\"", "ca = \"none\""];
    let digests = configs.map(|ca| {
        configure(ca);
        text(&build(&case), "digest")
    });
    clear();
    let started = Instant::now();
    build(&case);
    let whole = started.elapsed();
    let (mut old, mut new, mut none) = (0, 0, 0);
    for point in 0..points {
        // Half of them make another image of the layers that are there, half of them have nothing to begin with.
        let wanted = point % 2;
        configure(configs[wanted]);
        if point % 4 < 2 {
            clear();
        }
        let mut run = case.start("image build");
        std::thread::sleep(whole.mul_f64((point as f64 + 0.5) / points as f64));
        run.signal("KILL");
        run.end();
        nothing_left(&[case.folder().to_path_buf()]);
        let ran = case.run("image inspect --json");
        if ran.code != Some(0) {
            ran.code(1).says(&["no image was built here"]);
            none += 1;
        } else if text(&super::report(ran), "digest") == digests[wanted] {
            new += 1;
        } else {
            old += 1;
        }
        assert_eq!(text(&build(&case), "digest"), digests[wanted], "point {point}");
        no_litter(&case);
    }
    println!(
        "{points} kills in {whole:?}: {none} before there was an image, {old} with the last, {new} with the new"
    );
}
