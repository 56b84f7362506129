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
    /// The engine's helper that forks a monitor for each process.
    Spawner,
    /// The engine's helper that answers what containers ask for names.
    Resolver,
    /// `wharf oci`, or called as `runc`: the OCI runtime on its own.
    Runtime,
    /// The program of the built-in `hello-world` image.
    Hello,
    /// `wharf daemon`, `dockerd`: the engine.
    Daemon,
    /// `wharf check`: is this machine fit?
    Check,
    /// `wharf registry`: a registry for images.
    Registry,
    /// Called as `registry`, or by the built-in image: the same, with the command line of Docker's.
    RegistryImage,
    /// `docker` and `wharf`: the command line.
    Client,
}

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if std::env::var_os("WHARF_AUTOSTARTED").is_some() {
        // A client started this engine in the background: a session of its own lets it outlive that terminal. It is
        // refused to a session leader, and then there is nothing to do.
        let _ = rustix::process::setsid();
    }
    match face(&args, |path| std::env::current_exe().is_ok_and(|exe| exe == Path::new(path))) {
        Face::Spawner => shim::spawner::main(),
        Face::Resolver => resolver::main(),
        Face::Runtime => {
            let named = args.first().is_some_and(|name| base_name(name) == "runc");
            runtime::command::main(args.into_iter().skip(usize::from(!named)))
        }
        Face::Hello => hello::main(),
        Face::Daemon => {
            let named = args.first().is_some_and(|name| base_name(name) == "dockerd");
            let words = args.into_iter().skip(if named { 1 } else { 2 });
            daemon::main(&words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>())
        }
        Face::Check => check::main(args.into_iter().skip(2)),
        Face::Registry => registry::command::main(args.into_iter().skip(1)),
        Face::RegistryImage => registry::image::main(args),
        Face::Client => cli::main(args),
    }
}

/// Decides by the base name of `argv[0]`, then by the first argument.
///
/// `lies_at` is asked only for names that mean something in a built-in image: a user may well have named a copy so.
fn face(args: &[OsString], lies_at: impl Fn(&str) -> bool) -> Face {
    let called = args.first().map_or(OsStr::new(""), |name| base_name(name));
    match called.as_bytes() {
        b"wharf-spawner" => Face::Spawner,
        b"wharf-resolver" => Face::Resolver,
        b"runc" => Face::Runtime,
        b"dockerd" => Face::Daemon,
        b"registry" => Face::RegistryImage,
        b"hello" if lies_at("/hello") => Face::Hello,
        b"entrypoint.sh" if lies_at("/bin/registry") => Face::RegistryImage,
        _ => match args.get(1).map(|first| first.as_bytes()) {
            Some(b"oci") => Face::Runtime,
            Some(b"check") => Face::Check,
            Some(b"registry") => Face::Registry,
            Some(b"daemon") => Face::Daemon,
            _ => Face::Client,
        },
    }
}

fn base_name(path: &OsStr) -> &OsStr {
    Path::new(path).file_name().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face_of(line: &str) -> Face {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        face(&args, |path| line.starts_with('/') && (path == "/hello" || path == "/bin/registry"))
    }

    #[test]
    fn argv0_decides_first() {
        assert_eq!(face_of("/hello"), Face::Hello);
        assert_eq!(face_of("hello"), Face::Client);
        assert_eq!(face_of("/entrypoint.sh /etc/docker/registry/config.yml"), Face::RegistryImage);
        assert_eq!(face_of("./entrypoint.sh"), Face::Client);
        assert_eq!(face_of("/bin/registry serve"), Face::RegistryImage);
        assert_eq!(face_of("wharf-spawner"), Face::Spawner);
        assert_eq!(face_of("wharf-resolver"), Face::Resolver);
        assert_eq!(face_of("/usr/sbin/runc --version"), Face::Runtime);
        assert_eq!(face_of("wharf oci list"), Face::Runtime);
        assert_eq!(face_of("wharf check"), Face::Check);
        assert_eq!(face_of("wharf registry serve"), Face::Registry);
        assert_eq!(face_of("docker pull registry"), Face::Client);
        assert_eq!(face_of("wharf run check"), Face::Client);
        assert_eq!(face_of("docker ps"), Face::Client);
    }
}
