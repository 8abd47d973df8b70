//! An image on the disk: an OCI layout, and one archive of it that every loader takes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;
use tar::{Builder, EntryType};

use super::gzip::gzip;
use super::layer::{Layer, Listed, append, list, unpack};
use super::oci::{self, Descriptor};
use super::{Contents, Inputs, USER, digest};
use crate::failure::{Code, Failure};
use crate::files::{self, Lock};

/// The tag in the layout and the archive. Registries get one of their own.
const TAG: &str = "latest";

/// Where an image is kept.
pub struct Store {
    /// The OCI layout.
    pub layout: PathBuf,
    /// The same as one file, for docker, podman, containerd and skopeo.
    pub archive: PathBuf,
    /// Its bill of materials.
    pub sbom: PathBuf,
}

/// An image that was read.
pub struct Image {
    /// The digest of its manifest: what a registry knows it by.
    pub digest: String,
    /// The digest of its configuration: what docker knows it by.
    pub id: String,
    /// `linux/amd64`.
    pub platform: String,
    /// The user and group that it runs as.
    pub user: String,
    /// Its program and the arguments that it has by default.
    pub command: Vec<String>,
    /// What decided the program's bytes.
    pub inputs: Option<Inputs>,
    /// Its layers.
    pub layers: Vec<Part>,
    /// Bytes of all its blobs: what is pulled.
    pub size: u64,
    blobs: Vec<(Descriptor, Vec<u8>)>,
}

/// A layer of an image.
#[derive(Clone, Debug)]
pub struct Part {
    /// The digest of the compressed blob.
    pub digest: String,
    /// Its bytes.
    pub size: u64,
    /// The digest of what is in it.
    pub diff_id: String,
}

/// What `docker load` reads; older ones read nothing else.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Legacy {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

impl Store {
    /// The store of the service `name` below a folder of artifacts.
    pub fn new(target: &Path, name: &str) -> Self {
        let [archive, sbom] = ["tar", "cdx.json"].map(|suffix| target.join(format!("{name}.{suffix}")));
        Store { layout: target.join("oci"), archive, sbom }
    }

    /// Writes the image of `contents` and its bill, unless they are there already. Gives whether the image was not.
    /// The bill is asked for last.
    ///
    /// A layer is compressed once: one that the last image had is taken from there. A run that is cut off leaves the
    /// last image whole: the index comes after all that it names.
    pub fn write(
        &self,
        contents: &Contents,
        sbom: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<(Image, bool)> {
        let folder = self.layout.join("blobs/sha256");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let _lock = Lock::exclusive(&self.lock())?;
        // What a killed run has left; who writes there holds the lock.
        self.layout.ancestors().take(2).for_each(files::sweep);
        // One that is broken is written anew.
        let old = self.parse().ok().flatten();
        let mut blobs = Vec::new();
        let layers = contents.layers()?;
        for Layer { tar, diff_id } in &layers {
            let kept = old.as_ref().and_then(|old| old.blob_of(diff_id));
            let blob = kept.map_or_else(|| gzip(tar), |blob| Ok(blob.to_vec()))?;
            blobs.push((Descriptor::of(oci::LAYER, &blob), blob));
        }
        let config =
            oci::bytes(&config(contents, layers.iter().map(|layer| layer.diff_id.clone()).collect()))?;
        let manifest = oci::bytes(&oci::Manifest {
            schema_version: 2,
            media_type: oci::MANIFEST.to_owned(),
            config: Descriptor::of(oci::CONFIG, &config),
            layers: blobs.iter().map(|(layer, _)| layer.clone()).collect(),
        })?;
        blobs.push((Descriptor::of(oci::CONFIG, &config), config));
        blobs.push((Descriptor::of(oci::MANIFEST, &manifest), manifest));

        let mut changed = false;
        let mut put = |path: PathBuf, bytes: &[u8]| {
            if !fs::read(&path).is_ok_and(|found| found == bytes) {
                changed = true;
                files::write_atomic(&path, bytes)?;
            }
            anyhow::Ok(())
        };
        for (blob, bytes) in &blobs {
            put(self.layout.join(blob_path(&blob.digest)), bytes)?;
        }
        let documents = documents(contents, &blobs)?;
        for (name, bytes) in documents.iter().filter(|(name, _)| *name != "manifest.json") {
            put(self.layout.join(name), bytes)?;
        }
        put(self.archive.clone(), &archive(&documents, &blobs)?)?;
        let sbom = sbom()?;
        if !fs::read(&self.sbom).is_ok_and(|found| found == sbom) {
            files::write_atomic(&self.sbom, &sbom)?;
        }
        let wanted = blobs.iter().map(|(blob, _)| blob.digest.replacen("sha256:", "", 1)).collect();
        sweep(&folder, &wanted).with_context(|| format!("cannot tidy {}", folder.display()))?;
        let image = match old {
            Some(old) if !changed => old,
            _ => self.parse()?.context("the image that was just written is gone")?,
        };
        Ok((image, changed))
    }

    fn lock(&self) -> PathBuf {
        self.layout.with_extension("lock")
    }

    /// Keeps the image as it is for as long as the lock lives: a build beside waits.
    ///
    /// # Errors
    /// A build has replaced it already.
    pub fn hold(&self, image: &Image) -> Result<Lock> {
        let lock = Lock::shared(&self.lock())?;
        match self.parse()? {
            Some(found) if found.digest == image.digest => Ok(lock),
            _ => Err(Failure::new(Code::Failed, "another build has replaced the image meanwhile")
                .next("the same command again")
                .into()),
        }
    }

    /// The image that is there, if one is.
    ///
    /// # Errors
    /// It cannot be read, or a blob is not what its digest says.
    pub fn read(&self) -> Result<Option<Image>> {
        // Not while a build replaces it.
        let _lock = self.lock().is_file().then(|| Lock::shared(&self.lock())).transpose()?;
        self.parse()
    }

    fn parse(&self) -> Result<Option<Image>> {
        let index = match fs::read(self.layout.join("index.json")) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context("cannot read the image's index"),
        };
        let broken = |error: serde_json::Error| self.broken(&error.to_string());
        let index: oci::Index = serde_json::from_slice(&index).map_err(broken)?;
        let first = index.manifests.into_iter().next().ok_or_else(|| self.broken("it names no image"))?;
        let manifest_bytes = self.blob(&first)?;
        let manifest: oci::Manifest = serde_json::from_slice(&manifest_bytes).map_err(broken)?;
        let config_bytes = self.blob(&manifest.config)?;
        let config: oci::Config = serde_json::from_slice(&config_bytes).map_err(broken)?;
        let (digest, id) = (first.digest.clone(), manifest.config.digest.clone());
        let mut blobs = Vec::new();
        for layer in &manifest.layers {
            blobs.push((layer.clone(), self.blob(layer)?));
        }
        let parts = manifest.layers.iter().zip(&config.rootfs.diff_ids);
        let layers = parts
            .map(|(blob, diff_id)| Part {
                digest: blob.digest.clone(),
                size: blob.size,
                diff_id: diff_id.clone(),
            })
            .collect();
        blobs.extend([(manifest.config, config_bytes), (first, manifest_bytes)]);
        let run = config.config;
        Ok(Some(Image {
            digest,
            id,
            platform: format!("{}/{}", config.os, config.architecture),
            user: run.user,
            command: [run.entrypoint, run.cmd].concat(),
            inputs: Inputs::of_labels(&run.labels),
            layers,
            size: blobs.iter().map(|(blob, _)| blob.size).sum(),
            blobs,
        }))
    }

    fn blob(&self, wanted: &Descriptor) -> Result<Vec<u8>> {
        let bytes = fs::read(self.layout.join(blob_path(&wanted.digest)));
        let bytes = bytes.map_err(|error| self.broken(&format!("{}: {error}", wanted.digest)))?;
        match digest(&bytes) == wanted.digest && bytes.len() as u64 == wanted.size {
            true => Ok(bytes),
            false => Err(self.broken(&format!("{} is not what its name says", wanted.digest)).into()),
        }
    }

    fn broken(&self, why: &str) -> Failure {
        Failure::new(Code::Failed, format!("the image in {} is broken", self.layout.display()))
            .why(why)
            .next("cargo xtask image build")
    }
}

impl Image {
    /// The compressed layer that has this inside.
    fn blob_of(&self, diff_id: &str) -> Option<&[u8]> {
        let layer = self.layers.iter().find(|layer| layer.diff_id == diff_id)?;
        self.blobs.iter().find(|(blob, _)| blob.digest == layer.digest).map(|(_, bytes)| bytes.as_slice())
    }

    /// What each layer holds, not compressed, in their order.
    fn tars(&self) -> Result<Vec<Vec<u8>>> {
        self.layers.iter().map(|layer| unpack(self.blob_of(&layer.diff_id).unwrap_or_default())).collect()
    }

    /// The files of each layer.
    pub fn files(&self) -> Result<Vec<Vec<Listed>>> {
        self.tars()?.iter().map(|tar| list(tar)).collect()
    }

    /// All its bytes with nothing compressed, for a search, each part with its name.
    pub fn parts(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let tars =
            self.tars()?.into_iter().enumerate().map(|(index, tar)| (format!("layer {}", index + 1), tar));
        let documents = self.blobs.iter().filter(|(blob, _)| blob.media_type != oci::LAYER);
        let documents = documents.map(|(blob, bytes)| {
            let name = if blob.media_type == oci::CONFIG { "configuration" } else { "manifest" };
            (name.to_owned(), bytes.clone())
        });
        Ok(tars.chain(documents).collect())
    }
}

fn config(contents: &Contents, diff_ids: Vec<String>) -> oci::Config {
    let Contents { name, version, arch, inputs, .. } = contents;
    let mut labels = inputs.labels();
    labels.insert("org.opencontainers.image.title".to_owned(), name.clone());
    labels.insert("org.opencontainers.image.version".to_owned(), version.clone());
    oci::Config {
        created: oci::CREATED.to_owned(),
        architecture: arch.clone(),
        os: "linux".to_owned(),
        config: oci::Run {
            user: format!("{USER}:{USER}"),
            entrypoint: vec![format!("/{name}")],
            cmd: vec!["serve".to_owned()],
            working_dir: "/".to_owned(),
            stop_signal: "SIGTERM".to_owned(),
            labels,
        },
        rootfs: oci::Rootfs { kind: "layers".to_owned(), diff_ids },
    }
}

/// The documents that lead to the blobs: those of a layout, and docker's own.
fn documents(contents: &Contents, blobs: &[(Descriptor, Vec<u8>)]) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let Contents { name, arch, .. } = contents;
    let of = |media_type: &'static str| {
        blobs.iter().map(|(blob, _)| blob).filter(move |blob| blob.media_type == media_type)
    };
    let mut manifest = of(oci::MANIFEST).next().context("no manifest")?.clone();
    manifest.platform = Some(oci::Platform { architecture: arch.clone(), os: "linux".to_owned() });
    manifest.annotations = BTreeMap::from([
        ("io.containerd.image.name".to_owned(), format!("docker.io/library/{name}:{TAG}")),
        ("org.opencontainers.image.ref.name".to_owned(), TAG.to_owned()),
    ]);
    let index =
        oci::Index { schema_version: 2, media_type: oci::INDEX.to_owned(), manifests: vec![manifest] };
    let config = of(oci::CONFIG).next().context("no configuration")?;
    let legacy = Legacy {
        config: blob_path(&config.digest),
        repo_tags: vec![format!("{name}:{TAG}")],
        layers: of(oci::LAYER).map(|layer| blob_path(&layer.digest)).collect(),
    };
    Ok(vec![
        ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("manifest.json", oci::bytes(&[legacy])?),
        ("index.json", oci::bytes(&index)?),
    ])
}

/// One tar that is an OCI layout and what `docker save` writes.
fn archive(documents: &[(&str, Vec<u8>)], blobs: &[(Descriptor, Vec<u8>)]) -> Result<Vec<u8>> {
    let paths = blobs.iter().map(|(blob, bytes)| (blob_path(&blob.digest), bytes));
    let named = documents.iter().map(|(name, bytes)| ((*name).to_owned(), bytes));
    let files: BTreeMap<String, &Vec<u8>> = paths.chain(named).collect();
    let mut tar = Builder::new(Vec::new());
    for (path, bytes) in files {
        append(&mut tar, &path, EntryType::Regular, 0o644, bytes)?;
    }
    tar.into_inner().context("cannot end the archive")
}

/// Removes the blobs of older images, and what a killed run has left.
fn sweep(folder: &Path, wanted: &BTreeSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(|name| wanted.contains(name)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
