//! `wait`: until containers stop; prints their exit codes.

use api::container::WaitCondition;

use crate::app::App;
use crate::attached;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::output;

pub(crate) const COMMAND: Command = Command {
    name: "wait",
    aliases: &[],
    usage: "CONTAINER [CONTAINER...]",
    about: "Block until one or more containers stop, then print their exit codes",
    flags: &[],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["container wait", "wait"],
    run: |app, line| Box::pin(async move { run(app, &line.operands).await }),
};

async fn run(app: &App, names: &[String]) -> Outcome {
    let mut failures = Vec::new();
    for name in names {
        let condition = WaitCondition::default();
        let answer = match app.client.containers().wait(name, &condition).await {
            Ok(wait) => attached::end_of(app, name, &condition, wait).await,
            Err(error) if error.is_connect() => return Err(error.into()),
            Err(error) => Err(error.into()),
        };
        match answer {
            Ok(answer) => output::out(&format!("{}\n", answer.status_code)),
            Err(failure) => failures.push(failure.text),
        }
    }
    if failures.is_empty() { Ok(0) } else { Err(Failure::new(failures.join("\n"))) }
}
