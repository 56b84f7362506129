//! `logs`: what a container wrote.

use client::{Demultiplexer, FrameKind, Logs};
use std::fs::File;
use std::io::Write;
use std::os::fd::BorrowedFd;

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::moment;

pub(crate) const COMMAND: Command = Command {
    name: "logs",
    aliases: &[],
    usage: "[OPTIONS] CONTAINER",
    about: "Fetch the logs of a container",
    flags: &[
        Flag::switch("clear", "Forget what was logged until now"),
        Flag::switch("details", "Show extra details provided to logs"),
        Flag::switch("follow", "Follow log output").short('f'),
        Flag::text("grep", "Show only lines that a regular expression matches"),
        Flag::text(
            "since",
            "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)",
        ),
        Flag::text("tail", "Number of lines to show from the end of the logs").short('n').default("all"),
        Flag::switch("timestamps", "Show timestamps").short('t'),
        Flag::text(
            "until",
            "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)",
        ),
    ],
    operands: Operands::Exactly(1),
    interspersed: true,
    spellings: &["container logs", "logs"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

/// Nothing is shown while it is forgotten.
const WITHOUT_CLEAR: &[&str] = &["details", "follow", "grep", "since", "tail", "timestamps", "until"];

async fn run(app: &App, line: &Parsed) -> Outcome {
    if line.switch("clear") {
        if let Some(other) = WITHOUT_CLEAR.iter().find(|flag| line.changed(flag)) {
            return Err(Failure::new(format!("conflicting options: --clear and --{other}")));
        }
        app.client.containers().clear_logs(&line.operands[0]).await?;
        return Ok(0);
    }
    let time = |flag: &str| {
        moment::parse(line.text(flag))
            .map_err(|error| Failure::new(format!("invalid value for {flag:?}: {error}")))
    };
    let times = time("since").and_then(|since| Ok((since, time("until")?)));
    if times.is_err() {
        // A container that does not exist is the better answer.
        app.client.containers().inspect(&line.operands[0], false).await?;
    }
    let (since, until) = times?;
    let what = Logs {
        follow: line.switch("follow"),
        stdout: true,
        stderr: true,
        since: &since,
        until: &until,
        timestamps: line.switch("timestamps"),
        details: line.switch("details"),
        tail: line.text("tail"),
        grep: line.text("grep"),
    };
    let containers = app.client.containers();
    let mut stream = containers.logs(&line.operands[0], &what).await?;
    // Before API 1.42 every stream is called raw, or nothing is said; and raw it is only with a terminal.
    let multiplexed = stream.is_multiplexed() || {
        let found = containers.inspect(&line.operands[0], false).await?;
        !found.config.unwrap_or_default().tty
    };
    // Unbuffered: whole chunks are written.
    let raw = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map(File::from);
    let (mut out, mut err) = (raw(rustix::stdio::stdout())?, raw(rustix::stdio::stderr())?);
    if !multiplexed {
        while let Some(bytes) = stream.next().await? {
            written(out.write_all(&bytes))?;
        }
        return Ok(0);
    }
    let mut frames = Demultiplexer::new(stream, b"");
    while let Some((kind, piece)) = frames.next_run().await? {
        match kind {
            FrameKind::Stderr => written(err.write_all(piece))?,
            FrameKind::SystemError => {
                return Err(Failure::new(format!(
                    "error from daemon in stream: {}",
                    String::from_utf8_lossy(piece)
                )));
            }
            FrameKind::Stdin | FrameKind::Stdout => written(out.write_all(piece))?,
        }
    }
    Ok(0)
}

/// A reader that went away ends us as SIGPIPE would.
fn written(result: std::io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Failure::status(128 + 13)),
        result => Ok(result?),
    }
}
