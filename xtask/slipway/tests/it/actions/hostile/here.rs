//! What a configuration, a lock or the repository that pulls can have.

use std::os::unix::fs::symlink;
use std::process::Command;

use super::{Bad, World};

/// A good source, and this table instead of the usual one.
fn asks(world: World, actions: &str) -> World {
    world.source.good("files = [\"workflows/\"]\n");
    World { actions: actions.to_owned(), ..world }
}

/// A good source, and something in the way of it, done from the root.
fn in_the_way(world: World, act: fn(&std::path::Path)) -> World {
    world.source.good("files = [\"workflows/\"]\n");
    act(&world.case.root());
    world
}

/// Pulled, then with one more line in the lock.
fn locked(world: World, line: &str) -> World {
    world.source.good("files = [\"workflows/\"]\n");
    world.run("sync-actions").code(0);
    let lock = world.case.root().join(".github/sync-actions.lock");
    let text = std::fs::read_to_string(&lock).unwrap();
    std::fs::write(lock, format!("{text}{line}\n")).unwrap();
    world
}

/// A source that is a folder of the repository, with this manifest.
fn own_folder(world: World, manifest: &str, act: fn(&std::path::Path)) -> World {
    std::fs::create_dir_all(world.case.root().join("shared/workflows")).unwrap();
    std::fs::write(world.case.root().join("shared/templates.toml"), manifest).unwrap();
    std::fs::write(world.case.root().join("shared/workflows/ci.yml"), "on: push\n").unwrap();
    act(&world.case.root());
    World { actions: "source = \"shared\"\n".to_owned(), ..world }
}

/// With a journal of an update that was cut off, as a commit could have put it there.
fn journal(world: World, path: &str) -> World {
    world.source.good("files = [\"workflows/\"]\n");
    let folder = world.case.root().join(".xtask/actions");
    std::fs::create_dir_all(&folder).unwrap();
    let change =
        |path: &str| format!("{{\"path\":\"{path}\",\"length\":4,\"executable\":true,\"was\":null}}");
    let text = format!("[{},{}]\nbad\nbad\n", change(".github/workflows/bad.yml"), change(path));
    std::fs::write(folder.join("journal"), text).unwrap();
    world
}

const ENTRY: &str = "{ blob = \"x\", mode = \"644\", sha256 = \"x\" }";

pub const ALL: &[Bad] = &[
    Bad {
        name: "option-like url",
        code: 2,
        says: "is no address",
        make: |world| asks(world, "source = \"--upload-pack=touch PWN\"\n"),
    },
    Bad {
        name: "option-like host",
        code: 2,
        says: "is not an address",
        make: |world| asks(world, "source = \"ssh://-oProxyCommand=touch/x\"\n"),
    },
    Bad {
        name: "option-like tag",
        code: 2,
        says: "cannot name a tag",
        make: |world| {
            let actions = format!("{}tag = \"--upload-pack=touch PWN\"\n", world.actions);
            asks(world, &actions)
        },
    },
    Bad {
        name: "a refspec for a branch",
        code: 2,
        says: "cannot name a tag",
        make: |world| {
            let actions = format!("{}branch = \"main:refs/heads/x\"\n", world.actions);
            asks(world, &actions)
        },
    },
    Bad {
        name: "ext::",
        code: 2,
        says: "is no",
        make: |world| asks(world, "source = \"ext::sh -c touch% PWN\"\n"),
    },
    Bad {
        name: "ext:: without spaces",
        code: 2,
        says: "is not an address",
        make: |world| asks(world, "source = \"ext::sh%20-c\"\n"),
    },
    Bad {
        name: "http elsewhere",
        code: 2,
        says: "unencrypted",
        make: |world| asks(world, "source = \"http://example.org/a/b\"\n"),
    },
    Bad {
        name: "a host that only looks like loopback",
        code: 2,
        says: "unencrypted",
        make: |world| asks(world, "source = \"http://127.0.0.1.example.org/a/b\"\n"),
    },
    Bad {
        name: "a password in the url",
        code: 2,
        says: "https://***@github.com",
        make: |world| asks(world, "source = \"https://u:TOP-SECRET@github.com/a/b\"\n"),
    },
    Bad {
        name: "subdir outside",
        code: 2,
        says: "is no folder in a repository",
        make: |world| {
            let actions = format!("{}subdir = \"../x\"\n", world.actions);
            asks(world, &actions)
        },
    },
    Bad {
        name: "subdir with escapes",
        code: 2,
        says: "is no folder in a repository",
        make: |world| {
            let actions = format!("{}subdir = \"a\\u001b[2Jb\"\n", world.actions);
            asks(world, &actions)
        },
    },
    Bad {
        name: "a range with escapes",
        code: 2,
        says: "is no range",
        make: |world| {
            let actions = format!("{}version = \"a\\u001b[2Jb\"\n", world.actions);
            asks(world, &actions)
        },
    },
    Bad {
        name: "a folder outside",
        code: 2,
        says: "is no folder below the root",
        make: |world| asks(world, "source = \"../victim\"\n"),
    },
    Bad {
        name: "unreachable",
        code: 7,
        says: "cannot be reached",
        make: |world| asks(world, "source = \"http://127.0.0.1:9/a/b\"\n"),
    },
    Bad {
        name: "not a repository",
        code: 7,
        says: "cannot be reached",
        make: |world| {
            let actions = format!("source = \"file://{}/victim\"\n", world.case.folder().display());
            asks(world, &actions)
        },
    },
    Bad {
        name: ".github is a link",
        code: 1,
        says: ".github is a symbolic link",
        make: |world| {
            in_the_way(world, |root| {
                std::fs::remove_dir_all(root.join(".github")).unwrap();
                symlink("../victim", root.join(".github")).unwrap();
            })
        },
    },
    Bad {
        name: ".github/workflows is a link",
        code: 1,
        says: ".github/workflows is a symbolic link",
        make: |world| {
            in_the_way(world, |root| symlink("../../victim", root.join(".github/workflows")).unwrap())
        },
    },
    Bad {
        name: "the file is a link",
        code: 1,
        says: ".github/workflows/ci.yml is a symbolic link",
        make: |world| {
            in_the_way(world, |root| {
                std::fs::create_dir(root.join(".github/workflows")).unwrap();
                symlink("../../../victim.txt", root.join(".github/workflows/ci.yml")).unwrap();
            })
        },
    },
    Bad {
        name: "the file is a dangling link",
        code: 1,
        says: "is a symbolic link",
        make: |world| {
            in_the_way(world, |root| {
                std::fs::create_dir(root.join(".github/workflows")).unwrap();
                symlink("../../../victim/new", root.join(".github/workflows/ci.yml")).unwrap();
            })
        },
    },
    Bad {
        name: "the file is a FIFO",
        code: 1,
        says: "ci.yml is no file",
        make: |world| {
            in_the_way(world, |root| {
                std::fs::create_dir(root.join(".github/workflows")).unwrap();
                let path = root.join(".github/workflows/ci.yml");
                assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
            })
        },
    },
    Bad {
        name: "the file is a folder",
        code: 1,
        says: "ci.yml is no file",
        make: |world| {
            in_the_way(world, |root| std::fs::create_dir_all(root.join(".github/workflows/ci.yml")).unwrap())
        },
    },
    Bad {
        name: "the folder is a file",
        code: 1,
        says: ".github/workflows is a file, and .github/workflows/ci.yml is to be below it",
        make: |world| in_the_way(world, |root| std::fs::write(root.join(".github/workflows"), "x").unwrap()),
    },
    Bad {
        name: ".xtask is a link",
        code: 1,
        says: ".xtask is not a folder of ours",
        make: |world| {
            in_the_way(world, |root| {
                let _ = std::fs::remove_dir_all(root.join(".xtask"));
                symlink("../victim", root.join(".xtask")).unwrap();
            })
        },
    },
    Bad {
        name: "xtask is a link, and the tool changes",
        code: 1,
        says: "xtask is a symbolic link",
        make: |world| {
            world.source.good("files = [\"workflows/\"]\ntool = \"99.0.0\"\n");
            let cargo = "[dependencies]\nslipway = \"0.0.1\"\n";
            std::fs::write(world.case.folder().join("victim/Cargo.toml"), cargo).unwrap();
            symlink("../victim", world.case.root().join("xtask")).unwrap();
            world
        },
    },
    Bad {
        name: "a journal of somebody else",
        code: 1,
        says: "../victim.txt",
        make: |world| {
            let folder = world.case.root().join(".xtask/actions");
            std::fs::create_dir_all(&folder).unwrap();
            let change = "[{\"path\":\"../victim.txt\",\"length\":3,\"executable\":false,\"was\":null}]\nPWN";
            std::fs::write(folder.join("journal"), change).unwrap();
            in_the_way(world, |_| ())
        },
    },
    Bad {
        name: "a journal through a link",
        code: 1,
        says: ".github/workflows",
        make: |world| {
            let folder = world.case.root().join(".xtask/actions");
            std::fs::create_dir_all(&folder).unwrap();
            let path = ".github/workflows/secret.txt";
            let change =
                format!("[{{\"path\":\"{path}\",\"length\":3,\"executable\":false,\"was\":null}}]\nPWN");
            std::fs::write(folder.join("journal"), change).unwrap();
            in_the_way(world, |root| symlink("../../victim", root.join(".github/workflows")).unwrap())
        },
    },
    Bad {
        name: "a lock that leads outside",
        code: 2,
        says: "sync-actions.lock:",
        make: |world| locked(world, &format!("\"../x\" = {ENTRY}")),
    },
    Bad {
        name: "a lock that leads outside from .github",
        code: 2,
        says: "sync-actions.lock:",
        make: |world| locked(world, &format!("\".github/../../victim.txt\" = {ENTRY}")),
    },
    Bad {
        name: "a lock with marks",
        code: 4,
        says: "a merge of branches left its marks",
        make: |world| locked(world, "<<<<<<< ours\n=======\n>>>>>>> theirs"),
    },
    Bad {
        name: "a journal into the hooks",
        code: 1,
        says: ".xtask/actions/journal is not followed",
        make: |world| journal(world, ".git/hooks/post-checkout"),
    },
    Bad {
        name: "a journal into a repository below",
        code: 1,
        says: ".xtask/actions/journal is not followed",
        make: |world| journal(world, ".github/.GIT/hooks/post-checkout"),
    },
    Bad {
        name: "a journal that leads outside",
        code: 1,
        says: ".xtask/actions/journal is not followed",
        make: |world| journal(world, "../victim.txt"),
    },
    Bad {
        name: "a journal about the tool",
        code: 1,
        says: ".xtask/actions/journal is not followed",
        make: |world| journal(world, "xtask/src/main.rs"),
    },
    Bad {
        name: "a folder source with a link",
        code: 2,
        says: "is a symbolic link",
        make: |world| {
            own_folder(world, "files = [\"workflows/\"]\n", |root| {
                symlink("../../../victim/secret.txt", root.join("shared/workflows/leak.yml")).unwrap();
            })
        },
    },
    Bad {
        name: "a folder source through a link",
        code: 2,
        says: "shared/linked is a symbolic link",
        make: |world| {
            own_folder(world, "files = [\"linked/secret.txt\"]\n", |root| {
                symlink("../../victim", root.join("shared/linked")).unwrap();
            })
        },
    },
    Bad {
        name: "a folder source whose manifest is a link",
        code: 2,
        says: "templates.toml",
        make: |world| {
            own_folder(world, "", |root| {
                std::fs::remove_file(root.join("shared/templates.toml")).unwrap();
                symlink("../../victim/secret.txt", root.join("shared/templates.toml")).unwrap();
            })
        },
    },
    Bad {
        name: "a folder source that is a link",
        code: 2,
        says: "shared is a symbolic link",
        make: |world| {
            own_folder(world, "files = [\"workflows/\"]\n", |root| {
                std::fs::rename(root.join("shared"), root.join("../victim/shared")).unwrap();
                symlink("../victim/shared", root.join("shared")).unwrap();
            })
        },
    },
];
