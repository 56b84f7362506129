//! `logout`: forgets what `login` kept.

use crate::command::{Command, Operands};
use crate::credentials;
use crate::output;

pub(crate) const COMMAND: Command = Command {
    name: "logout",
    aliases: &[],
    usage: "[SERVER]",
    about: "Log out from a registry",
    flags: &[],
    operands: Operands::AtMost(1),
    interspersed: true,
    spellings: &["logout"],
    run: |app, line| {
        Box::pin(async move {
            let server = super::login::server(&line);
            output::out(&format!("Removing login credentials for {server}\n"));
            if let Err(failure) = credentials::forget(app, &server) {
                output::err(&format!("WARNING: could not erase credentials:\n{server}: {}\n", failure.text));
                return Ok(1);
            }
            Ok(0)
        })
    },
};
