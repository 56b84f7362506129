//! `manifest rm`: forgets lists that were being put together.

use super::{Store, reference};
use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::Parsed;

pub(crate) const COMMAND: Command = Command {
    name: "rm",
    aliases: &[],
    usage: "MANIFEST_LIST [MANIFEST_LIST...]",
    about: "Delete one or more manifest lists from local storage",
    flags: &[],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["manifest rm"],
    run: |app, line| Box::pin(async move { run(app, &line) }),
};

fn run(app: &App, line: &Parsed) -> Outcome {
    let store = Store::of(app);
    let remove = |text: &String| -> Result<(), Failure> {
        let list = reference(text).map_err(|error| Failure::new(error.to_string()))?;
        if store.list(&list)?.is_none() {
            return Err(Failure::new(format!("No such manifest: {list}")));
        }
        store.remove(&list)
    };
    let failures: Vec<String> =
        line.operands.iter().filter_map(|text| remove(text).err()).map(|failure| failure.text).collect();
    if failures.is_empty() { Ok(0) } else { Err(Failure::new(failures.join("\n"))) }
}
