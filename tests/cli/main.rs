//! Black box, by the door of the command line: the built binary, its texts, streams and statuses.

mod completion;
mod errors;
mod names;
mod run;
mod scenarios;

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use testkit::Output;

/// The client as `docker`, with nothing of the user's configuration.
fn docker(host: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command
        .arg0("docker")
        .args(args)
        .env("DOCKER_HOST", host)
        .env("DOCKER_CONFIG", "/nonexistent")
        .env("WHARF_AUTOSTART", "0")
        .env_remove("DOCKER_CONTEXT")
        .env_remove("DOCKER_API_VERSION")
        .stdin(Stdio::null());
    command
}

fn outcome(host: &str, args: &[&str]) -> Output {
    Output::of(&mut docker(host, args))
}
