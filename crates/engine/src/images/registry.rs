//! What a reload changes, and why a pull failed.

use distribution::Settings;
use oci::Reference;

use super::Images;
use crate::error::Error;

impl Images {
    /// Insecure registries and mirrors as they are from now on.
    pub fn reload_registries(&self, settings: Settings) {
        self.registries.reload(settings);
    }
}

/// Why a pull failed: what is not there, or not to be seen, is not found; all else is trouble.
pub(super) fn pull_error(error: &distribution::Error, reference: &Reference) -> Error {
    let name = reference.familiar_name();
    match error.code() {
        "DENIED" => Error::not_found(format!(
            "pull access denied for {name}, repository does not exist or may require 'docker login': {error}"
        )),
        "MANIFEST_UNKNOWN" => {
            Error::not_found(format!("manifest for {} not found: {error}", reference.familiar()))
        }
        "NAME_UNKNOWN" => Error::not_found(format!("repository {name} not found: {error}")),
        _ => match error {
            distribution::Error::NoPlatform(_) => Error::not_found(error.to_string()),
            distribution::Error::Unsupported(_) => Error::unsupported(error.to_string()),
            _ => Error::internal(error.to_string()),
        },
    }
}
