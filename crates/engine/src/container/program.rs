//! What a program file asks for before its first instruction: the machine it is for and the loader or interpreter that
//! runs it. A file that is there and yet "no such file" (execve(2)) misses one of these.

/// The first kilobytes of an executable, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Program {
    Elf {
        /// Name of `e_machine` as `docker inspect` spells architectures; a number where it has no name here.
        machine: String,
        /// `PT_INTERP`; none for a static program.
        loader: Option<String>,
    },
    Script {
        interpreter: String,
    },
    Empty,
    /// Neither ELF nor `#!`: the kernel does not run it.
    Unknown,
}

/// Enough for the program headers of what linkers write, and for a script's first line (BINPRM_BUF_SIZE is 256).
pub(crate) const HEAD_BYTES: usize = 16 * 1024;

impl Program {
    /// Any bytes: it is the container's file, so nothing in it is believed.
    pub(crate) fn read(head: &[u8]) -> Self {
        if head.is_empty() {
            return Self::Empty;
        }
        if let Some(rest) = head.strip_prefix(b"#!") {
            let line = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
            let text = String::from_utf8_lossy(line);
            return match text.split_ascii_whitespace().next() {
                Some(word) if text.trim_start().starts_with(word) => {
                    // A carriage return at the line's end is part of the name, to the kernel: the usual surprise.
                    let stray = text.ends_with('\r') && text.split_ascii_whitespace().count() == 1;
                    let interpreter = if stray { format!("{word}\\r") } else { word.to_owned() };
                    Self::Script { interpreter }
                }
                _ => Self::Unknown,
            };
        }
        elf(head).unwrap_or(Self::Unknown)
    }
}

fn elf(head: &[u8]) -> Option<Program> {
    let ident = head.strip_prefix(b"\x7fELF")?;
    let (is_64, big) = (*ident.first()? == 2, *ident.get(1)? == 2);
    let number = |at: usize, size: usize| -> Option<u64> {
        let bytes = head.get(at..at.checked_add(size)?)?;
        let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if big { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) })
    };
    let machine = match (number(18, 2)?, is_64, big) {
        (62, true, _) => "amd64".to_owned(),
        (62, false, _) => "amd64 (x32)".to_owned(),
        (3, ..) => "386".to_owned(),
        (183, ..) => "arm64".to_owned(),
        (40, ..) => "arm".to_owned(),
        (243, true, _) => "riscv64".to_owned(),
        (21, true, false) => "ppc64le".to_owned(),
        (21, true, true) => "ppc64".to_owned(),
        (22, true, _) => "s390x".to_owned(),
        (8, true, false) => "mips64le".to_owned(),
        (258, ..) => "loong64".to_owned(),
        (other, ..) => format!("ELF machine {other}"),
    };
    let (table, entry, count) = match is_64 {
        true => (number(32, 8)?, number(54, 2)?, number(56, 2)?),
        false => (number(28, 4)?, number(42, 2)?, number(44, 2)?),
    };
    let loader = (0..count.min(64)).find_map(|index| {
        let at = usize::try_from(table.checked_add(index.checked_mul(entry)?)?).ok()?;
        const PT_INTERP: u64 = 3;
        if number(at, 4)? != PT_INTERP {
            return None;
        }
        let (offset, size) = match is_64 {
            true => (number(at.checked_add(8)?, 8)?, number(at.checked_add(32)?, 8)?),
            false => (number(at.checked_add(4)?, 4)?, number(at.checked_add(16)?, 4)?),
        };
        let offset = usize::try_from(offset).ok()?;
        let end = offset.checked_add(usize::try_from(size).ok()?.min(4096))?;
        let name = head.get(offset..end)?;
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        Some(String::from_utf8_lossy(name).into_owned())
    });
    Some(Program::Elf { machine, loader })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_name_their_interpreter() {
        let of = |text: &str| Program::read(text.as_bytes());
        let script = |name: &str| Program::Script { interpreter: name.into() };
        assert_eq!(of("#!/bin/sh -e\necho"), script("/bin/sh"));
        assert_eq!(of("#! /usr/bin/env python3\n"), script("/usr/bin/env"));
        assert_eq!(of("#!/bin/bash\r\necho"), script("/bin/bash\\r"));
        assert_eq!(of("#!\n"), Program::Unknown);
        assert_eq!(of("echo hello\n"), Program::Unknown);
        assert_eq!(of(""), Program::Empty);
    }

    #[test]
    fn elf_files_name_machine_and_loader() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        let Program::Elf { machine, loader } = Program::read(&own[..HEAD_BYTES.min(own.len())]) else {
            panic!()
        };
        assert_eq!(machine, if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" });
        assert!(loader.is_none_or(|loader| loader.starts_with('/')));
        // Cut anywhere, it is no crash.
        for length in (0..2048).step_by(7) {
            let _ = Program::read(&own[..length]);
        }
        let mut hostile = own[..4096].to_vec();
        hostile[32..40].fill(0xff);
        hostile[54..58].fill(0xff);
        assert!(matches!(Program::read(&hostile), Program::Elf { loader: None, .. }));
    }
}
