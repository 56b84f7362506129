//! `network rm`.

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::flags::{Flag, Parsed};
use crate::output;

pub(crate) const COMMAND: Command = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "NETWORK [NETWORK...]",
    about: "Remove one or more networks",
    flags: &[Flag::switch("force", "Do not error if the network does not exist").short('f')],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["network rm", "network remove"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let mut status = 0;
    for name in &line.operands {
        match app.client.networks().remove(name).await {
            Ok(()) => output::out(&format!("{name}\n")),
            Err(error) if error.is_connect() => return Err(error.into()),
            Err(error) if line.switch("force") && error.is_not_found() => {}
            Err(error) => {
                output::err(&format!("{error}\n"));
                status = 1;
            }
        }
    }
    match status {
        0 => Ok(0),
        // As Docker's client, which says it once more.
        status => Err(crate::failure::Failure::new(format!("exit status {status}"))),
    }
}
