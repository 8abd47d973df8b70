//! What a source can try with its trees: names, kinds and sizes.

use super::super::crafted::{Entry, FILE, FOLDER, LINK, PROGRAM, SUBMODULE};
use super::{Bad, World};

/// A source that shares `workflows/` with these entries, each a file of one line.
fn files(world: World, names: &[&[u8]]) -> World {
    let blob = world.source.blob("on: push\n");
    let entries: Vec<Entry<'_>> = names.iter().map(|name| (FILE, *name, blob.as_str())).collect();
    world.source.sharing(&entries);
    world
}

/// The same with one folder that holds a file.
fn folder(world: World, names: &[&[u8]], file: &[u8]) -> World {
    let blob = world.source.blob("[core]\n");
    let below = world.source.tree(&[(PROGRAM, file, &blob)]);
    let entries: Vec<Entry<'_>> = names.iter().map(|name| (FOLDER, *name, below.as_str())).collect();
    world.source.sharing(&entries);
    world
}

fn link(world: World, links: &[(&[u8], &str)]) -> World {
    let links: Vec<_> = links.iter().map(|(name, to)| (*name, world.source.blob(to))).collect();
    let entries: Vec<Entry<'_>> = links.iter().map(|(name, to)| (LINK, *name, to.as_str())).collect();
    world.source.sharing(&entries);
    world
}

pub const TREES: &[Bad] = &[
    Bad {
        name: "symlink file",
        code: 2,
        says: "`workflows/leak.yml` is a symbolic link",
        make: |world| link(world, &[(b"leak.yml", "../../../victim/secret.txt")]),
    },
    Bad {
        name: "symlink chain",
        code: 2,
        says: "is a symbolic link",
        make: |world| link(world, &[(b"a.yml", "b.yml"), (b"b.yml", "/etc/passwd")]),
    },
    Bad {
        name: "symlink folder",
        code: 2,
        says: "`workflows` is a symbolic link",
        make: |world| {
            let to = world.source.blob("../victim");
            world.source.with_manifest("files = [\"workflows\"]\n", &[(LINK, b"workflows", &to)]);
            world
        },
    },
    Bad {
        name: "through a symlink folder",
        code: 2,
        says: "`workflows/secret.txt`, which is not there",
        make: |world| {
            let to = world.source.blob("../victim");
            let text = "files = [\"workflows/secret.txt\"]\n";
            world.source.with_manifest(text, &[(LINK, b"workflows", &to)]);
            world
        },
    },
    Bad {
        name: "submodule",
        code: 2,
        says: "`workflows/sub` is a submodule",
        make: |world| {
            world.source.sharing(&[(SUBMODULE, b"sub", &"ab".repeat(20))]);
            world
        },
    },
    Bad {
        name: ".git",
        code: 2,
        says: "would configure git",
        make: |world| folder(world, &[b".git"], b"config"),
    },
    Bad {
        name: ".GIT",
        code: 2,
        says: "would configure git",
        make: |world| folder(world, &[b".GIT"], b"hook"),
    },
    Bad { name: "git~1", code: 2, says: "not let in", make: |world| folder(world, &[b"git~1"], b"config") },
    Bad {
        name: ".gitattributes",
        code: 2,
        says: "would configure git",
        make: |world| files(world, &[b".gitattributes"]),
    },
    Bad {
        name: "..",
        code: 2,
        says: "leads somewhere else",
        make: |world| folder(world, &[b".."], b"x.yml"),
    },
    Bad { name: ".", code: 2, says: "leads somewhere else", make: |world| folder(world, &[b"."], b"x.yml") },
    Bad {
        name: "slashes in a name",
        code: 2,
        says: "leads somewhere else",
        make: |world| files(world, &[b"../../../victim.txt"]),
    },
    Bad {
        name: "absolute",
        code: 2,
        says: "leads somewhere else",
        make: |world| files(world, &[b"/etc/x.yml"]),
    },
    Bad { name: "backslash", code: 2, says: "not let in", make: |world| files(world, &[b"..\\..\\x.yml"]) },
    Bad { name: "colon", code: 2, says: "not let in", make: |world| files(world, &[b"C:x.yml"]) },
    Bad {
        name: "control byte",
        code: 2,
        says: "not let in",
        make: |world| files(world, &[b"a\x1b[2J\n\x07b.yml"]),
    },
    Bad {
        name: "C1 control",
        code: 2,
        says: "not let in",
        make: |world| files(world, &["a\u{9b}2J".as_bytes()]),
    },
    Bad {
        name: "not UTF-8",
        code: 2,
        says: "is not UTF-8",
        make: |world| files(world, &[b"\xff\x1b\xfe.yml"]),
    },
    Bad {
        name: "case clash",
        code: 2,
        says: "are one path on some systems",
        make: |world| files(world, &[b"CI.yml", b"ci.yml"]),
    },
    Bad {
        name: "folder case clash",
        code: 2,
        says: "are one path on some systems",
        make: |world| folder(world, &[b"A", b"a"], b"x.yml"),
    },
    Bad {
        name: "NFC and NFD",
        code: 2,
        says: "not let in",
        make: |world| files(world, &["e\u{301}.yml".as_bytes(), "\u{e9}.yml".as_bytes()]),
    },
    Bad {
        name: "file and folder of one name",
        code: 2,
        says: "are one path on some systems",
        make: |world| {
            let blob = world.source.blob("x");
            let below = world.source.tree(&[(FILE, b"b.yml", &blob)]);
            world.source.sharing(&[(FILE, b"a", &blob), (FOLDER, b"a", &below)]);
            world
        },
    },
    Bad {
        name: "a name twice",
        code: 2,
        says: "a name is there twice",
        make: |world| files(world, &[b"ci.yml", b"ci.yml"]),
    },
    Bad { name: "device", code: 2, says: "is a device", make: |world| files(world, &[b"aux.yml"]) },
    Bad { name: "numbered device", code: 2, says: "is a device", make: |world| files(world, &[b"CoM1"]) },
    Bad { name: "trailing dot", code: 2, says: "ends in a dot", make: |world| files(world, &[b"ci.yml."]) },
    Bad { name: "long path", code: 2, says: "is too long", make: |world| files(world, &[&[b'x'; 220]]) },
    Bad {
        name: "huge file",
        code: 2,
        says: "has more than 1024 KiB",
        make: |world| {
            let blob = world.source.blob(vec![b'x'; 1024 * 1024 + 1]);
            world.source.sharing(&[(FILE, b"ci.yml", &blob)]);
            world
        },
    },
    Bad {
        name: "many large files",
        code: 2,
        says: "more than 32 MiB",
        make: |world| {
            let blob = world.source.blob(vec![b'x'; 1024 * 1024]);
            let names: Vec<String> = (100..133).map(|number| format!("{number}.yml")).collect();
            let entries: Vec<Entry<'_>> =
                names.iter().map(|name| (FILE, name.as_bytes(), blob.as_str())).collect();
            world.source.sharing(&entries);
            world
        },
    },
    Bad {
        name: "2,001 files",
        code: 2,
        says: "2001 files, more than 2000",
        make: |world| {
            let names: Vec<String> = (10_000..12_001).map(|number| format!("{number}.yml")).collect();
            files(world, &names.iter().map(String::as_bytes).collect::<Vec<_>>())
        },
    },
    Bad {
        name: "tree bomb",
        code: 2,
        says: "v1.0.0: more than 2000 files",
        make: |world| {
            let mut tree = world.source.tree(&[(FILE, b"x", &world.source.blob("x"))]);
            let names: Vec<String> = (0..10).map(|number| number.to_string()).collect();
            for _ in 0..12 {
                let entries: Vec<Entry<'_>> =
                    names.iter().map(|name| (FOLDER, name.as_bytes(), tree.as_str())).collect();
                tree = world.source.tree(&entries);
            }
            world.source.with_manifest("files = [\"workflows/\"]\n", &[(FOLDER, b"workflows", &tree)]);
            world
        },
    },
];
