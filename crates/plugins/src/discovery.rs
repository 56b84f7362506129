//! Where a plugin is: a socket with its name, or a file with its name that tells an address.

use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::Error;

/// Docker's: sockets are in the first, files in the others.
pub const DIRECTORIES: &[&str] = &["/run/docker/plugins", "/etc/docker/plugins", "/usr/lib/docker/plugins"];

/// A file is some lines; what is longer is something else.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Where it is, and how to know it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// `unix:///run/x.sock`, `tcp://host:port`, `https://host:port`.
    pub(crate) address: String,
    pub(crate) tls: Tls,
}

/// As a `.json` file has it; empty texts are none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Tls {
    #[serde(rename = "CAFile")]
    pub(crate) authority: String,
    #[serde(rename = "CertFile")]
    pub(crate) certificate: String,
    #[serde(rename = "KeyFile")]
    pub(crate) key: String,
    pub(crate) insecure_skip_verify: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct File {
    addr: String,
    #[serde(rename = "TLSConfig")]
    tls: Option<Tls>,
}

/// # Errors
/// Nothing has its name, or what has it says no address.
pub(crate) fn find(directories: &[PathBuf], name: &str) -> Result<Found, Error> {
    // It becomes a part of paths.
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        return Err(Error::NotFound(name.to_owned()));
    }
    for path in places(directories, name, "sock") {
        if is_socket(&path) {
            return Ok(Found { address: format!("unix://{}", path.display()), tls: Tls::default() });
        }
    }
    for directory in directories {
        for extension in ["spec", "json"] {
            for path in places(std::slice::from_ref(directory), name, extension) {
                if path.is_file() {
                    return read(&path, extension == "json");
                }
            }
        }
    }
    Err(Error::NotFound(name.to_owned()))
}

/// `<name>.<extension>`, also in a directory of its own.
fn places(directories: &[PathBuf], name: &str, extension: &str) -> Vec<PathBuf> {
    let file = format!("{name}.{extension}");
    directories
        .iter()
        .flat_map(|directory| [directory.join(&file), directory.join(name).join(&file)])
        .collect()
}

fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

fn read(path: &Path, is_json: bool) -> Result<Found, Error> {
    let wrong = |why: String| Error::Place { path: path.display().to_string(), why };
    let text = match std::fs::metadata(path) {
        Ok(found) if found.len() > FILE_BYTES_MAX => Err(wrong("too long to be a plugin's address".into())),
        _ => std::fs::read_to_string(path).map_err(|error| wrong(error.to_string())),
    }?;
    let (address, tls) = match is_json {
        true => {
            let file: File = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
            (file.addr, file.tls.unwrap_or_default())
        }
        false => (text.trim().to_owned(), Tls::default()),
    };
    // As in Docker: without an authority anybody is believed.
    let insecure_skip_verify = tls.insecure_skip_verify || tls.authority.is_empty();
    match address.split_once("://") {
        Some(("unix" | "tcp" | "http" | "https", rest)) if !rest.is_empty() => {
            Ok(Found { address, tls: Tls { insecure_skip_verify, ..tls } })
        }
        Some((protocol, _)) => Err(wrong(format!("a plugin is not spoken to over {protocol:?}"))),
        None => Err(wrong(format!("Unknown protocol: {address:?} is no unix:// or tcp:// address"))),
    }
}

/// Each once, by name.
pub(crate) fn names(directories: &[PathBuf]) -> Vec<String> {
    let mut names = Vec::new();
    for directory in directories {
        for entry in entries(directory) {
            let path = entry.path();
            if path.is_dir() {
                let own = path.file_name().map(|name| name.to_owned());
                let inner = entries(&path).map(|entry| entry.path());
                names.extend(
                    inner.filter(|inner| inner.file_stem() == own.as_deref()).filter_map(|p| name_of(&p)),
                );
            } else {
                names.extend(name_of(&path));
            }
        }
    }
    names.sort();
    names.dedup();
    names
}

fn entries(directory: &Path) -> impl Iterator<Item = std::fs::DirEntry> {
    std::fs::read_dir(directory).into_iter().flatten().flatten()
}

fn name_of(path: &Path) -> Option<String> {
    let is_place = match path.extension()?.to_str()? {
        "sock" => is_socket(path),
        "spec" | "json" => path.is_file(),
        _ => false,
    };
    is_place.then(|| path.file_stem()?.to_str().map(str::to_owned)).flatten()
}
