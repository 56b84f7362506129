//! `run`: create, attach, wait, start, with as few round trips as that takes.
//!
//! ```text
//! create ─► attach ┐
//!           wait   ┴► start ─► output … exit status
//! ```
//!
//! Attach and wait are asked for at once, on connections of their own, and stand before the start is sent: nothing of
//! the output and no exit can be missed.

use api::container::{WaitCondition, WaitResponse};
use client::Attach;

use super::create::{create, request, with_help};
use crate::app::App;
use crate::attached::{self, Ending, Target};
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::Parsed;
use crate::options::container_flags;
use crate::terminal::signals::Signals;
use crate::terminal::stream::{Session, Wants};
use crate::{output, terminal};

pub(crate) const COMMAND: Command = Command {
    name: "run",
    aliases: &[],
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create and run a new container from an image",
    flags: container_flags![
        Flag::switch("detach", "Run in the background and print the container's ID").short('d'),
        Flag::text("detach-keys", "Keys that detach from the container"),
        Flag::switch("sig-proxy", "Pass signals on to the process").default("true"),
        Flag::text("name", "Name of the container"),
        Flag::text("platform", "Platform of the image, where it has several"),
        Flag::text("pull", "When to pull the image (\"always\", \"missing\", \"never\")").default("missing"),
        Flag::switch("quiet", "Do not show how the pull goes").short('q'),
        Flag::switch("disable-content-trust", "Skip image verification")
            .default("true")
            .deprecated("support for docker content trust was removed"),
    ],
    operands: Operands::AtLeast(1),
    interspersed: false,
    spellings: &["container run", "run"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let refused = |text: &str| with_help(app, "run", text, 125);
    let mut request = request(app, line).map_err(|error| refused(&error))?;
    let detach = line.switch("detach");
    let config = &mut request.config;
    if detach {
        if line.changed("attach") {
            return Err(Failure::new("conflicting options: cannot specify both --attach and --detach"));
        }
        config.attach_stdin = false;
        config.attach_stdout = false;
        config.attach_stderr = false;
        config.stdin_once = false;
    } else {
        terminal::check_tty(config.attach_stdin, config.tty)?;
    }
    let keys = app.detach_keys(line.text("detach-keys"));
    terminal::keys::parse(&keys)
        .map_err(|error| Failure::new(format!("invalid detach keys ({keys}): {error}")))?;
    let (stdin, stdout, stderr, tty) =
        (config.attach_stdin, config.attach_stdout, config.attach_stderr, config.tty);
    let how = How {
        stdin,
        stdout,
        stderr,
        tty,
        keys,
        auto_remove: line.switch("rm"),
        sig_proxy: line.switch("sig-proxy"),
    };
    let created = create(app, line, request).await.map_err(|failure| classified(app, failure))?;
    let id = created.id.as_str();
    let attached = stdin || stdout || stderr;
    if !attached {
        output::out(&format!("{id}\n"));
        app.client.containers().start(id, "").await.map_err(|error| classified(app, error.into()))?;
        return Ok(0);
    }
    in_front(app, id, how).await
}

/// What a user in front of a container wants of it.
#[derive(Debug)]
pub(super) struct How {
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    pub(super) tty: bool,
    pub(super) keys: String,
    pub(super) auto_remove: bool,
    pub(super) sig_proxy: bool,
}

/// Attaches to a container that was just created, starts it, and stays until it ends.
pub(super) async fn in_front(app: &App, id: &str, how: How) -> Outcome {
    let How { stdin, stdout, stderr, tty, keys, auto_remove, sig_proxy } = how;
    let containers = app.client.containers();
    let what = Attach { stream: true, stdin, stdout, stderr, detach_keys: &keys, logs: false };
    let condition = if auto_remove { WaitCondition::REMOVED } else { WaitCondition::NEXT_EXIT };
    let (connection, wait) = tokio::join!(containers.attach(id, &what), containers.wait(id, &condition));
    let (connection, wait) = (connection?, wait?);
    let mut signals = if sig_proxy { Signals::none().forward()? } else { Signals::none().end()? };
    if tty && terminal::stdout_is_terminal() {
        signals = signals.resize()?;
    }
    let wants = Wants { stdin, output: stdout || stderr, tty, detach_keys: keys.clone() };
    let session = Session::start(connection, &wants)?;
    if let Err(error) = containers.start(id, "").await {
        session.hang_up().await;
        if auto_remove {
            // The engine takes it away again; nothing may be left when we report.
            let _ = wait.answer().await;
        }
        return Err(classified(app, error.into()));
    }
    if tty && terminal::stdout_is_terminal() {
        // The create request told our size; an engine before API 1.42 does not hear that, and a window may have changed.
        Target::Container(id).resize(app).await;
    }
    // The exit of a process whose output nobody reads ends it all; otherwise output is drained first.
    let session = wants.output.then_some(session);
    let answer = attached::end_of(app, id, &condition, wait);
    match attached::attend(app, Target::Container(id), session, signals, answer).await? {
        Ending::Detached => Ok(0),
        Ending::Answer(answer) => Ok(ended(&answer)),
    }
}

/// How the container ended, as this process's own status. What went wrong beside it is told, and changes no status.
pub(super) fn ended(answer: &WaitResponse) -> u8 {
    if let Some(error) = &answer.error {
        output::err(&format!("Error waiting for container: {}\n", error.message));
        return 125;
    }
    warn(answer);
    status(answer.status_code)
}

pub(super) fn warn(answer: &WaitResponse) {
    if !answer.warning.is_empty() {
        output::err(&format!("WARNING: {}\n", answer.warning));
    }
}

/// An exit code as this process's own.
pub(super) fn status(code: i64) -> u8 {
    (code & 0xff) as u8
}

/// What stopped the container from running, by the engine's words: 127 not found, 126 not executable, else 125.
///
/// That there is no engine is said as every command says it, with 1.
pub(super) fn classified(app: &App, failure: Failure) -> Failure {
    if failure.no_engine {
        return failure;
    }
    let text = &failure.text;
    let any = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
    let status = if any(&["executable file not found", "no such file or directory"]) {
        127
    } else if any(&["permission denied", "is a directory"]) {
        126
    } else {
        125
    };
    with_help(app, "run", text, status)
}
