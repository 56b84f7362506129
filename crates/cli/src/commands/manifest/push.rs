//! `manifest push`: a list goes to its registry, after the manifests that are in other repositories there.

use api::registry::{CopyTarget, DistributionManifest};

use super::list::assemble;
use super::{Store, reference};
use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::{credentials, output, progress};

pub(crate) const COMMAND: Command = Command {
    name: "push",
    aliases: &[],
    usage: "[OPTIONS] MANIFEST_LIST",
    about: "Push a manifest list to a repository",
    flags: &[
        Flag::switch("insecure", "Allow push to an insecure registry"),
        Flag::switch("purge", "Remove the local manifest list after push").short('p'),
    ],
    operands: Operands::Exactly(1),
    interspersed: true,
    spellings: &["manifest push"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let target = reference(&line.operands[0]).map_err(|error| Failure::new(error.to_string()))?;
    let insecure = line.switch("insecure");
    let store = Store::of(app);
    let entries = store.list(&target)?.ok_or_else(|| Failure::new(format!("No such manifest: {target}")))?;
    if entries.is_empty() {
        return Err(Failure::new(format!("{target} not found")));
    }
    let platform = |entry: &super::Entry| entry.descriptor.platform.clone();
    let without = entries.iter().find(|entry| {
        platform(entry).is_none_or(|platform| platform.architecture.is_empty() || platform.os.is_empty())
    });
    if let Some(entry) = without {
        return Err(Failure::new(format!(
            "manifest {} must have an OS and Architecture to be pushed to a registry",
            entry.name
        )));
    }
    let (text, media_type) = assemble(&target, &entries)?;
    let auth = credentials::header(app, target.domain());
    let registries = app.client.registries();
    for entry in &entries {
        let source = entry.reference()?;
        if source.path() == target.path() {
            continue;
        }
        let digest = entry.descriptor.digest.parse();
        let digest: oci::Digest = digest.map_err(|error: oci::DigestError| {
            Failure::new(format!("digest parse of image {:?} failed: {error}", entry.name))
        })?;
        let there = target.name_only().with_digest(digest.clone());
        let copy = CopyTarget {
            to: there.to_string(),
            auth: credentials::get(app, credentials::key(target.domain()))?,
            insecure,
        };
        let from = source.name_only().with_digest(digest).to_string();
        progress::show(registries.copy(&from, &copy, &auth).await?, progress::To::Nowhere).await?;
        output::out(&format!("Pushed ref {there} with digest: {}\n", entry.descriptor.digest));
    }
    let mut list = DistributionManifest::default();
    media_type.clone_into(&mut list.descriptor.media_type);
    list.set_bytes(text.as_bytes());
    let put = registries.put_manifest(&target.to_string(), &list, insecure, &auth).await?;
    output::out(&format!("{}\n", put.descriptor.digest));
    if line.switch("purge") {
        store.remove(&target)?;
    }
    Ok(0)
}
