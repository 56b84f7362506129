//! `attach`: the terminal to a container that runs.

use api::container::{ContainerInspectResponse, WaitCondition};
use client::Attach;

use crate::app::App;
use crate::attached::{self, Ending, Target};
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::terminal;
use crate::terminal::signals::Signals;
use crate::terminal::stream::{Session, Wants};

pub(crate) const COMMAND: Command = Command {
    name: "attach",
    aliases: &[],
    usage: "[OPTIONS] CONTAINER",
    about: "Attach local standard input, output, and error streams to a running container",
    flags: &[
        Flag::text("detach-keys", "Keys that detach from the container"),
        Flag::switch("no-stdin", "Do not attach STDIN"),
        Flag::switch("sig-proxy", "Pass signals on to the process").default("true"),
    ],
    operands: Operands::Exactly(1),
    interspersed: true,
    spellings: &["container attach", "attach"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let keys = app.detach_keys(line.text("detach-keys"));
    terminal::keys::parse(&keys)
        .map_err(|error| Failure::new(format!("invalid detach keys ({keys}): {error}")))?;
    let containers = app.client.containers();
    let found = containers.inspect(&line.operands[0], false).await?;
    check_running(&found)?;
    let config = found.config.clone().unwrap_or_default();
    let stdin = !line.switch("no-stdin") && config.open_stdin;
    terminal::check_tty(!line.switch("no-stdin"), config.tty)?;
    let what = Attach { stream: true, stdin, stdout: true, stderr: true, detach_keys: &keys, logs: false };
    let condition = WaitCondition::default();
    let (wait, connection) =
        tokio::join!(containers.wait(&found.id, &condition), containers.attach(&found.id, &what));
    let (wait, connection) = (wait?, connection?);
    let mut signals = if line.switch("sig-proxy") && !config.tty {
        Signals::none().forward()?
    } else {
        Signals::none().end()?
    };
    if config.tty && terminal::stdout_is_terminal() {
        signals = signals.resize()?;
        redraw(app, &found.id).await;
    }
    let wants = Wants { stdin, output: true, tty: config.tty, detach_keys: keys.clone() };
    let session = Session::start(connection, &wants)?;
    let answer = attached::end_of(app, &found.id, &condition, wait);
    match attached::attend(app, Target::Container(&found.id), Some(session), signals, answer).await? {
        Ending::Detached => Err(Failure::new("read escape sequence")),
        Ending::Answer(answer) => match answer.error {
            Some(error) => Err(Failure::new(error.message)),
            None => {
                super::run::warn(&answer);
                Ok(super::run::status(answer.status_code))
            }
        },
    }
}

fn check_running(container: &ContainerInspectResponse) -> Result<(), Failure> {
    let state = container.state.clone().unwrap_or_default();
    if !state.running {
        return Err(Failure::new("cannot attach to a stopped container, start it first"));
    }
    if state.paused {
        return Err(Failure::new("cannot attach to a paused container, unpause it first"));
    }
    if state.restarting {
        return Err(Failure::new("cannot attach to a restarting container, wait until it is running"));
    }
    Ok(())
}

/// A program redraws when its window changes: one size off, then right, and the prompt is there again.
async fn redraw(app: &App, id: &str) {
    if let Some(size) = terminal::size() {
        let _ = app
            .client
            .containers()
            .resize(id, size.rows.saturating_add(1), size.columns.saturating_add(1))
            .await;
    }
    Target::Container(id).resize(app).await;
}
