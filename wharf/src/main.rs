//! The binary: it finds out which face it is called as, and hands over.
//!
//! Private faces come first and nothing is parsed before they had their chance, because the spawner and
//! the runtime start on the hot path of every container.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

mod hello;

/// What this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Face {
    /// The program of the built-in `hello-world` image.
    Hello,
    /// `docker` and `wharf`: the command line.
    Client,
}

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    match face(&args, || std::env::current_exe().is_ok_and(|exe| exe == Path::new("/hello"))) {
        Face::Hello => hello::main(),
        Face::Client => cli::main(args),
    }
}

/// Decides by the base name of `argv[0]`, then by the first argument.
///
/// `is_hello_image` is asked only when `argv[0]` is `hello`: a user may well have named a copy of the binary so.
fn face(args: &[OsString], is_hello_image: impl FnOnce() -> bool) -> Face {
    let called = args.first().map_or(OsStr::new(""), |name| Path::new(name).file_name().unwrap_or(name));
    match called.as_bytes() {
        b"hello" if is_hello_image() => Face::Hello,
        _ => Face::Client,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face_of(line: &str) -> Face {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        face(&args, || line.starts_with("/hello"))
    }

    #[test]
    fn argv0_decides_first() {
        assert_eq!(face_of("/hello"), Face::Hello);
        assert_eq!(face_of("/usr/bin/hello"), Face::Client);
        assert_eq!(face_of("docker ps"), Face::Client);
    }
}
