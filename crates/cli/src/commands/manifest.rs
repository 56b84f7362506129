//! `manifest`: lists of manifests that are put together here and pushed. What is being put together lies below the
//! configuration's directory, in files that Docker's own client reads and writes, too.

use oci::{Reference, ReferenceError};

use crate::app::App;
use crate::command::Noun;
use crate::failure::Failure;

pub(crate) mod annotate;
pub(crate) mod create;
pub(crate) mod inspect;
mod list;
pub(crate) mod push;
pub(crate) mod rm;
mod store;

use list::Entry;
use store::Store;

pub(crate) const NOUN: Noun = Noun {
    name: "manifest",
    usage: "COMMAND",
    about: "Manage Docker image manifests and manifest lists",
    verbs: &[&annotate::COMMAND, &create::COMMAND, &inspect::COMMAND, &push::COMMAND, &rm::COMMAND],
};

/// With its tag, if it has no digest.
fn reference(text: &str) -> Result<Reference, ReferenceError> {
    Reference::parse(text).map(Reference::or_latest)
}

/// What a registry has under a name.
///
/// # Errors
/// Nothing, or it is not to be had.
async fn remote(
    app: &App,
    name: &Reference,
    insecure: bool,
) -> Result<api::registry::DistributionManifest, Failure> {
    let auth = crate::credentials::header(app, name.domain());
    match app.client.registries().manifest(&name.to_string(), insecure, &auth).await {
        Err(client::Error::Api { status, .. }) if status == http::StatusCode::NOT_FOUND => {
            Err(Failure::new(format!("no such manifest: {name}")))
        }
        answer => Ok(answer?),
    }
}
