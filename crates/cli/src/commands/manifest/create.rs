//! `manifest create`: begins a list, with what registries have.

use super::{Entry, Store, reference, remote};
use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::output;

pub(crate) const COMMAND: Command = Command {
    name: "create",
    aliases: &[],
    usage: "MANIFEST_LIST MANIFEST [MANIFEST...]",
    about: "Create a local manifest list for annotating and pushing to a registry",
    flags: &[
        Flag::switch("amend", "Amend an existing manifest list").short('a'),
        Flag::switch("insecure", "Allow communication with an insecure registry"),
    ],
    operands: Operands::AtLeast(2),
    interspersed: true,
    spellings: &["manifest create"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let name = &line.operands[0];
    let target = reference(name)
        .map_err(|error| Failure::new(format!("error parsing name for manifest list {name}: {error}")))?;
    let store = Store::of(app);
    if store.list(&target)?.is_some() && !line.switch("amend") {
        return Err(Failure::new("refusing to amend an existing manifest list with no --amend flag"));
    }
    // All are looked up before one is kept.
    let mut entries = Vec::new();
    for name in &line.operands[1..] {
        let image = reference(name).map_err(|error| Failure::new(error.to_string()))?;
        let entry = match store.get(&target, &image)?.filter(|entry| !entry.raw.is_empty()) {
            Some(entry) => entry,
            None => Entry::new(&image, remote(app, &image, line.switch("insecure")).await?, None)?,
        };
        entries.push((image, entry));
    }
    for (image, entry) in &entries {
        store.save(&target, image, entry)?;
    }
    output::out(&format!("Created manifest list {target}\n"));
    Ok(0)
}
