//! What an image was made of, as a CycloneDX 1.6 document: the crates of Cargo.lock that are in the binary,
//! and what is in the image and no crate. It has no time and no serial number: the same sources give the same
//! bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Serialize;

use self::locked::{Lock, Locked};
use crate::failure::{Code, Failure};

mod locked;
mod purl;

/// What the document is about.
pub struct Service {
    /// Its name, which is its package's.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The target triple that it was built for.
    pub target: String,
}

/// A package that is in the binary, as cargo says.
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its Cargo.toml, for the licence.
    pub manifest: PathBuf,
    /// Whether it is of this workspace: then the licence, which may be inherited, is left out.
    pub workspace: bool,
}

/// The document for `service` with `packages` in it; the service's own package may be among them. `lock` is the
/// text of Cargo.lock: sums, sources and who needs whom, of which only what leads from one of `packages` to
/// another is kept. `platform` is what else is in the image, each with its version: the C library, the
/// certificates.
///
/// A package that the lock does not have, and a manifest that cannot be read, are errors.
pub fn sbom(
    service: &Service,
    packages: &[Package],
    lock: &str,
    platform: &[(String, String)],
) -> Result<Vec<u8>> {
    let lock = Lock::parse(lock)?;
    let root = lock.find(&service.name, &service.version).ok_or_else(|| unlocked(&service.name))?;
    let mut components = BTreeMap::new();
    let mut inside = BTreeMap::from([(root.id(), root)]);
    for package in packages {
        let locked = lock.find(&package.name, &package.version).ok_or_else(|| unlocked(&package.name))?;
        if locked.id() != root.id() {
            components.insert(locked.id(), library(locked, licence(package)?));
            inside.insert(locked.id(), locked);
        }
    }
    let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (id, locked) in &inside {
        let wanted = lock.needs(locked).map(Locked::id).filter(|other| inside.contains_key(other));
        needs.insert(id.clone(), wanted.collect());
    }
    for (name, version) in platform {
        let id = purl::of("generic", name, version);
        components.insert(id.clone(), Component::new("library", &id, name, version).purl(id.clone()));
        needs.entry(root.id()).or_default().insert(id.clone());
        needs.insert(id, BTreeSet::new());
    }
    let mut subject = Component::new("application", &root.id(), &service.name, &service.version);
    subject.properties.push(Property { name: "cargo:target", value: service.target.clone() });
    let document = Document {
        bom_format: "CycloneDX",
        spec_version: "1.6",
        version: 1,
        metadata: Metadata { lifecycles: [Lifecycle { phase: "build" }], component: subject },
        components: components.into_values().collect(),
        dependencies: needs.into_iter().map(|(id, needs)| Needs { id, needs }).collect(),
    };
    let mut bytes = serde_json::to_vec_pretty(&document).context("cannot write the SBOM")?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn unlocked(name: &str) -> anyhow::Error {
    Failure::new(Code::Failed, format!("Cargo.lock does not have {name} in the version that was built"))
        .why("the SBOM takes sums and sources from there")
        .next("cargo build, then commit Cargo.lock")
        .into()
}

fn library(locked: &Locked, licence: Option<String>) -> Component {
    let mut component = Component::new("library", &locked.id(), &locked.name, &locked.version);
    component.purl = locked.purl();
    component.licenses = licence.map(|expression| Licence { expression }).into_iter().collect();
    let sum = locked.checksum.clone().map(|content| Hash { alg: "SHA-256", content });
    component.hashes = sum.into_iter().collect();
    component
}

/// The licence that a manifest names itself, as an expression.
fn licence(package: &Package) -> Result<Option<String>> {
    if package.workspace {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&package.manifest)
        .with_context(|| format!("cannot read {}", package.manifest.display()))?;
    licence_in(&text).with_context(|| format!("{} is no manifest", package.manifest.display()))
}

fn licence_in(manifest: &str) -> Result<Option<String>> {
    #[derive(serde::Deserialize)]
    struct Manifest {
        package: Option<Table>,
    }
    #[derive(serde::Deserialize)]
    struct Table {
        license: Option<toml::Value>,
    }
    // Most manifests are far longer than the one table that matters; should cutting it out be wrong, because a
    // text in it looks like the next table, the whole is read.
    let start = if manifest.starts_with("[package]") { Some(0) } else { manifest.find("\n[package]\n") };
    let table = start.and_then(|start| manifest.get(start..)).map(|rest| {
        let end = rest.get(2..).and_then(|rest| rest.find("\n["));
        end.and_then(|end| rest.get(..end + 2)).unwrap_or(rest)
    });
    let part = table.and_then(|table| toml::from_str::<Manifest>(table).ok());
    let found = match part.and_then(|manifest| manifest.package) {
        Some(package) if package.license.is_some() => Some(package),
        _ => toml::from_str::<Manifest>(manifest)?.package,
    };
    let text = found.and_then(|package| package.license?.as_str().map(str::to_owned));
    // Before SPDX expressions, a slash was `or`.
    let expression = text.map(|text| text.split('/').map(str::trim).collect::<Vec<_>>().join(" OR "));
    Ok(expression.filter(|expression| !expression.is_empty()))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    bom_format: &'static str,
    spec_version: &'static str,
    version: u8,
    metadata: Metadata,
    components: Vec<Component>,
    dependencies: Vec<Needs>,
}

#[derive(Serialize)]
struct Metadata {
    lifecycles: [Lifecycle; 1],
    component: Component,
}

#[derive(Serialize)]
struct Lifecycle {
    phase: &'static str,
}

#[derive(Serialize)]
struct Component {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref")]
    id: String,
    name: String,
    version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<Licence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

impl Component {
    fn new(kind: &'static str, id: &str, name: &str, version: &str) -> Self {
        let [id, name, version] = [id, name, version].map(str::to_owned);
        let (hashes, licenses, properties) = (Vec::new(), Vec::new(), Vec::new());
        Component { kind, id, name, version, hashes, licenses, purl: None, properties }
    }

    fn purl(self, purl: String) -> Self {
        Component { purl: Some(purl), ..self }
    }
}

#[derive(Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Serialize)]
struct Licence {
    expression: String,
}

#[derive(Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
struct Needs {
    #[serde(rename = "ref")]
    id: String,
    #[serde(rename = "dependsOn", skip_serializing_if = "BTreeSet::is_empty")]
    needs: BTreeSet<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const LOCK: &str = r#"
        version = 4
        [[package]]
        name = "links"
        version = "0.1.0"
        dependencies = ["syn 1.0.0", "syn 2.0.0", "testing"]
        [[package]]
        name = "syn"
        version = "1.0.0"
        source = "registry+https://example.org/crates.io-index"
        checksum = "11"
        [[package]]
        name = "syn"
        version = "2.0.0"
        source = "registry+https://example.org/crates.io-index"
        checksum = "22"
        dependencies = ["testing"]
        [[package]]
        name = "testing"
        version = "3.0.0"
    "#;

    fn package(folder: &std::path::Path, name: &str, version: &str, licence: &str) -> Result<Package> {
        let manifest = folder.join(format!("{name}-{version}.toml"));
        std::fs::write(&manifest, format!("[package]\nname = \"{name}\"\n{licence}\n\n[lib]\n"))?;
        let (workspace, name, version) = (name == "links", name.to_owned(), version.to_owned());
        Ok(Package { name, version, manifest, workspace })
    }

    fn service() -> Service {
        let [name, version, target] = ["links", "0.1.0", "x86_64-unknown-linux-gnu"].map(str::to_owned);
        Service { name, version, target }
    }

    #[test]
    fn the_same_packages_in_any_order_give_the_same_bytes() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let licence = "license = \"MIT/Apache-2.0\"";
        let mut packages = vec![
            package(folder.path(), "syn", "2.0.0", licence)?,
            package(folder.path(), "links", "0.1.0", "license.workspace = true")?,
            package(folder.path(), "syn", "1.0.0", licence)?,
        ];
        let platform = [("glibc", "2.36"), ("rustc", "1.95.0")];
        let mut platform = platform.map(|(name, version)| (name.to_owned(), version.to_owned()));
        let bytes = sbom(&service(), &packages, LOCK, &platform)?;
        packages.reverse();
        platform.reverse();
        assert_eq!(sbom(&service(), &packages, LOCK, &platform)?, bytes);

        let document: Value = serde_json::from_slice(&bytes)?;
        assert_eq!(document["metadata"]["component"]["bom-ref"], "links@0.1.0");
        let of = |index: usize, key: &str| document["components"][index][key].clone();
        assert_eq!(document["components"].as_array().map(Vec::len), Some(4));
        // Two versions of one crate, each with its own sum.
        assert_eq!(of(0, "purl"), "pkg:cargo/syn@1.0.0");
        assert_eq!(of(0, "hashes")[0]["content"], "11");
        assert_eq!(of(1, "purl"), "pkg:cargo/syn@2.0.0");
        assert_eq!(of(1, "hashes")[0]["content"], "22");
        assert_eq!(of(1, "licenses")[0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(of(2, "purl"), "pkg:generic/glibc@2.36");
        // What is only there for tests is in the lock, and not in the document.
        let needs = document["dependencies"].as_array().context("no graph")?;
        assert_eq!(needs.len(), 5);
        let root = needs.iter().find(|needs| needs["ref"] == "links@0.1.0").context("no root")?;
        let wanted = [
            "pkg:cargo/syn@1.0.0",
            "pkg:cargo/syn@2.0.0",
            "pkg:generic/glibc@2.36",
            "pkg:generic/rustc@1.95.0",
        ];
        assert_eq!(root["dependsOn"], serde_json::json!(wanted));
        Ok(())
    }

    #[test]
    fn licences_are_read_in_every_form_that_manifests_have() -> Result<()> {
        for (manifest, licence) in [
            ("[package]\nlicense = \"MIT/Apache-2.0\"\n", Some("MIT OR Apache-2.0")),
            ("[package]\nlicense = \"MIT / Apache-2.0\"\n[lib]\n", Some("MIT OR Apache-2.0")),
            ("# made by cargo\n\n[package]\nname = \"a\"\nlicense = \"MIT\"\n\n[lib]\n", Some("MIT")),
            (
                "[package]\nlicense = \"(MIT OR Apache-2.0) AND Unicode-3.0\"",
                Some("(MIT OR Apache-2.0) AND Unicode-3.0"),
            ),
            // What looks like the next table is a text.
            ("[package]\ndescription = \"\"\"\n[odd]\n\"\"\"\nlicense = \"MIT\"\n", Some("MIT")),
            ("[workspace]\n[package]\r\nlicense = \"MIT\"\r\n", Some("MIT")),
            ("package = { license = \"MIT\" }\n", Some("MIT")),
            ("[package]\nlicense.workspace = true\n", None),
            ("[package]\nlicense-file = \"LICENSE\"\n", None),
            ("[workspace]\n", None),
        ] {
            assert_eq!(licence_in(manifest)?.as_deref(), licence, "{manifest}");
        }
        assert!(licence_in("[package").is_err());
        Ok(())
    }

    #[test]
    fn a_package_that_is_not_locked_is_named() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let packages = [package(folder.path(), "serde", "1.0.0", "")?];
        let error = sbom(&service(), &packages, LOCK, &[]).map(drop).map_err(|error| error.to_string());
        assert!(error.as_ref().is_err_and(|error| error.contains("serde")), "{error:?}");
        Ok(())
    }
}
