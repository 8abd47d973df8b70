//! What a source can try: the names and kinds of its files, its manifest, its tags and branches.

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

fn manifest(world: World, text: &str) -> World {
    world.source.good(text);
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

pub const MANIFESTS: &[Bad] = &[
    Bad {
        name: "templates.toml is a link",
        code: 2,
        says: "templates.toml",
        make: |world| {
            let to = world.source.blob("../victim/secret.txt");
            world.source.release("v1.0.0", &world.source.tree(&[(LINK, b"templates.toml", &to)]));
            world
        },
    },
    Bad {
        name: "templates.toml is a link that reads as one",
        code: 2,
        says: "templates.toml",
        make: |world| {
            let to = world.source.blob("files = [\"ci.yml\"]");
            let file = world.source.blob("on: push\n");
            let tree = world.source.tree(&[(FILE, b"ci.yml", &file), (LINK, b"templates.toml", &to)]);
            world.source.release("v1.0.0", &tree);
            world
        },
    },
    Bad {
        name: "templates.toml is a folder",
        code: 2,
        says: "has no templates.toml",
        make: |world| {
            let below = world.source.tree(&[(FILE, b"x", &world.source.blob("x"))]);
            world.source.release("v1.0.0", &world.source.tree(&[(FOLDER, b"templates.toml", &below)]));
            world
        },
    },
    Bad {
        name: "no templates.toml",
        code: 2,
        says: "has no templates.toml",
        make: |world| {
            world.source.release("v1.0.0", &world.source.tree(&[(FILE, b"x", &world.source.blob("x"))]));
            world
        },
    },
    Bad {
        name: "not TOML",
        code: 2,
        says: "templates.toml:1: ",
        make: |world| manifest(world, "\u{1b}[2J<html>\n"),
    },
    Bad {
        name: "not UTF-8",
        code: 2,
        says: "templates.toml is not UTF-8",
        make: |world| {
            world.source.good(b"files = [\"\xff\x1b\"]\n");
            world
        },
    },
    Bad {
        name: "huge templates.toml",
        code: 2,
        says: "templates.toml has more than 256 KiB",
        make: |world| manifest(world, &format!("files = [\"workflows/\"]\n# {}\n", "x".repeat(1024 * 1024))),
    },
    Bad {
        name: "deep TOML",
        code: 2,
        says: "templates.toml:1: ",
        make: |world| manifest(world, &format!("files = {}\n", "[".repeat(100_000))),
    },
    Bad {
        name: "unknown key",
        code: 2,
        says: "unknown field `a?[2Jb`",
        make: |world| manifest(world, "files = [\"workflows/\"]\n\"a\\u001b[2Jb\" = 1\n"),
    },
    Bad {
        name: "nothing shared",
        code: 2,
        says: "`files` names nothing",
        make: |world| manifest(world, "files = []\n"),
    },
    Bad {
        name: "what is not there",
        code: 2,
        says: "`gone.yml`, which is not there",
        make: |world| manifest(world, "files = [\"workflows/\", \"gone.yml\"]\n"),
    },
    Bad {
        name: "lists outside",
        code: 2,
        says: "leads somewhere else",
        make: |world| manifest(world, "files = [\"../victim.txt\"]\n"),
    },
    Bad {
        name: "lists an absolute path",
        code: 2,
        says: "is absolute",
        make: |world| manifest(world, "files = [\"/etc/passwd\"]\n"),
    },
    Bad {
        name: "lists magic",
        code: 2,
        says: "not let in",
        make: |world| manifest(world, "files = [\":(glob)**\"]\n"),
    },
    Bad {
        name: "lists the lock",
        code: 2,
        says: "is the lock itself",
        make: |world| manifest(world, "files = [\"Sync-Actions.lock\"]\n"),
    },
    Bad {
        name: "renames outside",
        code: 2,
        says: "`renames` ",
        make: |world| {
            manifest(
                world,
                "files = [\"workflows/\"]\n[renames]\n\"../../victim.txt\" = \"workflows/ci.yml\"\n",
            )
        },
    },
    Bad {
        name: "renames to outside",
        code: 2,
        says: "`renames` ",
        make: |world| manifest(world, "files = [\"workflows/\"]\n[renames]\n\"a\" = \"/etc/x\"\n"),
    },
    Bad {
        name: "a day with escapes",
        code: 2,
        says: "is no day",
        make: |world| {
            manifest(
                world,
                "files = [\"workflows/\"]\nminimum = { version = \"1.0.0\", warn = \"\\u001b[2J\", fail = \"x\" }\n",
            )
        },
    },
    Bad {
        name: "a newer tool",
        code: 5,
        says: "requires slipway >=99",
        make: |world| manifest(world, "requires = \">=99\"\nfiles = [\"workflows/\"]\nnew = 1\n"),
    },
];

pub const REFS: &[Bad] = &[
    Bad { name: "no version", code: 2, says: "has no version", make: |world| world },
    Bad {
        name: "all withdrawn",
        code: 2,
        says: "that is not withdrawn",
        make: |world| {
            manifest(world, "files = [\"workflows/\"]\n[versions.\"1.0.0\"]\nwithdrawn = \"a\\u001b[2Jb\"\n")
        },
    },
    Bad {
        name: "the tag is withdrawn",
        code: 1,
        says: "was withdrawn",
        make: |mut world| {
            world.actions += "tag = \"v1.0.0\"\n";
            manifest(world, "files = [\"workflows/\"]\n[versions.\"1.0.0\"]\nwithdrawn = \"a\\u001b[2Jb\"\n")
        },
    },
    Bad {
        name: "tag and branch of one name",
        code: 1,
        says: "v1.0.0 is a tag and a branch",
        make: |world| {
            let world = manifest(world, "files = [\"workflows/\"]\n");
            world.source.point("refs/heads/v1.0.0", "refs/tags/v1.0.0");
            world
        },
    },
    Bad {
        name: "a tag of a file",
        code: 2,
        says: "has no templates.toml",
        make: |world| {
            world.source.point("refs/tags/v1.0.0", &world.source.blob("files = [\"x\"]"));
            world
        },
    },
    Bad {
        name: "a moved tag",
        code: 1,
        says: "the tag v1.0.0 was moved",
        make: |world| {
            let world = manifest(world, "files = [\"workflows/\"]\n");
            world.run("sync-actions").code(0);
            manifest(world, "files = [\"workflows/\"]\n# other\n")
        },
    },
    Bad {
        name: "a moved tag beside a newer one",
        code: 1,
        says: "the tag v1.0.0 was moved",
        make: |world| {
            let world = manifest(world, "files = [\"workflows/\"]\n");
            world.run("sync-actions").code(0);
            world.source.point("refs/tags/v2.0.0", "refs/tags/v1.0.0");
            manifest(world, "files = [\"workflows/\"]\n# other\n")
        },
    },
    Bad {
        name: "a rewritten branch",
        code: 1,
        says: "the history of the branch was rewritten",
        make: |mut world| {
            world.actions += "branch = \"main\"\n";
            let world = manifest(world, "files = [\"workflows/\"]\n");
            world.source.point("refs/heads/main", "refs/tags/v1.0.0");
            world.run("sync-actions").code(0);
            let world = manifest(world, "files = [\"workflows/\"]\n# other\n");
            world.source.point("refs/heads/main", "refs/tags/v1.0.0");
            world
        },
    },
    Bad {
        name: "a near name with escapes",
        code: 2,
        says: "has no tag v1.0.0-xyz",
        make: |mut world| {
            world.actions += "tag = \"v1.0.0-xyz\"\n";
            let world = manifest(world, "files = [\"workflows/\"]\n");
            world.source.point("refs/tags/v1.0.0-xyz\u{9b}", "refs/tags/v1.0.0");
            world
        },
    },
    Bad {
        name: "a commit that is not there",
        code: 7,
        says: "cannot be reached",
        make: |mut world| {
            world.actions += &format!("rev = \"{}\"\n", "ab".repeat(20));
            manifest(world, "files = [\"workflows/\"]\n")
        },
    },
];
