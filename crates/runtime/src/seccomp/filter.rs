//! A compiled filter: what goes to the kernel, and to the spawner in a request.

use std::io;
use std::os::fd::OwnedFd;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A program and the flags it is installed with. As JSON: a string, `flags:program` in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    program: Vec<u8>,
    flags: u32,
}

impl Filter {
    pub(super) fn new(program: Vec<u8>, flags: u32) -> Filter {
        Filter { program, flags }
    }

    /// `struct sock_filter`s, 8 bytes each, in the machine's byte order.
    pub fn program(&self) -> &[u8] {
        &self.program
    }

    /// `SECCOMP_FILTER_FLAG_*`.
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// Does it report to a listener (`SCMP_ACT_NOTIFY`)?
    pub fn notifies(&self) -> bool {
        self.flags & sys::seccomp::flag::NEW_LISTENER != 0
    }

    /// Installs it for the calling thread and what it will start. Flags that an older kernel does not know and
    /// that change no verdict are left out there.
    ///
    /// # Errors
    /// `EACCES` without `no_new_privs` or `CAP_SYS_ADMIN`; `EINVAL` for a flag or action that the kernel lacks.
    pub fn install(&self) -> io::Result<Option<OwnedFd>> {
        use sys::seccomp::{flag, install};
        match install(&self.program, self.flags) {
            // SPEC_ALLOW since 4.17, LOG since 4.14: speed and reporting only.
            Err(e)
                if e.kind() == io::ErrorKind::InvalidInput
                    && self.flags & (flag::SPEC_ALLOW | flag::LOG) != 0 =>
            {
                install(&self.program, self.flags & !(flag::SPEC_ALLOW | flag::LOG))
            }
            other => other,
        }
    }
}

impl<'a> From<&'a Filter> for crate::Filter<'a> {
    fn from(filter: &'a Filter) -> Self {
        crate::Filter { program: &filter.program, flags: filter.flags }
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = format!("{:x}:", self.flags);
        text.reserve(self.program.len() * 2);
        for byte in &self.program {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Filter, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| de::Error::custom("not a compiled seccomp filter"))
    }
}

fn parse(text: &str) -> Option<Filter> {
    let (flags, program) = text.split_once(':')?;
    let digits = program.as_bytes();
    if !digits.len().is_multiple_of(16) {
        return None;
    }
    let digit = |d: u8| char::from(d).to_digit(16);
    let program = digits
        .chunks(2)
        .map(|pair| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok())
        .collect::<Option<_>>()?;
    Some(Filter { program, flags: u32::from_str_radix(flags, 16).ok()? })
}
