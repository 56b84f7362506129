//! `network disconnect`.

use api::network::NetworkDisconnectRequest;

use crate::command::{Command, Operands};
use crate::flags::Flag;

pub(crate) const COMMAND: Command = Command {
    name: "disconnect",
    aliases: &[],
    usage: "[OPTIONS] NETWORK CONTAINER",
    about: "Disconnect a container from a network",
    flags: &[Flag::switch("force", "Force the container to disconnect from a network").short('f')],
    operands: Operands::Exactly(2),
    interspersed: true,
    spellings: &["network disconnect"],
    run: |app, line| {
        Box::pin(async move {
            let request =
                NetworkDisconnectRequest { container: line.operands[1].clone(), force: line.switch("force") };
            app.client.networks().disconnect(&line.operands[0], &request).await?;
            Ok(0)
        })
    },
};
