//! How values come back from behind `doppler run`: its child writes them to stdout, where Doppler itself, a proxy's
//! notice or a debugger may write as well. So they stand behind a magic word and their length.

use std::collections::BTreeMap;

/// The hidden verb that writes them.
pub const VERB: &str = "__env";
/// What stands before the length.
const MAGIC: &str = "slipway-values-1";

/// What to write for `names`: those that `value` has.
pub fn write<'a>(names: &[&str], value: impl Fn(&str) -> Option<&'a str>) -> String {
    let found: BTreeMap<&str, &str> = names.iter().filter_map(|name| Some((*name, value(name)?))).collect();
    // A map of texts can always be written.
    let json = serde_json::to_string(&found).unwrap_or_default();
    format!("{MAGIC} {}\n{json}", json.len())
}

/// The values in what was written, if they are all there.
pub fn read(text: &str) -> Option<BTreeMap<String, String>> {
    let (_, after) = text.split_once(MAGIC)?;
    let (length, json) = after.split_once('\n')?;
    serde_json::from_str(json.get(..length.trim().parse().ok()?)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_whatever_stands_around_them() {
        let given = BTreeMap::from([("A", "multi\nline \"quoted\" €"), ("EMPTY", ""), ("OTHER", "x")]);
        let written = write(&["A", "EMPTY", "MISSING"], |name| given.get(name).copied());
        for (before, after) in [("", ""), ("a notice\n", "\nand another"), ("{}", "{}")] {
            let read = read(&format!("{before}{written}{after}"));
            let wanted = [("A", given["A"]), ("EMPTY", "")];
            let wanted = wanted.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(read, Some(BTreeMap::from(wanted)));
        }
    }

    #[test]
    fn what_was_cut_off_is_no_answer() {
        let written = write(&["A"], |_| Some("value"));
        for end in 0..written.len() {
            assert_eq!(read(&written[..end]), None, "{end}");
        }
    }
}
