//! `checkpoint create`.

use api::checkpoint::CreateRequest;

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::flags::{Flag, Parsed};
use crate::output;

pub(crate) const COMMAND: Command = Command {
    name: "create",
    aliases: &[],
    usage: "[OPTIONS] CONTAINER CHECKPOINT",
    about: "Create a checkpoint from a running container",
    flags: &[
        Flag::text("checkpoint-dir", "Use a custom checkpoint storage directory"),
        Flag::switch("leave-running", "Leave the container running after checkpoint"),
    ],
    operands: Operands::Exactly(2),
    interspersed: true,
    spellings: &["checkpoint create"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let request = CreateRequest {
        checkpoint_id: line.operands[1].clone(),
        checkpoint_dir: line.text("checkpoint-dir").to_owned(),
        exit: !line.switch("leave-running"),
    };
    app.client.checkpoints().create(&line.operands[0], &request).await?;
    output::out(&format!("{}\n", line.operands[1]));
    Ok(0)
}
