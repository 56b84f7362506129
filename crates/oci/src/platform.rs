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

/// The text is not `os[/architecture[/variant]]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is an invalid OS component of \"{0}\": OSAndVersion specifier component must match \"^([A-Za-z0-9_.-]+)(?:\\\\(([A-Za-z0-9_.-]*)\\\\))?$\""
)]
pub struct PlatformError(pub String);

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

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Platform, PlatformError> {
        let mut parts = text.split('/');
        let valid = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        let first = parts.next().unwrap_or_default();
        let (second, variant, rest) = (parts.next(), parts.next(), parts.next());
        let all_valid = [Some(first), second, variant].into_iter().flatten().all(valid);
        if !all_valid || rest.is_some() {
            return Err(PlatformError(text.into()));
        }
        let lower = first.to_ascii_lowercase();
        let mut platform = match second {
            Some(architecture) => Platform::new(&lower, go_architecture(&architecture.to_ascii_lowercase())),
            // One word is an operating system if it is a known one, an architecture otherwise.
            None if matches!(lower.as_str(), "linux" | "windows" | "darwin" | "freebsd") => {
                Platform { os: lower, ..Platform::host() }
            }
            None => Platform::new("linux", go_architecture(&lower)),
        };
        platform.variant = variant.map(str::to_ascii_lowercase);
        Ok(platform)
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
