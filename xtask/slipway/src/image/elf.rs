//! What a program is, by its ELF headers: for which machine, static, stripped.

use crate::failure::{Code, Failure};

/// `e_machine` by the architecture's name in the field.
const MACHINES: &[(u16, &str)] = &[(62, "amd64"), (183, "arm64"), (3, "386"), (40, "arm"), (243, "riscv64")];

const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_GNU_STACK: u32 = 0x6474_e551;
const PF_X: u32 = 1;
const SHT_SYMTAB: u32 = 2;
const DT_NEEDED: u64 = 1;

/// Refuses a program that could not run in an empty root on `arch` (`amd64`, `arm64`), or that carries symbols.
pub(super) fn check(bytes: &[u8], arch: &str) -> Result<(), Failure> {
    let refuse =
        |what: String| Failure::new(Code::Failed, format!("the program cannot go into the image: {what}"));
    if !bytes.starts_with(b"\x7fELF") {
        return Err(refuse("it is no Linux program (ELF)".to_owned())
            .next("[image] target in xtask.toml names a Linux target"));
    }
    // The class and the order of bytes: 64 bits, little endian, as on every platform that we know.
    let elf = Elf { bytes };
    let program = (bytes.get(4..6) == Some(&[2, 1])).then(|| Program::read(&elf)).flatten();
    let Some(program) = program else {
        return Err(refuse("its headers cannot be read, or it is not of 64 bits".to_owned())
            .next("[image] target in xtask.toml names a target of 64 bits: which linker did cargo use?"));
    };
    let found = MACHINES.iter().find(|(machine, _)| *machine == program.machine);
    let found = found.map_or_else(|| format!("machine {}", program.machine), |(_, name)| (*name).to_owned());
    if found != arch {
        return Err(refuse(format!("it is for linux/{found}, the image for linux/{arch}"))
            .next("[image] target in xtask.toml decides: which linker did cargo use?"));
    }
    if program.interpreter || program.libraries > 0 {
        let needs = match program.libraries {
            0 => "it needs a dynamic loader".to_owned(),
            count => format!("it needs {count} shared libraries"),
        };
        return Err(refuse(format!("{needs}, and the image has none"))
            .why("it is not linked statically: a build script, or flags of your own, asked for more")
            .next("cargo tree --edges build      (who links a library of the system?)"));
    }
    if program.symbols {
        return Err(
            refuse("it is not stripped".to_owned()).next("strip = \"symbols\" in Cargo.toml [profile.image]")
        );
    }
    if program.executable_stack {
        return Err(refuse("its stack can be executed".to_owned())
            .why("assembler without a .note.GNU-stack section asks for that")
            .next("cargo tree --edges build      (who compiles assembler?)"));
    }
    Ok(())
}

/// What its headers say.
struct Program {
    machine: u16,
    interpreter: bool,
    /// How many shared libraries it needs.
    libraries: usize,
    symbols: bool,
    executable_stack: bool,
}

/// Bytes, read at places that may not be there.
struct Elf<'a> {
    bytes: &'a [u8],
}

impl Elf<'_> {
    fn number<const N: usize>(&self, at: u64) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let mut wide = [0; 8];
        wide[..N].copy_from_slice(self.bytes.get(at..at.checked_add(N)?)?);
        Some(u64::from_le_bytes(wide))
    }

    fn word(&self, at: u64) -> Option<u32> {
        self.number::<4>(at).map(|number| number as u32)
    }
}

impl Program {
    fn read(elf: &Elf<'_>) -> Option<Self> {
        let half = |at| elf.number::<2>(at);
        let table = |offset, size, count| -> Option<Vec<u64>> {
            let (start, size, count) = (elf.number::<8>(offset)?, half(size)?, half(count)?);
            (0..count).map(|index| start.checked_add(index * size)).collect()
        };
        let (segments, sections) = (table(32, 54, 56)?, table(40, 58, 60)?);
        let mut program = Program {
            machine: u16::try_from(half(18)?).ok()?,
            interpreter: false,
            libraries: 0,
            symbols: false,
            // Linux takes a missing header for a wish to execute.
            executable_stack: true,
        };
        for header in segments {
            match elf.word(header)? {
                PT_INTERP => program.interpreter = true,
                PT_GNU_STACK => program.executable_stack = elf.word(header + 4)? & PF_X != 0,
                PT_DYNAMIC => {
                    let (start, size) = (elf.number::<8>(header + 8)?, elf.number::<8>(header + 32)?);
                    let tags = (start..start.checked_add(size)?).step_by(16).map(|at| elf.number::<8>(at));
                    program.libraries =
                        tags.collect::<Option<Vec<_>>>()?.iter().filter(|tag| **tag == DT_NEEDED).count();
                }
                _ => {}
            }
        }
        for header in sections {
            program.symbols |= elf.word(header + 4)? == SHT_SYMTAB;
        }
        Some(program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file of one segment and one section.
    fn elf(machine: u16, segment: u32, flags: u32, section: u32) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56 * 2 + 64 + 32];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, b"\x7fELF\x02\x01");
        put(18, &machine.to_le_bytes());
        put(32, &64_u64.to_le_bytes());
        put(40, &176_u64.to_le_bytes());
        for (at, value) in [(54, 56_u16), (56, 2), (58, 64), (60, 1)] {
            put(at, &value.to_le_bytes());
        }
        put(64, &segment.to_le_bytes());
        // One DT_NEEDED and the end, where the segment is the dynamic one.
        put(72, &240_u64.to_le_bytes());
        put(96, &32_u64.to_le_bytes());
        put(240, &DT_NEEDED.to_le_bytes());
        put(120, &PT_GNU_STACK.to_le_bytes());
        put(124, &flags.to_le_bytes());
        put(180, &section.to_le_bytes());
        bytes
    }

    fn refusal(bytes: &[u8]) -> String {
        check(bytes, "amd64").err().map(|failure| failure.what).unwrap_or_default()
    }

    #[test]
    fn what_could_not_run_in_an_empty_root_is_refused() {
        assert_eq!(refusal(&elf(62, 1, 6, 1)), "");
        for (bytes, words) in [
            (elf(183, 1, 6, 1), "it is for linux/arm64, the image for linux/amd64"),
            (elf(999, 1, 6, 1), "it is for linux/machine 999"),
            (elf(62, PT_INTERP, 6, 1), "it needs a dynamic loader"),
            (elf(62, PT_DYNAMIC, 6, 1), "it needs 1 shared libraries"),
            (elf(62, 1, 6, SHT_SYMTAB), "it is not stripped"),
            (elf(62, 1, 7, 1), "its stack can be executed"),
            (b"\xcf\xfa\xed\xfe".to_vec(), "it is no Linux program"),
            (b"\x7fELF\x01\x01".to_vec(), "its headers cannot be read"),
            (elf(62, 1, 6, 1)[..100].to_vec(), "its headers cannot be read"),
        ] {
            assert!(refusal(&bytes).contains(words), "{words}: {}", refusal(&bytes));
        }
    }

    #[test]
    fn no_header_makes_it_panic() {
        let whole = elf(62, PT_DYNAMIC, 6, 1);
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _ = check(&bytes, "amd64");
                let _ = check(&bytes[..at], "amd64");
            }
        }
    }
}
