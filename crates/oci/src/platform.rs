//! Platforms: `os/architecture[/variant]`, in Go's names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an image runs on. JSON as in the image index specification, "platform".
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// The text is not `os[/architecture[/variant]]`; in the words of containerd's parser, which Docker shows.
/// <https://pkg.go.dev/github.com/containerd/platforms#Parse>
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    #[error(
        "{part:?} is an invalid OS component of {whole:?}: OSAndVersion specifier component must match \"^([A-Za-z0-9_-]+)(?:\\\\(([A-Za-z0-9_.%-]*)((?:\\\\+[A-Za-z0-9_.%-]+)*)\\\\))?$\": invalid argument"
    )]
    Os { part: String, whole: String },
    #[error(
        "{part:?} is an invalid component of {whole:?}: platform specifier component must match \"^[A-Za-z0-9_.-]+$\": invalid argument"
    )]
    Component { part: String, whole: String },
    #[error("{0:?}: unknown operating system or architecture: invalid argument")]
    Unknown(String),
    #[error("{0:?}: cannot parse platform specifier: invalid argument")]
    Shape(String),
}

impl Platform {
    pub fn new(os: &str, architecture: &str) -> Platform {
        Platform {
            architecture: architecture.into(),
            os: os.into(),
            os_version: None,
            os_features: Vec::new(),
            variant: None,
        }
    }

    /// The platform this binary was built for.
    pub fn host() -> Platform {
        Platform::new("linux", go_architecture(std::env::consts::ARCH))
    }

    /// Can an image for `self` run where `wanted` is asked for? A missing variant matches any.
    pub fn satisfies(&self, wanted: &Platform) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && match (&self.variant, &wanted.variant) {
                (Some(has), Some(wants)) => has == wants,
                _ => true,
            }
    }
}

/// Go's name for an architecture that Rust or `uname` spells in its own way.
pub fn go_architecture(name: &str) -> &str {
    match name {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "armhf" | "armel" => "arm",
        "i386" | "i686" | "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

/// What Go runs on.
const SYSTEMS: [&str; 17] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
];

/// What Go compiles to.
const ARCHITECTURES: [&str; 22] = [
    "386", "amd64", "amd64p32", "arm", "armbe", "arm64", "arm64be", "ppc64", "ppc64le", "loong64", "mips",
    "mipsle", "mips64", "mips64le", "ppc", "riscv", "riscv64", "s390", "s390x", "sparc", "sparc64", "wasm",
];

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Platform, PlatformError> {
        let whole = || text.to_owned();
        let only = |part: &str, marks: &[u8]| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || marks.contains(&b))
        };
        let mut parts = text.splitn(4, '/');
        let first = parts.next().unwrap_or_default();
        if !only(first, b"_-") {
            return Err(PlatformError::Os { part: first.to_owned(), whole: whole() });
        }
        let rest: Vec<&str> = parts.collect();
        if let Some(part) = rest.iter().find(|part| !only(part, b"_.-")) {
            return Err(PlatformError::Component { part: (*part).to_owned(), whole: whole() });
        }
        let system = match first.to_ascii_lowercase() {
            name if name == "macos" => "darwin".to_owned(),
            name => name,
        };
        match rest[..] {
            // One word is an operating system if it is a known one, an architecture otherwise.
            [] if SYSTEMS.contains(&system.as_str()) => Ok(Platform { os: system, ..Platform::host() }),
            [] => {
                let platform = Platform::of("linux", first, "");
                let known = ARCHITECTURES.contains(&platform.architecture.as_str());
                if known { Ok(platform) } else { Err(PlatformError::Unknown(whole())) }
            }
            [architecture] => Ok(Platform::of(&system, architecture, "")),
            [architecture, variant] => Ok(Platform::of(&system, architecture, variant)),
            _ => Err(PlatformError::Shape(whole())),
        }
    }
}

impl Platform {
    /// With the names of architecture and variant as Go has them; what is usual for one is left out.
    fn of(os: &str, architecture: &str, variant: &str) -> Platform {
        let (architecture, variant) = (architecture.to_ascii_lowercase(), variant.to_ascii_lowercase());
        let variant = match (architecture.as_str(), variant.as_str()) {
            ("i386" | "armhf", _) => "",
            ("armel", _) => "v6",
            ("x86_64" | "x86-64" | "amd64", "v1") => "",
            ("aarch64" | "arm64", "8" | "v8" | "v8.0") => "",
            ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => "v9",
            ("arm", "7" | "v7") => "",
            ("arm", "5") => "v5",
            ("arm", "6") => "v6",
            ("arm", "8") => "v8",
            (_, variant) => variant,
        };
        Platform {
            variant: Some(variant.to_owned()).filter(|variant| !variant.is_empty()),
            ..Platform::new(os, go_architecture(&architecture))
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}
