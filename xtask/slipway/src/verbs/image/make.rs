//! From the sources to an image on the disk.

use std::path::{Path, PathBuf};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use xshell::cmd;

use crate::cargo::{Build, Built, Unit};
use crate::config::{Roots, TARGETS};
use crate::context::{Context, Repository};
use crate::failure::{Code, Failure};
use crate::image::{
    Certificates, Contents, Folders, Image, Inputs, Package, Service, Store, is_inside, mozilla,
    read_certificates, sbom,
};
use crate::output::{count, size};
use crate::process::{Kind, Launcher};
use crate::verbs::db::report_build;

/// How often a running build is looked at.
const POLL: Duration = Duration::from_millis(5);

/// An image that was made, and how.
pub struct Made {
    pub store: Store,
    pub image: Image,
    /// Whether any of its bytes were not on the disk before.
    pub changed: bool,
    pub contents: Contents,
    /// From the start of cargo to its end.
    build: Duration,
    /// What came after.
    pack: Duration,
}

/// The folder of cargo's artifacts and of the image, from the root.
pub const TARGET: &str = "target/image";

/// Makes the image with the artifacts of `target`, a folder below the root.
pub fn make(context: &Context, repository: &Repository, target: &str) -> Result<Made> {
    if !cfg!(target_os = "linux") {
        return Err(Failure::new(Code::Missing, "an image is built on Linux")
            .why("a static program of Linux needs its linker and its C library")
            .next("docker build -f docker/Dockerfile .      (the same files, in a builder image)")
            .into());
    }
    let root = &repository.workspace.root;
    // Before minutes of compiling.
    let certificates = certificates(repository)?;
    let launcher = context.launcher(root)?;
    let mut folders = folders(context, root, target)?;
    if folders.are_unknown() {
        // Their names are part of the flags.
        launcher.read(cmd!(launcher.shell, "cargo fetch --locked"), Kind::Cargo)?;
    }
    // What it leads to, if it is a link, has a name as well.
    std::fs::create_dir_all(&folders.target)
        .with_context(|| format!("cannot make {}", folders.target.display()))?;
    let names = folders.names();
    let (mut built, mut inputs) = compile(context, repository, &launcher, &folders)?;
    if folders.names() != names {
        // A registry that was not used before: what came from it has its folder's name inside.
        (built, inputs) = compile(context, repository, &launcher, &folders)?;
    }
    report_build(context, &built);
    let started = Instant::now();
    let triple = repository.config.image.target();
    let arch = TARGETS.iter().find(|(name, _)| *name == triple).map_or("", |(_, arch)| *arch);
    let binary =
        std::fs::read(&built.binary).with_context(|| format!("cannot read {}", built.binary.display()))?;
    let packages = packages(&built.units, &folders.target, triple, root);
    let name = repository.name();
    let own = packages.iter().find(|package| package.name == name);
    let version = &own.context("cargo does not say that the service is in its program")?.version;
    folders.elsewhere = elsewhere(&packages, &folders);
    let service = Service { name: name.to_owned(), version: version.to_owned(), target: triple.to_owned() };
    let store = Store::new(&folders.target, name);
    std::thread::scope(|scope| {
        // It reads a manifest a package.
        let bill = scope.spawn(|| bill(root, &service, &packages, &inputs));
        let contents = Contents::new((name, version), arch, binary, certificates, inputs.clone(), &folders)?;
        let (image, changed) = store.write(&contents, || joined(bill))?;
        Ok(Made { store, image, changed, contents, build: built.took, pack: started.elapsed() })
    })
}

/// What a thread gave; it panics as that did.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn folders(context: &Context, root: &Path, target: &str) -> Result<Folders> {
    let home = context.env.home().map(Path::to_path_buf);
    let cargo_home = context.env.var("CARGO_HOME").map(|folder| root.join(folder));
    let cargo_home = cargo_home.or_else(|| home.as_ref().map(|home| home.join(".cargo")));
    let cargo_home = cargo_home.ok_or_else(|| {
        Failure::new(Code::Usage, "neither HOME nor CARGO_HOME is set")
            .next("HOME=/root before the same command")
    })?;
    let target = root.join(target);
    Ok(Folders { root: root.to_path_buf(), cargo_home, home, target, elsewhere: Vec::new() })
}

/// Compiles the program, and asks the compilers meanwhile who they are. What is missing ends the compilation.
fn compile(
    context: &Context,
    repository: &Repository,
    launcher: &Launcher<'_>,
    folders: &Folders,
) -> Result<(Built, Inputs)> {
    let image = &repository.config.image;
    let wanted = image.rustc.as_ref().map(|rustc| rustc.get_ref().as_str());
    let rustc = context.env.var("RUSTC").unwrap_or("rustc");
    let cc = c_compiler(image.target(), |name| context.env.var(name));
    let programs = [rustc, &cc];
    std::thread::scope(|scope| {
        let inputs = scope.spawn(|| {
            let launcher = context.launcher(&repository.workspace.root)?;
            Inputs::look(&launcher, image.target(), programs, wanted)
        });
        let color = context.screen.color();
        let mut build = Build::start_with(launcher, repository.name(), color, Kind::Shipped, |command| {
            folders.shape(command, image.target())
        })?;
        while !inputs.is_finished() {
            if let Some(built) = build.poll(launcher)? {
                let inputs = joined(inputs)?;
                return Ok((built?, inputs));
            }
            std::thread::sleep(POLL);
        }
        match joined(inputs) {
            Ok(inputs) => Ok((build.finish(launcher)?, inputs)),
            Err(error) => {
                build.cancel()?;
                Err(error)
            }
        }
    })
}

/// The C compiler that the crate `cc`, which builds what is C in a program, takes for a target.
fn c_compiler<'a>(target: &str, var: impl Fn(&str) -> Option<&'a str>) -> String {
    let own = [format!("CC_{target}"), format!("CC_{}", target.replace('-', "_"))];
    let set = own.iter().map(String::as_str).chain(["TARGET_CC", "CC"]).find_map(var);
    let arch = target.split('-').next().unwrap_or_default();
    let native = (arch == "aarch64") == cfg!(target_arch = "aarch64");
    match set {
        Some(set) => set.to_owned(),
        None if native => "cc".to_owned(),
        None => format!("{arch}-linux-gnu-gcc"),
    }
}

/// The folders of packages that are neither in the repository nor fetched.
fn elsewhere(packages: &[Package], folders: &Folders) -> Vec<PathBuf> {
    let known = [&folders.root, &folders.cargo_home];
    let outside =
        packages.iter().filter(|package| !known.iter().any(|known| package.manifest.starts_with(known)));
    outside.filter_map(|package| package.manifest.parent()).map(Path::to_path_buf).collect()
}

/// Whom the image trusts.
fn certificates(repository: &Repository) -> Result<Certificates> {
    let image = &repository.config.image;
    let mut found = if image.roots() == Roots::Mozilla { mozilla() } else { Certificates::new() };
    if let Some(file) = &image.ca_file {
        let root = &repository.workspace.root;
        let wrong = |why: String| image.wrong_ca_file(root, &why);
        let text = std::fs::read_to_string(root.join(file.get_ref()))
            .map_err(|error| wrong(error.to_string()).next("ca-file names a PEM file, from the root"))?;
        let read = read_certificates(&text).map_err(|error| match error.downcast::<Failure>() {
            Ok(failure) => Failure { what: wrong(failure.what).what, ..failure },
            Err(error) => wrong(error.to_string()).next("download it again: it is cut, or no PEM file"),
        })?;
        found.extend(read);
    }
    Ok(found)
}

/// The packages that are in the program, of what cargo has built.
fn packages(units: &[Unit], target_dir: &Path, triple: &str, root: &Path) -> Vec<Package> {
    let inside = units.iter().filter(|unit| is_inside(&unit.files, target_dir, triple));
    let named = inside.filter_map(|unit| {
        let (name, version) = name_and_version(&unit.id)?;
        let workspace = unit.manifest.starts_with(root);
        Some(Package { name, version, manifest: unit.manifest.clone(), workspace })
    });
    named.collect()
}

/// Of cargo's `registry+https://…#serde@1.0.0` and `path+file:///srv/links#0.1.0`.
fn name_and_version(id: &str) -> Option<(String, String)> {
    let (source, fragment) = id.rsplit_once('#')?;
    match fragment.rsplit_once('@') {
        Some((name, version)) => Some((name.to_owned(), version.to_owned())),
        // A package that is called as its folder is.
        None => Some((source.rsplit('/').next()?.to_owned(), fragment.to_owned())),
    }
}

/// The bill of materials.
fn bill(root: &Path, service: &Service, packages: &[Package], inputs: &Inputs) -> Result<Vec<u8>> {
    let lock = root.join("Cargo.lock");
    let lock = std::fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let first = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
    // "glibc 2.36 (libc.a …)"
    let libc = inputs.libc.split_once(' ').unwrap_or((&inputs.libc, ""));
    let libc = (libc.0.to_owned(), first(libc.1));
    sbom(service, packages, &lock, &[("rust-std".to_owned(), first(&inputs.rustc)), libc])
}

impl Made {
    /// Says what was made.
    pub fn show(&self, context: &Context, repository: &Repository) {
        let Made { image, changed, .. } = self;
        let unpacked = self.contents.binary.len() as u64;
        let fact = match changed {
            true => format!("{}, the program alone is {} unpacked", size(image.size), size(unpacked)),
            false => format!("{}, unchanged", size(image.size)),
        };
        context.screen.done("image", &fact, Some(self.pack));
        context.screen.done("digest", &image.digest, None);
        let archive = repository.workspace.relative(&self.store.archive).display().to_string();
        let layers = count(image.layers.len(), "layer");
        context.screen.done(
            "archive",
            &format!("{archive}   {layers}, linux/{}, user {}", self.contents.arch, image.user),
            None,
        );
    }

    /// For programs.
    pub fn json(&self, repository: &Repository) -> Value {
        let relative = |path: &Path| repository.workspace.relative(path).display().to_string();
        let Made { image, store, .. } = self;
        let layers = image.layers.iter();
        let layers = layers
            .map(|layer| json!({ "digest": layer.digest, "size": layer.size, "diffId": layer.diff_id }));
        json!({
            "name": self.contents.name, "version": self.contents.version,
            "digest": image.digest, "id": image.id, "platform": image.platform, "changed": self.changed,
            "size": image.size, "binary": self.contents.binary.len(), "layers": layers.collect::<Vec<_>>(),
            "layout": relative(&store.layout), "archive": relative(&store.archive), "sbom": relative(&store.sbom),
            "seconds": { "build": self.build.as_secs_f64(), "pack": self.pack.as_secs_f64() },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_compiler_is_the_one_that_crates_take() {
        let native = if cfg!(target_arch = "aarch64") { "aarch64" } else { "x86_64" };
        let other = if native == "aarch64" { "x86_64" } else { "aarch64" };
        let cc = |arch: &str, set: &str| {
            c_compiler(&format!("{arch}-unknown-linux-gnu"), |name| (name == set).then_some("gcc-12"))
        };
        assert_eq!(cc(native, ""), "cc");
        assert_eq!(cc(other, ""), format!("{other}-linux-gnu-gcc"));
        assert_eq!(cc(native, "CC"), "gcc-12");
        assert_eq!(cc(other, &format!("CC_{other}_unknown_linux_gnu")), "gcc-12");
    }

    #[test]
    fn cargos_names_of_packages_are_read() {
        for (id, name, version) in [
            ("registry+https://example.com/index#serde@1.0.228", "serde", "1.0.228"),
            ("path+file:///srv/links/app#links@0.1.0", "links", "0.1.0"),
            ("path+file:///srv/tiny#0.1.0", "tiny", "0.1.0"),
        ] {
            assert_eq!(name_and_version(id), Some((name.to_owned(), version.to_owned())), "{id}");
        }
    }
}
