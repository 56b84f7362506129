//! `tags`: what a repository of a registry has. Docker has no such command.

use oci::Reference;

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::Parsed;
use crate::output::natural;
use crate::{credentials, output};

pub(crate) const COMMAND: Command = Command {
    name: "tags",
    aliases: &[],
    usage: "REPOSITORY",
    about: "List the tags of a repository in its registry",
    flags: &[],
    operands: Operands::Exactly(1),
    interspersed: true,
    spellings: &["tags"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let text = &line.operands[0];
    let reference = Reference::parse(text).map_err(|error| Failure::new(error.to_string()))?;
    if !reference.is_name_only() {
        return Err(Failure::new(format!("{text}: a repository is wanted, without tag or digest")));
    }
    let auth = credentials::header(app, reference.domain());
    let mut found = app.client.registries().tags(&reference.name(), &auth).await?;
    // Each registry has an order of its own.
    found.tags.sort_by(|a, b| natural::compare(a, b));
    output::out(&found.tags.iter().map(|tag| format!("{tag}\n")).collect::<String>());
    Ok(0)
}
