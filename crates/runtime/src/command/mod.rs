//! `wharf oci`: the runtime's command line, which is runc's, so that podman, containerd and Docker can run it.
//!
//! Each verb is a file. What stays between two calls is in `record`.

mod create;
mod delete;
mod events;
mod exec;
mod features;
mod foreground;
mod kill;
mod list;
mod log;
mod record;
mod seal;
mod socket;
mod spec;
mod start;
mod state;
mod update;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Runs containers from OCI bundles.
#[derive(Debug, Parser)]
#[command(name = "runc", version = version(), disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

fn version() -> String {
    format!("{}\nspec: {}", env!("CARGO_PKG_VERSION"), oci::runtime::VERSION)
}

/// Flags before the verb.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Directory for the state of containers
    #[arg(long, default_value = "/run/wharf/oci")]
    root: PathBuf,
    /// File that errors are written to as well
    #[arg(long)]
    log: Option<PathBuf>,
    /// Format of the log file
    #[arg(long, default_value = "text", value_parser = ["text", "json"])]
    log_format: String,
    /// Write debug messages too (there are none beyond the errors)
    #[arg(long)]
    debug: bool,
    /// Read cgroupsPath as slice:prefix:name
    #[arg(long)]
    systemd_cgroup: bool,
    /// Ignore permission errors of cgroups
    #[arg(long, default_value = "auto", value_parser = ["auto", "true", "false"])]
    rootless: String,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Create a container
    Create(create::CreateArgs),
    /// Create and start a container
    Run(create::RunArgs),
    /// Start a created container
    Start(Id),
    /// Print a container's state
    State(Id),
    /// Send a signal to a container's init process
    Kill(kill::KillArgs),
    /// Delete what a container holds
    Delete(delete::DeleteArgs),
    /// Run another process in a container
    Exec(Box<exec::ExecArgs>),
    /// Suspend all processes of a container
    Pause(Id),
    /// Resume all processes of a container
    Resume(Id),
    /// List the processes of a container
    Ps(list::PsArgs),
    /// List containers
    List(list::ListArgs),
    /// Change a container's limits
    Update(Box<update::UpdateArgs>),
    /// Print a container's statistics and out-of-memory events
    Events(events::EventsArgs),
    /// Write a config.json to begin with
    Spec(spec::SpecArgs),
    /// Print what this runtime can do
    Features,
}

/// A container's name.
#[derive(Debug, Args)]
struct Id {
    id: String,
}

/// Why a command failed: a text for people and engines.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failure(pub(crate) String);

macro_rules! from_error {
    ($($kind:ty),*) => {
        $(impl From<$kind> for Failure {
            fn from(error: $kind) -> Self {
                Self(error.to_string())
            }
        })*
    };
}
from_error!(crate::Error, cgroups::Error, std::io::Error, rustix::io::Errno, serde_json::Error);

type Outcome = Result<ExitCode, Failure>;

/// Runs the command; `args` begin with the program's name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not failures. A closed stdout leaves nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    let global = &cli.global;
    let is_exec = matches!(cli.verb, Verb::Exec(_));
    if matches!(cli.verb, Verb::Create(_) | Verb::Run(_) | Verb::Exec(_)) {
        seal::seal();
    }
    let outcome = match cli.verb {
        Verb::Create(args) => create::create(global, &args),
        Verb::Run(args) => create::run(global, &args),
        Verb::Start(Id { id }) => start::start(global, &id),
        Verb::State(Id { id }) => state::state(global, &id),
        Verb::Kill(args) => kill::kill(global, &args),
        Verb::Delete(args) => delete::delete(global, &args),
        Verb::Exec(args) => exec::exec(global, *args),
        Verb::Pause(Id { id }) => state::pause(global, &id),
        Verb::Resume(Id { id }) => state::resume(global, &id),
        Verb::Ps(args) => list::ps(global, &args),
        Verb::List(args) => list::list(global, &args),
        Verb::Update(args) => update::update(global, *args),
        Verb::Events(args) => events::events(global, &args),
        Verb::Spec(args) => spec::spec(&args),
        Verb::Features => features::features(),
    };
    outcome.unwrap_or_else(|failure| {
        log::error(global, &failure.0);
        ExitCode::from(if is_exec { 255 } else { 1 })
    })
}

/// Prints to stdout; a reader that went away is no failure of the command.
fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
