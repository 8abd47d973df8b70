//! postgresql_embedded as a peer of `bench/postgres`, which says `start` and `stop` on stdin and takes the time itself:
//! `start` answers the URL, `stop` answers `stopped`, and `removed` once the data are gone.
//!
//! peer INSTALLATION SOCKETS: the installed server, whose bin/ is used, and a folder for its sockets.

use std::error::Error;
use std::io::BufRead as _;
use std::time::Duration;

use postgresql_embedded::{PostgreSQL, Settings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [installation, sockets] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "two folders")?;
    let mut running = None;
    for line in std::io::stdin().lock().lines() {
        match (line?.as_str(), running.take()) {
            ("start", None) => {
                let mut server = PostgreSQL::new(Settings {
                    installation_dir: (&installation).into(),
                    trust_installation_dir: true,
                    temporary: true,
                    // Debian's default folder is not everybody's to write to.
                    socket_dir: Some((&sockets).into()),
                    // Its default is 5 s, which initdb can exceed on a busy machine.
                    timeout: Some(Duration::from_secs(60)),
                    ..Settings::default()
                });
                server.setup().await?;
                server.start().await?;
                println!("{}", server.settings().url("postgres"));
                running = Some(server);
            }
            ("stop", Some(server)) => {
                server.stop().await?;
                println!("stopped");
                drop(server);
                println!("removed");
            }
            (other, _) => return Err(format!("`{other}` now?").into()),
        }
    }
    Ok(())
}
