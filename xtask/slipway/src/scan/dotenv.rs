//! `.env` files: by their names, and by whether they give any value.

/// What a file of such a name holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavor {
    /// `NAME=value`, for a program: every value counts.
    Plain,
    /// A script: a value counts where its name says that it is secret.
    Script,
    /// What `doppler secrets download` writes.
    Json,
}

/// Parts of a name that say: for people to copy, or a program.
const HARMLESS: &[&str] =
    &["example", "examples", "sample", "samples", "template", "templates", "tmpl", "tpl", "dist", "schema"];
/// What the names of copies end in.
const COPIES: &[&str] = &["~", " copy", ".bak", ".old", ".local"];
/// The ends of what is encrypted.
const ENCRYPTED: &[&str] = &["enc", "age", "gpg", "asc"];
/// The ends of programs and texts.
const PROGRAMS: &[&str] = &[
    "ts", "js", "mjs", "cjs", "tsx", "rs", "go", "py", "rb", "php", "java", "kt", "md", "html", "nix", "j2",
];
/// How the name of a variable ends that is secret; what is public is not.
const SECRET_ENDS: &[&str] = &["_KEY", "_PAT", "_PASS", "_PWD"];
/// In a name of a variable: secret.
const SECRET: &[&str] = &[
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "API_KEY",
    "APIKEY",
    "PRIVATE_KEY",
    "ACCESS_KEY",
    "CREDENTIAL",
];

/// As what a file is read, by its path.
pub fn flavor(path: &[u8]) -> Option<Flavor> {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    // Of 10,000 names few have this.
    let has = |word: &[u8]| name.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word));
    if !has(b".env") {
        return name.eq_ignore_ascii_case(b"doppler.json").then_some(Flavor::Json);
    }
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let mut name = name.as_str();
    while let Some(original) = COPIES.iter().find_map(|end| name.strip_suffix(end)) {
        name = original;
    }
    let parts: Vec<&str> = name.split(['.', '-', '_']).collect();
    let last = parts.last().copied().unwrap_or_default();
    let is_harmless = parts.iter().any(|part| HARMLESS.contains(part));
    // dotenv's vault is encrypted; `vault.env` are the values for a program of that name.
    if is_harmless || PROGRAMS.contains(&last) || ENCRYPTED.contains(&last) || name == ".env.vault" {
        return None;
    }
    let rest = name.strip_prefix(".env");
    match rest {
        Some(rest) if rest == "rc" || rest.starts_with("rc.") || rest.ends_with(".sh") => {
            Some(Flavor::Script)
        }
        Some(rest) if rest.is_empty() || rest.starts_with(['.', '-', '_']) => Some(Flavor::Plain),
        // `prd.env`, `doppler.env`
        _ => name.ends_with(".env").then_some(Flavor::Plain),
    }
}

/// The first line that gives a value, and all lines that tell these values from others.
pub fn values(bytes: &[u8], flavor: Flavor) -> Option<(usize, Vec<&[u8]>)> {
    if flavor == Flavor::Json {
        const NAME: &[u8] = b"\"DOPPLER_CONFIG\"";
        let at = bytes.windows(NAME.len()).position(|window| window == NAME)?;
        return Some((super::text::line(bytes, at), vec![bytes]));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // It is encrypted, or a key, which is found without its name.
    if bytes.starts_with(b"-----BEGIN ") || bytes.starts_with(b"age-encryption") {
        return None;
    }
    // An old Mac's line ends too.
    let by = if bytes.contains(&b'\n') { b'\n' } else { b'\r' };
    let gives = |line: &[u8]| {
        assignment(line).is_some_and(|(name, value)| match flavor {
            Flavor::Script => {
                let name = name.to_ascii_uppercase();
                let quoted = value.trim_matches(['"', '\'']);
                let quoted = default(quoted).unwrap_or(quoted);
                let is_literal = value.starts_with('\'') || !quoted.contains(['$', '`']);
                let is_literal = is_literal && quoted.len() >= 6;
                is_literal && is_secret(&name) && is_value(&value)
            }
            _ => is_value(&value) && !name.starts_with("sops_") && !name.starts_with("DOTENV_PUBLIC_KEY"),
        })
    };
    let lines = || bytes.split(|byte| *byte == by);
    let first = lines().position(gives)? + 1;
    // A value can go on in lines that give none themselves; a script has much else in it.
    let tells = |line: &&[u8]| match flavor {
        Flavor::Script => gives(line),
        _ => !line.is_empty() && !line.starts_with(b"#"),
    };
    Some((first, lines().map(<[u8]>::trim_ascii).filter(tells).collect()))
}

fn is_secret(name: &str) -> bool {
    let ends = SECRET_ENDS.iter().any(|end| name.ends_with(end)) && !name.contains("PUBLIC");
    ends || SECRET.iter().any(|word| name.contains(word))
}

/// Name and value of `NAME=value`, `export NAME=value` or `NAME: value`.
fn assignment(line: &[u8]) -> Option<(String, String)> {
    let line = String::from_utf8_lossy(line);
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && !"_.-".contains(c))?;
    let (name, rest) = line.split_at(end);
    let value = match rest.trim_start() {
        rest if rest.starts_with('=') => &rest[1..],
        rest if rest.starts_with(": ") && !name.contains(|c: char| c.is_ascii_lowercase()) => &rest[1..],
        _ => return None,
    };
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts.then(|| (name.to_owned(), value.trim().to_owned()))
}

/// Whether it is a value itself, not nothing, a comment, a reference, or one that is encrypted.
fn is_value(text: &str) -> bool {
    let is_raw = text.starts_with('\'');
    let mut text = match text.chars().next() {
        None | Some('#') => return false,
        // All of it is in the next lines.
        Some('"' | '\'' | '`') if text.len() == 1 => return true,
        Some(quote @ ('"' | '\'' | '`')) => {
            // One that goes on in the next line has no end here.
            let inner = &text[1..];
            inner.find(quote).map_or(inner, |end| &inner[..end]).trim()
        }
        Some(_) => text.split(" #").next().unwrap_or(text).trim(),
    };
    while let Some(inner) = default(text).filter(|_| !is_raw) {
        text = inner.trim_matches(['"', '\'']);
    }
    let is_one = |start: &str, end: &str| text.starts_with(start) && text.ends_with(end);
    let names = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_reference = is_one("${", "}") && text.matches('$').count() == 1
        || is_one("$(", ")")
        || text.strip_prefix('$').is_some_and(|name| name.chars().all(names));
    let is_elsewhere = ["op://", "encrypted:", "ENC["].iter().any(|start| text.starts_with(start));
    // `A==` is a comparison, or a line below a title.
    let is_empty = text.chars().all(|c| c == '=');
    !is_empty && (is_raw || !is_reference) && !is_elsewhere && !is_one("<", ">")
}

/// What `${NAME:-default}` or `${NAME-default}` is where there is no such variable.
fn default(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("${")?.strip_suffix('}')?;
    let rest = inner.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    rest.strip_prefix(":-").or_else(|| rest.strip_prefix('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_a_file_is() {
        for (path, wanted) in [
            (".env", Some(Flavor::Plain)),
            ("a/.env.local", Some(Flavor::Plain)),
            ("a/.Env.Production", Some(Flavor::Plain)),
            ("prd.env", Some(Flavor::Plain)),
            (".envrc", Some(Flavor::Script)),
            (".env.sh", Some(Flavor::Script)),
            ("doppler.json", Some(Flavor::Json)),
            (".env.default", Some(Flavor::Plain)),
            (".env.defaults", Some(Flavor::Plain)),
            ("vault.env", Some(Flavor::Plain)),
            ("d.env", Some(Flavor::Plain)),
            (".env.vault.prd", Some(Flavor::Plain)),
            ("prd.env.bak", Some(Flavor::Plain)),
            ("prd.env~", Some(Flavor::Plain)),
            ("prd.env.local.old", Some(Flavor::Plain)),
            ("prd.env copy", Some(Flavor::Plain)),
            (".envrc.local", Some(Flavor::Script)),
            (".env.vault", None),
            (".env.example.bak", None),
            (".env.enc", None),
            (".env.age", None),
            (".env.prd.gpg", None),
            ("prd.env.asc", None),
            (".env.example", None),
            (".env.local.example", None),
            ("example.env", None),
            (".env/config", None),
            (".environment", None),
            (".env.d.ts", None),
            ("env", None),
            (".envrc.example", None),
        ] {
            assert_eq!(flavor(path.as_bytes()), wanted, "{path}");
        }
    }

    #[test]
    fn a_value_is_one_that_somebody_wrote_down() {
        for (line, wanted) in [
            ("A=1", true),
            ("  export A = 'x' # y", true),
            ("A=\"first", true),
            ("A_B.c-d=x", true),
            ("A: x", true),
            ("A=https://$HOST/", true),
            ("A=${B}${C}", true),
            ("A=${B:-x}", true),
            ("A=\"${B-x}\"", true),
            ("A=${B:-${C:-x}}", true),
            ("A='$x'", true),
            ("A='${x}' # y", true),
            ("A=\"", true),
            ("A='\r\nx'", true),
            ("", false),
            ("A", false),
            ("A=", false),
            ("A=''", false),
            ("A=\" \"", false),
            ("A= # x", false),
            ("# A=1", false),
            ("A=$B", false),
            ("A=${B:-}", false),
            ("A=\"${B:-}\"", false),
            ("A=${B:-\"\"}", false),
            ("A=${B:-$C}", false),
            ("A=${B:-${C:-}}", false),
            ("A=${B:?x}", false),
            ("A==", false),
            ("A====", false),
            ("-----BEGIN AGE ENCRYPTED FILE-----\nA=x", false),
            ("age-encryption.org/v1\nA=x", false),
            ("A=<value>", false),
            ("lower: x", false),
            ("1=2", false),
            ("if x == y", false),
        ] {
            assert_eq!(values(line.as_bytes(), Flavor::Plain).is_some(), wanted, "{line}");
        }
        let script = |line: &str| values(line.as_bytes(), Flavor::Script).is_some();
        assert!(
            script("export API_TOKEN=abcdef1")
                && script("PAGER_KEY=abcdef1")
                && !script("export PUBLIC_KEY=abcdef1")
                && !script("export A=abcdef1")
                && !script("export API_TOKEN=$(x)")
        );
        assert!(
            script("export API_TOKEN='abc$def'")
                && script("export API_TOKEN=\"${API_TOKEN:-abcdef1}\"")
                && !script("export API_TOKEN=\"${API_TOKEN:-$OTHER_TOKEN}\"")
        );
        // However deep it is.
        assert!(
            values(
                format!("A={}x{}", "${A:-".repeat(500_000), "}".repeat(500_000)).as_bytes(),
                Flavor::Plain
            )
            .is_some()
        );
    }
}
