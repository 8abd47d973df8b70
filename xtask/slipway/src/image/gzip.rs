//! gzip, in blocks that all cores work at. Blocks have a fixed size and know what was before them, so the bytes do not
//! depend on the number of cores and are hardly more than those of one stream.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail};
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// Bytes of a block: large beside what a block costs, small beside a program.
const BLOCK: usize = 512 * 1024;
/// How far back deflate can refer.
const WINDOW: usize = 32 * 1024;
/// The smallest of the levels: an image is pulled more often than packed.
const LEVEL: u32 = 9;
/// No time and no name, "slowest", and no system: nothing of the machine.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];

/// Compresses `bytes`. The same bytes give the same result, with the same version of the compressor.
pub(super) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let starts: Vec<usize> = (0..bytes.len().max(1)).step_by(BLOCK).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(start) = starts.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push((*start, deflate(bytes, *start)?));
        }
        anyhow::Ok(done)
    };
    let mut blocks = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores.min(starts.len())).map(|_| scope.spawn(work)).collect();
        let done = workers.into_iter().map(|worker| match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        done.collect::<Result<Vec<_>>>()
    })?
    .concat();
    blocks.sort_by_key(|(start, _)| *start);

    let mut whole = HEADER.to_vec();
    blocks.iter().for_each(|(_, block)| whole.extend(block));
    let mut sum = Crc::new();
    sum.update(bytes);
    whole.extend(sum.sum().to_le_bytes());
    // Its length, as the format wants it: of 32 bits.
    whole.extend(sum.amount().to_le_bytes());
    Ok(whole)
}

/// The block that starts at `start`; the last one ends the stream.
fn deflate(bytes: &[u8], start: usize) -> Result<Vec<u8>> {
    let end = bytes.len().min(start + BLOCK);
    let (input, last) = (&bytes[start..end], end == bytes.len());
    let mut compress = Compress::new(Compression::new(LEVEL), false);
    if start > 0 {
        compress
            .set_dictionary(&bytes[start.saturating_sub(WINDOW)..start])
            .context("cannot prime deflate")?;
    }
    let flush = if last { FlushCompress::Finish } else { FlushCompress::Sync };
    let mut output = Vec::with_capacity(input.len() / 2 + 1024);
    loop {
        let read = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
        let status = compress.compress_vec(&input[read..], &mut output, flush).context("cannot compress")?;
        let all = compress.total_in() == input.len() as u64;
        match status {
            Status::StreamEnd => return Ok(output),
            // There was room left: the block is flushed.
            Status::Ok if !last && all && output.len() < output.capacity() => return Ok(output),
            Status::BufError if output.len() < output.capacity() => bail!("deflate does not go on"),
            Status::Ok | Status::BufError => output.reserve(input.len() / 4 + 1024),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_is_compressed_is_read_back_at_every_size() -> Result<()> {
        // Text that repeats, and noise that cannot be compressed.
        let mut noise = 1_u32;
        let mut byte = |index: usize| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if index % 50_000 < 25_000 { (noise >> 24) as u8 } else { b"links of a company "[index % 19] }
        };
        let bytes: Vec<u8> = (0..BLOCK * 2 + 77).map(&mut byte).collect();
        for size in [0, 1, 31, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, bytes.len()] {
            let packed = gzip(&bytes[..size])?;
            let mut read = Vec::new();
            flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut read)?;
            assert!(read == bytes[..size], "{size}");
            assert_eq!(packed, gzip(&bytes[..size])?);
        }
        Ok(())
    }
}
