//! Registries: who asks.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};

use crate::go;

/// The header that carries an [`AuthConfig`].
pub const REGISTRY_AUTH: &str = "x-registry-auth";

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// Credentials for one registry.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthConfig {
    #[serde(skip_serializing_if = "go::is_zero")]
    pub username: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub password: String,
    /// `user:password`, in base64; what `config.json` holds.
    #[serde(skip_serializing_if = "go::is_zero")]
    pub auth: String,
    #[serde(rename = "serveraddress", skip_serializing_if = "go::is_zero")]
    pub server_address: String,
    /// Gets tokens, in place of a password.
    #[serde(rename = "identitytoken", skip_serializing_if = "go::is_zero")]
    pub identity_token: String,
    #[serde(rename = "registrytoken", skip_serializing_if = "go::is_zero")]
    pub registry_token: String,
}

impl std::fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (username, server) = (&self.username, &self.server_address);
        f.debug_struct("AuthConfig")
            .field("username", username)
            .field("server", server)
            .finish_non_exhaustive()
    }
}

impl AuthConfig {
    /// As a header holds it: JSON in base64 for URLs.
    pub fn to_header(&self) -> String {
        URL.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Either alphabet, padded or not. `None`: it is no such thing.
    pub fn from_header(text: &str) -> Option<Self> {
        let bytes = URL.decode(text).or_else(|_| PLAIN.decode(text)).ok()?;
        go::from_slice(&bytes).ok()
    }
}

/// Answer to `POST /auth`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct AuthResponse {
    /// Stands for the password, if it is there.
    #[serde(skip_serializing_if = "go::is_zero")]
    pub identity_token: String,
    pub status: String,
}

/// Answer to `GET /distribution/{name}/json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DistributionInspect {
    pub descriptor: crate::image::Descriptor,
    pub platforms: Vec<crate::image::Platform>,
}

/// One answer of `GET /images/search`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchResult {
    pub star_count: i64,
    pub is_official: bool,
    pub name: String,
    /// Of builds that are no more: always false.
    pub is_automated: bool,
    pub description: String,
}

/// Answer to `GET /distribution/{name}/tags`, which Docker does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RepositoryTags {
    pub name: String,
    pub tags: Vec<String>,
}

/// A manifest or index, as a registry has it or shall have it: `/distribution/{name}/manifest`, which Docker does not have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DistributionManifest {
    pub descriptor: crate::image::Descriptor,
    pub platforms: Vec<crate::image::Platform>,
    /// Byte by byte, in base64.
    pub raw: String,
}

impl DistributionManifest {
    /// `None`: it is no base64.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        PLAIN.decode(&self.raw).ok()
    }

    pub fn set_bytes(&mut self, bytes: &[u8]) {
        self.raw = PLAIN.encode(bytes);
    }
}

/// Body of `POST /distribution/{name}/copy`, which Docker does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct CopyTarget {
    pub to: String,
    /// Who asks there.
    pub auth: AuthConfig,
    /// Whatever the registries' certificates are.
    pub insecure: bool,
}

/// `user:password` in base64.
pub fn encode_pair(username: &str, password: &str) -> String {
    PLAIN.encode(format!("{username}:{password}"))
}

/// The two of it.
pub fn decode_pair(text: &str) -> Option<(String, String)> {
    let text = String::from_utf8(PLAIN.decode(text).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    // Docker's own client once wrote zero bytes at the end.
    Some((username.to_owned(), password.trim_end_matches('\0').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_pairs_are_written_and_read() {
        let auth = AuthConfig { username: "me".into(), password: "p?>ss".into(), ..AuthConfig::default() };
        assert_eq!(AuthConfig::from_header(&auth.to_header()), Some(auth));
        assert_eq!(AuthConfig::from_header("e30="), Some(AuthConfig::default()));
        assert_eq!(AuthConfig::from_header("e30"), Some(AuthConfig::default()));
        assert_eq!(AuthConfig::from_header("%"), None);
        assert_eq!(decode_pair(&encode_pair("me", "a:b")), Some(("me".into(), "a:b".into())));
    }
}
