//! `start`: in the background, or attached.

use api::container::WaitCondition;
use client::Attach;

use crate::app::App;
use crate::attached::{self, Ending, Target};
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::terminal::signals::Signals;
use crate::terminal::stream::{Session, Wants};
use crate::{output, terminal};

pub(crate) const COMMAND: Command = Command {
    name: "start",
    aliases: &[],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Start one or more stopped containers",
    flags: &[
        Flag::switch("attach", "Attach STDOUT and STDERR, and pass signals on").short('a'),
        Flag::switch("interactive", "Attach the container's STDIN").short('i'),
        Flag::text("detach-keys", "Keys that detach from the container"),
        Flag::text("checkpoint", "Restore from this checkpoint"),
        Flag::text("checkpoint-dir", "Use a custom checkpoint storage directory"),
    ],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["container start", "start"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let keys = app.detach_keys(line.text("detach-keys"));
    terminal::keys::parse(&keys)
        .map_err(|error| Failure::new(format!("invalid detach keys ({keys}): {error}")))?;
    if line.switch("attach") || line.switch("interactive") {
        if line.operands.len() > 1 {
            return Err(Failure::new("you cannot start and attach multiple containers at once"));
        }
        return attached(app, line, &line.operands[0], &keys).await;
    }
    if !line.text("checkpoint").is_empty() {
        if line.operands.len() > 1 {
            return Err(Failure::new("you cannot restore multiple containers at once"));
        }
        // As Docker's client, without a word.
        start(app, line, &line.operands[0]).await?;
        return Ok(0);
    }
    let mut failed = Vec::new();
    for name in &line.operands {
        match app.client.containers().start(name, "").await {
            Ok(()) => output::out(&format!("{name}\n")),
            Err(error) if error.is_connect() => return Err(error.into()),
            Err(error) => {
                output::err(&format!("{error}\n"));
                failed.push(name.as_str());
            }
        }
    }
    if failed.is_empty() {
        return Ok(0);
    }
    Err(Failure::new(format!("failed to start containers: {}", failed.join(", "))))
}

/// From a checkpoint, if one is named.
async fn start(app: &App, line: &Parsed, name: &str) -> client::Result<()> {
    let (containers, checkpoint) = (app.client.containers(), line.text("checkpoint"));
    match checkpoint {
        "" => containers.start(name, "").await,
        checkpoint => containers.restore(name, checkpoint, line.text("checkpoint-dir")).await,
    }
}

async fn attached(app: &App, line: &Parsed, name: &str, keys: &str) -> Outcome {
    let containers = app.client.containers();
    let found = containers.inspect(name, false).await?;
    let (config, host) = (found.config.unwrap_or_default(), found.host_config.unwrap_or_default());
    let stdin = line.switch("interactive") && config.open_stdin;
    let what = Attach { stream: true, stdin, stdout: true, stderr: true, detach_keys: keys, logs: false };
    let condition = if host.auto_remove { WaitCondition::REMOVED } else { WaitCondition::NEXT_EXIT };
    let (connection, wait) =
        tokio::join!(containers.attach(&found.id, &what), containers.wait(&found.id, &condition));
    let (connection, wait) = (connection?, wait?);
    let mut signals = if config.tty { Signals::none().end()? } else { Signals::none().forward()? };
    let resizes = config.tty && terminal::stdout_is_terminal();
    if resizes {
        signals = signals.resize()?;
    }
    let wants = Wants { stdin, output: true, tty: config.tty, detach_keys: keys.to_owned() };
    let session = Session::start(connection, &wants)?;
    if let Err(error) = start(app, line, &found.id).await {
        session.hang_up().await;
        if host.auto_remove {
            let _ = wait.answer().await;
        }
        return Err(error.into());
    }
    if resizes {
        Target::Container(&found.id).resize(app).await;
    }
    let answer = attached::end_of(app, &found.id, &condition, wait);
    match attached::attend(app, Target::Container(&found.id), Some(session), signals, answer).await? {
        Ending::Detached => Ok(0),
        Ending::Answer(answer) => Ok(super::run::ended(&answer)),
    }
}
