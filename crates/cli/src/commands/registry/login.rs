//! `login`: asks the engine whether a registry knows the user, and keeps what it was asked with.

use std::io::Read as _;

use api::registry::AuthConfig;

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::credentials::{self, HUB};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::{output, terminal};

pub(crate) const COMMAND: Command = Command {
    name: "login",
    aliases: &[],
    usage: "[OPTIONS] [SERVER]",
    about: "Authenticate to a registry",
    flags: &[
        Flag::text("password", "Password or personal access token").short('p'),
        Flag::switch("password-stdin", "Take the password or token from stdin"),
        Flag::text("username", "Username").short('u'),
    ],
    operands: Operands::AtMost(1),
    interspersed: true,
    spellings: &["login"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let server = server(line);
    let username = line.text("username");
    if line.changed("username") && username.trim().is_empty() {
        return Err(Failure::new("username is empty"));
    }
    let mut password = line.text("password").to_owned();
    if line.changed("password") {
        output::err("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n");
        if line.switch("password-stdin") {
            return Err(Failure::new(
                "conflicting options: cannot specify both --password and --password-stdin",
            ));
        }
        if password.is_empty() {
            return Err(Failure::new("password is empty"));
        }
    }
    if line.switch("password-stdin") {
        if username.is_empty() {
            return Err(Failure::new("the --password-stdin option requires --username to be set"));
        }
        std::io::stdin().read_to_string(&mut password)?;
        password.truncate(password.trim_end_matches(['\n', '\r']).len());
        if password.is_empty() {
            return Err(Failure::new("password is empty"));
        }
    }
    let mut auth = AuthConfig::default();
    if username.is_empty() && password.is_empty() {
        auth = credentials::get(app, &server)?;
    }
    let kept = auth != AuthConfig::default();
    if kept {
        let named = match auth.username.as_str() {
            "" => String::new(),
            name => format!(" [Username: {name}]"),
        };
        output::err(&format!(
            "Authenticating with existing credentials...{named}\n\n Info -> To login with a different account, run \
             'docker logout' followed by 'docker login'\n\n\n"
        ));
    } else {
        auth.username = match username {
            "" => asked("Username", true)?,
            name => name.to_owned(),
        };
        auth.password = match password.as_str() {
            "" => asked("Password", false)?,
            secret => secret.to_owned(),
        };
    }
    server.clone_into(&mut auth.server_address);
    let answer = app.client.registries().login(&auth).await?;
    if !answer.identity_token.is_empty() {
        auth.password.clear();
        auth.identity_token = answer.identity_token;
    }
    credentials::keep(app, &auth)?;
    output::out(&format!("{}\n", answer.status));
    Ok(0)
}

/// What the credentials of the named registry, or the Hub, are kept under.
pub(super) fn server(line: &Parsed) -> String {
    let named = line.operands.first().map(String::as_str).filter(|name| !name.is_empty());
    match named.map(credentials::host) {
        None | Some("docker.io" | "index.docker.io" | "registry-1.docker.io") => HUB.to_owned(),
        Some(host) => host.to_owned(),
    }
}

/// Asks the person at the terminal.
fn asked(what: &str, echo: bool) -> Result<String, Failure> {
    if !terminal::stdin_is_terminal() {
        return Err(Failure::new("Error: Cannot perform an interactive login from a non TTY device"));
    }
    output::out(&format!("{what}: "));
    let answer = terminal::read_line(echo)?;
    if !echo {
        output::out("\n");
    }
    match answer.trim() {
        "" => Err(Failure::new(format!("{} is required", what.to_ascii_lowercase()))),
        answer => Ok(answer.to_owned()),
    }
}
