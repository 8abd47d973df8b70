//! The image: the service and nothing else, the same bytes everywhere.
//!
//! ```text
//! binary        the flags that make the program static, and the same wherever it is built
//! inputs        what else decides its bytes: the compilers, the C library
//! elf           is it static, stripped, of the platform?
//! certificates  whom the image trusts
//! root          the exact list of its files
//! layer, gzip   files as a tar whose every byte is decided, compressed
//! oci, store    the documents around it, the layout and the archive on the disk
//! sbom          what it is made of
//! search        whether a secret is in it
//! reference     its name in a registry
//! registry      where it is pushed
//! ```

mod binary;
mod certificates;
mod elf;
mod gzip;
mod inputs;
mod layer;
mod oci;
mod reference;
mod registry;
mod root;
mod sbom;
mod search;
mod store;

use std::path::Path;

use anyhow::Result;
use sha2::{Digest as _, Sha256};

pub use binary::{Folders, is_inside};
pub use certificates::{Certificates, mozilla, read as read_certificates};
pub use inputs::Inputs;
pub use reference::{Reference, ecr_region};
pub use registry::{Credentials, Registry};
pub use root::USER;
pub use sbom::{Package, Service, sbom};
pub use search::{Needle, search};
pub use store::{Image, Store};

/// `sha256:` and the digits, as registries write it.
fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// What goes into an image.
pub struct Contents {
    /// The service's name, and its program's.
    pub name: String,
    /// The service's version.
    pub version: String,
    /// `amd64` or `arm64`.
    pub arch: String,
    /// The program.
    pub binary: Vec<u8>,
    /// The bundle of whom it trusts.
    certificates: Option<Vec<u8>>,
    /// What decided the program's bytes.
    pub inputs: Inputs,
}

impl Contents {
    /// The contents of an image, once the program was found to be one that can run there and that says nothing of
    /// the machine that built it.
    pub fn new(
        (name, version): (&str, &str),
        arch: &str,
        binary: Vec<u8>,
        certificates: Certificates,
        inputs: Inputs,
        folders: &Folders,
    ) -> Result<Self> {
        elf::check(&binary, arch)?;
        folders.check(&binary)?;
        let certificates = (!certificates.is_empty()).then(|| certificates::bundle(certificates));
        let [name, version, arch] = [name, version, arch].map(str::to_owned);
        Ok(Contents { name, version, arch, binary, certificates, inputs })
    }

    /// Its layers, what changes least first: who pulls a new version has the first one already.
    fn layers(&self) -> Result<[layer::Layer; 2]> {
        let accounts = layer::Layer::of(root::accounts(self.certificates.as_deref()))?;
        Ok([accounts, layer::Layer::of(root::service(&self.name, &self.binary))?])
    }

    /// Writes the files of the image's root below `folder`, for a Dockerfile.
    pub fn write_root(&self, folder: &Path) -> Result<()> {
        let mut files = root::accounts(self.certificates.as_deref());
        files.extend(root::service(&self.name, &self.binary));
        root::write(folder, &files)
    }
}
