//! `exec`: another process in a running container.

use api::exec::ExecCreateRequest;

use crate::app::App;
use crate::attached::{self, Ending, Target};
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::options::environment;
use crate::terminal;
use crate::terminal::signals::Signals;
use crate::terminal::stream::{Session, Wants};

pub(crate) const COMMAND: Command = Command {
    name: "exec",
    aliases: &[],
    usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
    about: "Execute a command in a running container",
    flags: &[
        Flag::switch("detach", "Run the command in the background").short('d'),
        Flag::text("detach-keys", "Keys that detach from the command"),
        Flag::checked_list("env", "list", environment::check, "Set environment variables").short('e'),
        Flag::list("env-file", "Read environment variables from a file"),
        Flag::switch("interactive", "Keep STDIN open even when nothing is attached").short('i'),
        Flag::switch("privileged", "Give the command all that the host has"),
        Flag::switch("tty", "Give the command a pseudo terminal").short('t'),
        Flag::text("user", "User name or ID (format: <name|uid>[:<group|gid>])").short('u'),
        Flag::text("workdir", "Working directory in the container").short('w'),
    ],
    operands: Operands::AtLeast(2),
    interspersed: false,
    spellings: &["container exec", "exec"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let (tty, detach) = (line.switch("tty"), line.switch("detach"));
    let keys = app.detach_keys(line.text("detach-keys"));
    terminal::keys::parse(&keys)
        .map_err(|error| Failure::new(format!("invalid detach keys ({keys}): {error}")))?;
    let env = environment::variables(&line.list("env-file"), &line.list("env")).map_err(Failure::new)?;
    let stdin = line.switch("interactive") && !detach;
    if !detach && let Err(failure) = terminal::check_tty(stdin, tty) {
        // A container that does not exist is the better answer.
        app.client.containers().inspect(&line.operands[0], false).await?;
        return Err(failure);
    }
    let console_size =
        terminal::size().filter(|_| tty).map(|size| [u32::from(size.rows), u32::from(size.columns)]);
    let request = ExecCreateRequest {
        user: line.text("user").to_owned(),
        privileged: line.switch("privileged"),
        tty,
        console_size,
        attach_stdin: stdin,
        attach_stdout: !detach,
        attach_stderr: !detach,
        detach_keys: keys.clone(),
        env,
        working_dir: line.text("workdir").to_owned(),
        cmd: line.operands[1..].to_vec(),
    };
    let id = app.client.containers().exec(&line.operands[0], &request).await?;
    if detach {
        app.client.execs().start_detached(&id, tty).await?;
        return Ok(0);
    }
    let connection = app.client.execs().attach(&id, tty, console_size).await?;
    let mut signals = Signals::none().end()?;
    if tty && terminal::stdin_is_terminal() {
        signals = signals.resize()?;
    }
    if tty && terminal::stdin_is_terminal() {
        Target::Exec(&id).resize(app).await;
    }
    let session = Session::start(connection, &Wants { stdin, output: true, tty, detach_keys: keys })?;
    app.client.execs().prepare_inspect().await;
    let ending =
        attached::attend(app, Target::Exec(&id), Some(session), signals, std::future::ready(Ok(()))).await?;
    match ending {
        Ending::Detached => Err(Failure::new("read escape sequence")),
        Ending::Answer(()) => {
            let found = attached::end_of_exec(app, &id).await?;
            if !found.error.is_empty() {
                crate::output::err(&format!("Error waiting for exec: {}\n", found.error));
            }
            Ok(super::run::status(found.exit_code.unwrap_or(0)))
        }
    }
}
