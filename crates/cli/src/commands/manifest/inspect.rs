//! `manifest inspect`: a manifest or a list: of those that are put together here, or a registry's.

use oci::{Index, Reference, media_type};

use super::list::{assemble, indented};
use super::{Entry, Store, reference, remote};
use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::output;

pub(crate) const COMMAND: Command = Command {
    name: "inspect",
    aliases: &[],
    usage: "[OPTIONS] [MANIFEST_LIST] MANIFEST",
    about: "Display an image manifest, or manifest list",
    flags: &[
        Flag::switch("insecure", "Allow communication with an insecure registry"),
        Flag::switch("verbose", "Output additional info including layers and platform").short('v'),
    ],
    operands: Operands::Between(1, 2),
    interspersed: true,
    spellings: &["manifest inspect"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

const TAB: &[u8] = b"\t";

async fn run(app: &App, line: &Parsed) -> Outcome {
    let parse = |text: &String| reference(text).map_err(|error| Failure::new(error.to_string()));
    let (verbose, insecure) = (line.switch("verbose"), line.switch("insecure"));
    let store = Store::of(app);
    if let [list, name] = line.operands.as_slice() {
        let (name, list) = (parse(name)?, parse(list)?);
        let entry = store.get(&list, &name)?;
        show(&entry.ok_or_else(|| Failure::new(format!("No such manifest: {name}")))?, verbose)?;
        return Ok(0);
    }
    let name = parse(&line.operands[0])?;
    if let Some(entries) = store.list(&name)? {
        show_list(&name, &entries, verbose)?;
        return Ok(0);
    }
    let found = remote(app, &name, insecure).await?;
    if !media_type::is_index(&found.descriptor.media_type) {
        show(&Entry::new(&name, found, None)?, verbose)?;
        return Ok(0);
    }
    let index: Index = serde_json::from_slice(&found.bytes().unwrap_or_default())
        .map_err(|error| Failure::new(format!("{name}: {error}")))?;
    let mut entries = Vec::new();
    for descriptor in index.manifests {
        // Named with the tag that it was found under.
        let by_digest = name.name_only().with_digest(descriptor.digest.clone());
        let child = remote(app, &by_digest, insecure).await?;
        let mut entry = Entry::new(&by_digest, child, descriptor.platform)?;
        entry.name = format!("{name}@{}", descriptor.digest);
        entries.push(entry);
    }
    show_list(&name, &entries, verbose)?;
    Ok(0)
}

fn show(entry: &Entry, verbose: bool) -> Result<(), Failure> {
    let text = match entry.document() {
        _ if verbose => indented(entry, TAB),
        Some(document) => indented(document, TAB),
        None => return Err(Failure::new(format!("{} has no payload", entry.name))),
    };
    output::out(&format!("{text}\n"));
    Ok(())
}

fn show_list(name: &Reference, entries: &[Entry], verbose: bool) -> Result<(), Failure> {
    let text = if verbose { indented(&entries, TAB) } else { assemble(name, entries)?.0 };
    output::out(&format!("{text}\n"));
    Ok(())
}
