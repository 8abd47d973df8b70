//! The image: what is in it, and what must not be.
//!
//! ```text
//! sbom    what it was made of, as CycloneDX
//! search  where secrets are in it
//! ```

mod sbom;
mod search;

#[expect(unused_imports, reason = "the verb that calls them follows")]
pub use sbom::{Package, Service, sbom};
#[expect(unused_imports, reason = "the verb that calls them follows")]
pub use search::{Needle, Place, search};
