//! Before an image leaves: the values of declared secrets must not be in it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::config::Environment;
use crate::context::{Context, Repository};
use crate::failure::{Code, Failure};
use crate::image::{Image, Needle, search};
use crate::secrets::{is_searchable, spellings};
use crate::verbs::secrets::ask;

/// The values of each name.
type Known<'a> = BTreeMap<&'a str, BTreeSet<String>>;

/// What follows a name whose value is an address, for the password in it.
const PASSWORD: &str = "its password";

/// Searches every blob for the values of declared names, in each way that a file could spell them. Names and places
/// are told, never values.
///
/// # Errors
/// One was found.
pub fn refuse(context: &Context, repository: &Repository, image: &Image) -> Result<()> {
    let (values, asked) = values(context, repository)?;
    let declared = repository.config.secrets.names.iter().filter(|(_, declared)| declared.get_ref().masked);
    let (mut needles, mut short, mut unset) = (Vec::new(), Vec::new(), Vec::new());
    for (name, _) in declared {
        let Some(values) = values.get(name.as_str()) else {
            unset.push(name.as_str());
            continue;
        };
        let mut parts = vec![(name.clone(), values.iter().cloned().collect::<Vec<_>>())];
        let passwords = values.iter().filter_map(|value| password(value));
        // As it stands in the address, and as it is.
        let passwords: Vec<String> =
            passwords.flat_map(|password| [password.to_owned(), decoded(password)]).collect();
        if !passwords.is_empty() {
            parts.push((format!("{name} ({PASSWORD})"), passwords));
        }
        for (name, values) in parts {
            let (values, others): (Vec<_>, Vec<_>) = values.iter().partition(|value| is_searchable(value));
            if !others.is_empty() {
                short.push(name.clone());
            }
            if !values.is_empty() {
                let spellings = values.iter().flat_map(|value| spellings(value)).collect();
                needles.push(Needle { name, spellings });
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
            .next(
                "then roll that secret, it was in a file; target/image has it until: cargo xtask image build",
            )
            .next("or, if it is no secret: masked = false in xtask.toml [secrets.names]")
            .into());
    }
    let names: Vec<&str> = needles.iter().map(|needle| needle.name.as_str()).collect();
    match names.is_empty() {
        true => context.screen.absent("secrets", "none of the declared names has a value here to search for"),
        false => {
            let of =
                if asked.is_empty() { String::new() } else { format!("; Doppler's {}", asked.join(", ")) };
            let fact = format!("{}: not in the image{of}", names.join(", "));
            context.screen.done("secrets", &fact, None);
        }
    }
    if !short.is_empty() {
        context.screen.note(&format!("too short to be searched for: {}", short.join(", ")));
    }
    if !names.is_empty() && !unset.is_empty() {
        context.screen.note(&format!("no value here to search for: {}", unset.join(", ")));
    }
    Ok(())
}

/// The values of each name: those of this environment, and Doppler's of each config that it gives to whoever pushes.
/// Those are given too.
fn values<'a>(context: &Context, repository: &'a Repository) -> Result<(Known<'a>, Vec<&'static str>)> {
    let names = repository.config.secrets.names.keys();
    let mut found = Known::new();
    for name in names {
        if let Some(value) = context.env.var(name) {
            found.entry(name).or_default().insert(value.to_owned());
        }
    }
    let launcher = context.launcher(&repository.workspace.root)?;
    let ask = |environment: &Environment| ask(context, repository, &launcher, *environment, false);
    let asked = Environment::ALL.iter().map(ask).collect::<Result<Vec<_>>>()?;
    let (mut answered, mut refused) = (Vec::new(), Vec::new());
    for (environment, asking) in Environment::ALL.into_iter().zip(asked) {
        // Few may read all of them.
        let values = match asking.fetched(&launcher)? {
            Some(Ok(values)) => values,
            Some(Err(outcome)) => {
                refused.push(format!("{environment} ({})", outcome.name()));
                continue;
            }
            None => continue,
        };
        answered.push(environment.name());
        for (name, _) in repository.config.secrets.within(environment) {
            if let Some(value) = values.get(name) {
                found.entry(name).or_default().insert(value.clone());
            }
        }
    }
    if !refused.is_empty() {
        context.screen.note(&format!("Doppler's values are not searched for: {}", refused.join(", ")));
    }
    Ok((found, answered))
}

/// The password in an address: before the host, or a parameter.
fn password(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    let account = rest.split(['/', '?']).next()?.rsplit_once('@').map(|(account, _)| account);
    let parameter = || rest.split_once('?')?.1.split('&').find_map(|pair| pair.strip_prefix("password="));
    account.and_then(|account| Some(account.split_once(':')?.1)).or_else(parameter)
}

/// Without the encoding of addresses: `p@ss` for `p%40ss`.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => bytes.extend(std::iter::once(byte).chain(part.bytes().skip(2))),
            None => bytes.extend(std::iter::once(b'%').chain(part.bytes())),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_an_address_is_a_secret_too() {
        assert_eq!(password("postgres://links:s3cret@db:5432/links"), Some("s3cret"));
        assert_eq!(password("postgres://links@db/links"), None);
        assert_eq!(password("postgres:///links?host=/run"), None);
        assert_eq!(password("postgres:///links?host=/run&password=s3cret&x=1"), Some("s3cret"));
        assert_eq!(password("s3cret"), None);
        for (text, is) in
            [("p%40ss", "p@ss"), ("%C3%BC%", "\u{fc}%"), ("5%x", "5%x"), ("%ff", "%ff"), ("a", "a")]
        {
            assert_eq!(decoded(text), is);
        }
    }
}
