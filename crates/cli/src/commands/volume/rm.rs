//! `volume rm`.

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::output;

pub(crate) const COMMAND: Command = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    about: "Remove one or more volumes. You cannot remove a volume that is in use by a container.",
    flags: &[Flag::switch("force", "Force the removal of one or more volumes").short('f')],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["volume rm", "volume remove"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let mut failures = Vec::new();
    for name in &line.operands {
        match app.client.volumes().remove(name, line.switch("force")).await {
            Ok(()) => output::out(&format!("{name}\n")),
            Err(error) if error.is_connect() => return Err(error.into()),
            Err(error) => failures.push(error.to_string()),
        }
    }
    if failures.is_empty() { Ok(0) } else { Err(Failure::new(failures.join("\n"))) }
}
