//! `debug`: a shell with tools of its own beside a container, which need not have any, nor run (`docs/debug.md`).
//!
//! It is a container of another image: nothing is put into the one that is looked at. A running one shares its processes and
//! its network with it, and its files are `/proc/1/root`; of one that does not run the files are mounted, for reading.

use std::collections::BTreeMap;

use api::container::{ContainerConfig, ContainerInspectResponse, CreateRequest};
use api::filters::Filters;
use api::host_config::HostConfig;
use api::mount::{Mount, MountType};

use super::create::create_plain;
use super::run::{How, classified, in_front};
use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::options::environment;
use crate::{output, terminal};

/// Where the tools come from when nobody says.
const IMAGE: &str = "busybox";
/// And where that one is not to be had: what is here and has a shell, the one with most of use first.
const ALSO: [&str; 8] =
    ["busybox", "netshoot", "alpine", "toybox", "debian", "ubuntu", "fedora", "rockylinux"];
/// Says what is being debugged, in `ps` and for filters.
const LABEL: &str = "wharf.debug";
/// Where the files of a container are that does not run.
const STOPPED: &str = "/target";
/// And of one that runs, whose PID namespace is shared.
const RUNNING: &str = "/proc/1/root";

pub(crate) const COMMAND: Command = Command {
    name: "debug",
    aliases: &[],
    usage: "[OPTIONS] CONTAINER [COMMAND] [ARG...]",
    about: "Open a shell with tools of its own beside a container, running or not",
    flags: &[
        Flag::text("detach-keys", "Keys that detach from the shell"),
        Flag::checked_list("env", "list", environment::check, "Set environment variables").short('e'),
        Flag::text("image", "Where the tools come from").default(IMAGE),
        Flag::switch("privileged", "Give the shell all that the host has"),
    ],
    operands: Operands::AtLeast(1),
    interspersed: false,
    spellings: &["container debug", "debug"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let keys = app.detach_keys(line.text("detach-keys"));
    terminal::keys::parse(&keys)
        .map_err(|error| Failure::new(format!("invalid detach keys ({keys}): {error}")))?;
    let target = app.client.containers().inspect(&line.operands[0], false).await?;
    // What is typed here is read there; a terminal only where both sides are one.
    let tty = terminal::stdin_is_terminal() && terminal::stdout_is_terminal();
    let mut request = request(line, &target, tty)?;
    let created = match create_plain(app, "", &request).await {
        Err(failure) if !line.changed("image") && !failure.no_engine => {
            request.config.image = instead(app, failure).await?;
            create_plain(app, "", &request).await
        }
        created => created,
    };
    let created = created.map_err(|failure| classified(app, failure))?;
    let how = How { stdin: true, stdout: true, stderr: !tty, tty, keys, auto_remove: true, sig_proxy: true };
    in_front(app, &created.id, how).await
}

/// An image that is here, for a machine that reaches no registry.
async fn instead(app: &App, failure: Failure) -> Result<String, Failure> {
    // It is here, so that is not what was wrong.
    if app.client.images().inspect(IMAGE).await.is_ok() {
        return Err(failure);
    }
    let here = app.client.images().list(false, false, &Filters::default()).await?;
    let tags: Vec<&str> = here.iter().flat_map(|image| &image.repo_tags).map(String::as_str).collect();
    let why = failure.text;
    match ALSO.iter().find_map(|name| tags.iter().find(|tag| is_of(tag, name))) {
        Some(tag) => {
            output::err(&format!("{IMAGE} is not to be had ({why}): the tools are those of {tag}\n"));
            Ok((*tag).to_owned())
        }
        None => Err(Failure::new(format!(
            "{why}\n\nThere is no image here with tools in it either ({}): name any that has a shell with --image, or bring \
             one: \"save {IMAGE}\" where there is a network, \"load\" here",
            ALSO.join(", ")
        ))),
    }
}

/// `reg.example/a/debian:12` is of `debian`.
fn is_of(tag: &str, name: &str) -> bool {
    let last = tag.rsplit('/').next().unwrap_or_default();
    last.split_once(':').is_some_and(|(repository, _)| repository == name)
}

fn request(line: &Parsed, target: &ContainerInspectResponse, tty: bool) -> Result<CreateRequest, Failure> {
    let name = target.name.trim_start_matches('/');
    let state = target.state.clone().unwrap_or_default();
    let is_running = state.running && !state.restarting;
    if state.paused {
        return Err(Failure::new(format!(
            "container {name} is paused: unpause it first, it answers nothing meanwhile"
        )));
    }
    let mut host = HostConfig { auto_remove: true, ..HostConfig::default() };
    let place = match is_running {
        true => {
            host.pid_mode = format!("container:{}", target.id);
            host.network_mode = format!("container:{}", target.id);
            // To look at processes of others, and through `/proc/<pid>/root`.
            host.cap_add = vec!["SYS_PTRACE".to_owned()];
            RUNNING
        }
        false => {
            host.network_mode = "none".to_owned();
            host.mounts = mounts(target, &state);
            STOPPED
        }
    };
    host.privileged = line.switch("privileged");
    if let Some(size) = terminal::size() {
        host.console_size = [size.rows.into(), size.columns.into()];
    }
    let mut env = environment::variables(&[], &line.list("env")).map_err(Failure::new)?;
    env.push(format!("TARGET={place}"));
    let command = match &line.operands[1..] {
        // A shell finds itself among the files that it is about.
        [] => ["sh", "-c", "cd \"$TARGET\" && exec sh"].map(str::to_owned).to_vec(),
        command => command.to_vec(),
    };
    Ok(CreateRequest {
        config: ContainerConfig {
            image: line.text("image").to_owned(),
            // Not the image's: tools, whatever it is made to run.
            entrypoint: Some(Vec::new()),
            cmd: command,
            user: "0".to_owned(),
            env,
            tty,
            open_stdin: true,
            stdin_once: true,
            attach_stdin: true,
            attach_stdout: true,
            attach_stderr: !tty,
            labels: BTreeMap::from([(LABEL.to_owned(), name.to_owned())]),
            ..ContainerConfig::default()
        },
        host_config: Some(host),
        ..CreateRequest::default()
    })
}

/// All for reading: the root, and in it what a start would mount there and what is on a disk.
fn mounts(target: &ContainerInspectResponse, state: &api::container::ContainerState) -> Vec<Mount> {
    let root = Mount {
        kind: MountType::CONTAINER,
        source: target.id.clone(),
        target: STOPPED.to_owned(),
        read_only: true,
        ..Mount::default()
    };
    let mut all = vec![root];
    // Before its first start there are no places for them.
    let was_started = !state.started_at.is_empty() && !state.started_at.starts_with("0001-");
    for point in target.mounts.iter().filter(|_| was_started) {
        let source = match &point.kind {
            kind if *kind == MountType::VOLUME => point.name.clone(),
            kind if *kind == MountType::BIND => point.source.clone(),
            _ => continue,
        };
        all.push(Mount {
            kind: point.kind.clone(),
            source,
            target: format!("{STOPPED}{}", point.destination),
            read_only: true,
            ..Mount::default()
        });
    }
    all
}
