//! Before an image leaves: the values of declared secrets must not be in it.

use anyhow::Result;

use crate::context::{Context, Repository};
use crate::failure::{Code, Failure};
use crate::image::{Image, Needle, search};
use crate::secrets::{is_searchable, spellings};

/// The shortest part of an address that is taken for a password.
const PASSWORD: &str = "its password";

/// Searches every blob for the values that declared names have in this environment, in each way that a file could
/// spell them. Names and places are told, never values.
///
/// # Errors
/// One was found.
pub fn refuse(context: &Context, repository: &Repository, image: &Image) -> Result<()> {
    let declared = repository.config.secrets.names.iter().filter(|(_, declared)| declared.get_ref().masked);
    let (mut needles, mut short, mut unset) = (Vec::new(), Vec::new(), Vec::new());
    for (name, _) in declared {
        let Some(value) = context.env.var(name) else {
            unset.push(name.as_str());
            continue;
        };
        let parts = [(name.clone(), value)];
        let password = password(value).map(|password| (format!("{name} ({PASSWORD})"), password));
        for (name, value) in parts.into_iter().chain(password) {
            match is_searchable(value) {
                true => needles.push(Needle { name, spellings: spellings(value) }),
                false => short.push(name),
            }
        }
    }
    let parts = image.parts()?;
    let parts: Vec<(String, &[u8])> =
        parts.iter().map(|(name, bytes)| (name.clone(), bytes.as_slice())).collect();
    let found = search(&needles, &parts)?;
    if !found.is_empty() {
        let failure = Failure::new(Code::Failed, "a secret is in the image: it was not pushed");
        let failure = found.iter().fold(failure, |failure, place| {
            failure.fact("found", format!("{} in {}, byte {}", place.name, place.part, place.offset))
        });
        return Err(failure
            .why("whoever can pull an image can read all of it")
            .next("remove it from what is compiled in: include_str!, env!, a build script, a fixture")
            .next("then roll that secret: it was in a file")
            .into());
    }
    let names: Vec<&str> = needles.iter().map(|needle| needle.name.as_str()).collect();
    match names.is_empty() {
        true => context.screen.absent("secrets", "none of the declared names has a value here to search for"),
        false => context.screen.done("secrets", &format!("{}: not in the image", names.join(", ")), None),
    }
    if !short.is_empty() {
        context.screen.note(&format!("too short to be searched for: {}", short.join(", ")));
    }
    if !names.is_empty() && !unset.is_empty() {
        context.screen.note(&format!("no value here to search for: {}", unset.join(", ")));
    }
    Ok(())
}

/// The password in an address.
fn password(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    let (account, _) = rest.split('/').next()?.rsplit_once('@')?;
    account.split_once(':').map(|(_, password)| password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_an_address_is_a_secret_too() {
        assert_eq!(password("postgres://links:s3cret@db:5432/links"), Some("s3cret"));
        assert_eq!(password("postgres://links@db/links"), None);
        assert_eq!(password("postgres:///links?host=/run"), None);
        assert_eq!(password("s3cret"), None);
    }
}
