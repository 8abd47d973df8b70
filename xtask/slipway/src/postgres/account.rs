//! PostgreSQL refuses to run as root; some other account runs it then.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::Result;

use crate::failure::{Code, Failure};
use crate::process::Account;

/// The account that runs the server whose data is at `data`: none for an ordinary user, who runs it
/// himself. For root, who owns the data already, else `postgres`, else `nobody`.
pub(super) fn choose(uid: u32, data: &Path) -> Result<Option<Account>> {
    if uid != 0 {
        return Ok(None);
    }
    if let Ok(found) = std::fs::metadata(data)
        && found.uid() != 0
    {
        return Ok(Some(Account { uid: found.uid(), gid: found.gid() }));
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let account = ["postgres", "nobody"].iter().find_map(|name| named(&passwd, name));
    account.map(Some).ok_or_else(|| {
        Failure::new(Code::Missing, "root has no account to run PostgreSQL as")
            .why("PostgreSQL refuses uid 0, and /etc/passwd has neither `postgres` nor `nobody`")
            .next("useradd --system postgres")
            .into()
    })
}

fn named(passwd: &str, name: &str) -> Option<Account> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    let account = Account { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? };
    (account.uid != 0).then_some(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_comes_from_its_own_line_and_is_never_root() {
        let passwd =
            "root:x:0:0::/root:/bin/sh\nmypostgres:x:7:8::/:\npostgres:x:101:104::/:\nevil:x:0:0::/:\n";
        assert_eq!(named(passwd, "postgres"), Some(Account { uid: 101, gid: 104 }));
        assert_eq!(named(passwd, "evil"), None);
        assert_eq!(named(passwd, "nobody"), None);
    }
}
