//! One session, over the server's own protocol: psql costs a process, 15 ms, for each statement, and need not be
//! installed. Simple queries with text results are all that a tool needs, and no password: the socket's folder
//! is closed to others. The format: PostgreSQL's documentation, "Frontend/Backend Protocol", version 3.0.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::failure::{Code, Failure};

/// Version 3.0 of the protocol.
const PROTOCOL: u32 = 3 << 16;
/// SQLSTATE of a connection to a database that is not there.
const NO_DATABASE: &str = "3D000";
/// SQLSTATE of a server that starts, recovers or shuts down.
const NOT_NOW: &str = "57P03";
/// SQLSTATE of a statement on a database that somebody is connected to.
const IN_USE: &str = "55006";
/// How long a server may take to recover from the death of a backend, or to answer at all.
const RECOVERY: Duration = Duration::from_secs(30);
/// Longer than any message the server sends us.
const LONGEST: usize = 64 * 1024 * 1024;

/// A session with one database, as the server's superuser.
pub struct Connection {
    stream: UnixStream,
}

/// A row: the columns as text, `None` for null.
pub type Row = Vec<Option<String>>;

/// What the server refused, and why.
#[derive(Debug)]
struct Refused {
    state: String,
    message: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.state)
    }
}

impl std::error::Error for Refused {}

impl Connection {
    /// Connects to `database` on the server whose socket is in `folder`. `None`: there is no such database.
    pub(super) fn open(folder: &Path, database: &str) -> Result<Option<Self>> {
        let started = Instant::now();
        loop {
            match Self::open_once(folder, database) {
                // A backend was killed, and the server is busy with what that left.
                Err(error) if state(&error) == Some(NOT_NOW) && started.elapsed() < RECOVERY => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                other => return other,
            }
        }
    }

    fn open_once(folder: &Path, database: &str) -> Result<Option<Self>> {
        let path = folder.join(".s.PGSQL.5432");
        let stream = UnixStream::connect(path).context("the server does not answer")?;
        // A server that is stopped by a signal takes connections, and says nothing.
        stream.set_read_timeout(Some(RECOVERY)).context("cannot limit a wait")?;
        let mut connection = Connection { stream };
        let mut start = PROTOCOL.to_be_bytes().to_vec();
        for (name, value) in [("user", "postgres"), ("database", database), ("application_name", "slipway")] {
            start.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
        }
        start.push(0);
        connection.stream.write_all(&counted(&start)).context("the server does not answer")?;
        match connection.rows() {
            Ok(_) => {
                // A statement may take as long as it takes.
                connection.stream.set_read_timeout(None).context("cannot end a limit")?;
                Ok(Some(connection))
            }
            Err(error) if state(&error) == Some(NO_DATABASE) => Ok(None),
            Err(error) => Err(error.context(format!("cannot connect to the database {database}"))),
        }
    }

    /// Runs statements, in one transaction where there are several, and gives all their rows.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Row>> {
        let text = [sql.as_bytes(), b"\0"].concat();
        self.stream.write_all(&[b"Q".as_slice(), &counted(&text)].concat()).context("the server is gone")?;
        self.rows().map_err(|error| match error.downcast::<Refused>() {
            Ok(refused) => {
                let line = sql.split_whitespace().take(4).collect::<Vec<_>>().join(" ");
                let failure =
                    Failure::new(Code::Failed, format!("PostgreSQL refused `{line} …`")).why(&refused);
                anyhow::Error::new(refused).context(failure)
            }
            Err(error) => error,
        })
    }

    /// The first column of the first row.
    pub fn value(&mut self, sql: &str) -> Result<Option<String>> {
        Ok(self.query(sql)?.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
    }

    /// Reads until the server is ready for more: the rows, or the first refusal.
    fn rows(&mut self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        let mut refused = None;
        loop {
            let (kind, body) = match self.message() {
                Ok(message) => message,
                // A refused connection ends without a last word.
                Err(error) => return Err(refused.map_or_else(|| error.into(), anyhow::Error::new)),
            };
            match kind {
                b'D' => rows.push(row(&body).context("the server sent a broken row")?),
                b'E' => refused = Some(refusal(&body)),
                b'Z' => return refused.map_or(Ok(rows), |refused| Err(refused.into())),
                // 0 is "authenticated"; whatever else it asks for, we do not have.
                b'R' if body != [0; 4] => bail!("the server asks for a password on its own socket"),
                _ => {}
            }
        }
    }

    fn message(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if !(4..LONGEST).contains(&length) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "this is not PostgreSQL's protocol"));
        }
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body)?;
        Ok((head[0], body))
    }
}

/// The SQLSTATE of a refusal.
fn state(error: &anyhow::Error) -> Option<&str> {
    error.downcast_ref::<Refused>().map(|refused| refused.state.as_str())
}

/// Whether a statement was refused because somebody is connected to the database.
pub fn is_in_use(error: &anyhow::Error) -> bool {
    state(error) == Some(IN_USE)
}

/// A message's body with its length before it, which counts itself.
fn counted(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), body].concat()
}

fn row(body: &[u8]) -> Option<Row> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut columns = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        // -1 stands for null.
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (value, after) = after.split_at_checked(length.unwrap_or(0))?;
        columns.push(length.map(|_| String::from_utf8_lossy(value).into_owned()));
        rest = after;
    }
    Some(columns)
}

fn refusal(body: &[u8]) -> Refused {
    let field = |kind: u8| {
        let found = body.split(|byte| *byte == 0).find(|field| field.first() == Some(&kind));
        found.map(|field| String::from_utf8_lossy(&field[1..]).into_owned()).unwrap_or_default()
    };
    Refused { state: field(b'C'), message: field(b'M') }
}

/// A name as SQL writes it.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL writes it.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_with_its_nulls_and_a_cut_one_is_none() {
        let body = [&[0, 3][..], &[0, 0, 0, 2], b"ab", &[255; 4], &[0, 0, 0, 0]].concat();
        assert_eq!(row(&body), Some(vec![Some("ab".into()), None, Some(String::new())]));
        for cut in 0..body.len() {
            assert_eq!(row(&body[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn a_refusal_has_its_state_and_message() {
        let refused = refusal(b"SFATAL\0VFATAL\0C3D000\0Mno such database\0\0");
        assert_eq!(refused.to_string(), "no such database (SQLSTATE 3D000)");
    }

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!((identifier("a\"b"), literal("it's")), ("\"a\"\"b\"".into(), "'it''s'".into()));
    }
}
