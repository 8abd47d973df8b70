//! What a source can try with its manifest, its tags and branches.

use super::super::crafted::{FILE, FOLDER, LINK};
use super::{Bad, World};

fn manifest(world: World, text: &str) -> World {
    world.source.good(text);
    world
}

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
