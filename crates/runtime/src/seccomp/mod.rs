//! System call filters: from names to a program in the kernel's classic BPF.
//!
//! ```text
//! Docker's profile ──resolve(capabilities, kernel)──► LinuxSeccomp ──compile──► Filter ──sys::seccomp::install
//!   (default.rs, or a JSON file: profile.rs)            (runtime spec)          (bytes)
//! ```
//!
//! The kernel runs the program for every number once when it is installed, and later for every call whose
//! answer depends on more than the number. So the program is a search tree over *ranges* of numbers with the
//! same answer: Docker's profile becomes some 200 instructions for three ABIs, where a list of comparisons has
//! 2000, and installing takes a tenth of the time. Meaning and corner cases follow libseccomp as runc uses it:
//!
//! - names that the ABI (or this table) lacks are skipped, as are rules that repeat the default;
//! - a rule without argument tests beats all others of the call, then the first that fits wins;
//! - numbers above the greatest that the profile names for an ABI get `ENOSYS` (unless the default lets calls
//!   pass), so that C libraries fall back to older calls instead of giving up at `EPERM`;
//! - an ABI that the profile does not list is killed.

mod arch;
mod assemble;
mod compile;
mod default;
mod filter;
mod profile;
mod syscalls;
#[cfg(test)]
mod tests;

pub use arch::Abi;
pub use compile::{compile, compile_for};
pub use default::default_profile;
pub use filter::Filter;
pub use profile::{Host, Profile};

/// A profile that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The JSON is not a profile.
    #[error("decoding seccomp profile failed: {0}")]
    Decode(#[from] serde_json::Error),
    /// It says two things at once, or something that cannot be.
    #[error("{0}")]
    Invalid(String),
    /// A rule has more argument tests or calls than a program can hold.
    #[error("the seccomp filter would need {0} instructions, more than the 4096 that the kernel takes")]
    TooLong(usize),
}
