//! `image inspect`: what is in the image that was built last.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::make::TARGET;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::image::{Inputs, Store};
use crate::output::size;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask image inspect\n  cargo xtask image inspect --json | jq .files"
)]
pub struct Args {
    /// For programs, on stdout
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let repository = context.repository()?;
    let store = Store::new(&repository.workspace.root.join(TARGET), repository.name());
    let image = store.read()?.ok_or_else(|| {
        Failure::new(Code::Failed, "no image was built here").next("cargo xtask image build")
    })?;
    let files = image.files()?;
    let unpacked: u64 = files.iter().flatten().map(|file| file.size).sum();
    if args.json {
        let inputs = image.inputs.as_ref();
        let inputs =
            inputs.map(|Inputs { rustc, cc, libc }| json!({ "rustc": rustc, "cc": cc, "libc": libc }));
        let layers = image.layers.iter().zip(&files).map(|(layer, files)| {
            json!({ "digest": layer.digest, "size": layer.size, "diffId": layer.diff_id, "files": files })
        });
        let report = json!({
            "digest": image.digest, "id": image.id, "platform": image.platform, "user": image.user,
            "command": image.command, "size": image.size, "unpacked": unpacked, "inputs": inputs,
            "layers": layers.collect::<Vec<_>>(), "files": files.iter().flatten().collect::<Vec<_>>(),
        });
        context.screen.data(&report.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let screen = &context.screen;
    screen.headline(&format!("{} · {} · {}", repository.name(), image.platform, image.digest));
    screen.line(&format!("  runs        {}      as {}", image.command.join(" "), image.user));
    screen.line(&format!("  size        {} to pull, {} unpacked", size(image.size), size(unpacked)));
    if let Some(Inputs { rustc, cc, libc }) = &image.inputs {
        for (name, value) in [("rustc", rustc), ("cc", cc), ("libc", libc)] {
            screen.line(&format!("  {name:<11} {value}"));
        }
    }
    for (index, (layer, files)) in image.layers.iter().zip(&files).enumerate() {
        screen.line(&format!("  layer {:<5} {:>7}  {}", index + 1, size(layer.size), layer.digest));
        for file in files {
            screen.line(&format!(
                "    {}  {}:{}  {:>7}  {}",
                file.mode,
                file.uid,
                file.gid,
                size(file.size),
                file.path
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}
