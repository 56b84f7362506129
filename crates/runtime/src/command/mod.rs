//! `wharf oci`: the runtime's command line, which is runc's, so that podman, containerd and Docker can run it.
//!
//! Each verb is a file. What stays between two calls is in `record`.

mod args;
mod create;
mod delete;
mod descriptors;
mod events;
mod exec;
mod features;
mod foreground;
mod kill;
mod list;
mod log;
mod record;
mod rootless;
mod seal;
mod socket;
mod spec;
mod start;
mod state;
mod update;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use self::rootless::Rootless;
use clap::{Args, CommandFactory, Parser, Subcommand};

/// Runs containers from OCI bundles.
#[derive(Debug, Parser)]
#[command(name = "runc", version = version(), disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// As engines read it: "runc version" and a number, whatever follows.
fn version() -> String {
    format!("version {}+wharf\nspec: {}", env!("CARGO_PKG_VERSION"), oci::runtime::VERSION)
}

/// Flags before the verb.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Directory for the state of containers [default: /run/wharf/oci, or wharf/oci in $XDG_RUNTIME_DIR for who is not root]
    #[arg(long)]
    root: Option<PathBuf>,
    /// File for messages [default: stderr]
    #[arg(id = "log-file", long = "log", value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Format of messages, text or json
    #[arg(long, default_value = "text")]
    log_format: String,
    /// Write debug messages too
    #[arg(long)]
    debug: bool,
    /// Read cgroupsPath as slice:prefix:name; needs a running systemd
    #[arg(long)]
    systemd_cgroup: bool,
    /// Go on without a cgroup where permission for one is missing: true, false, or auto (for who is not root)
    #[arg(long, default_value = "auto", value_parser = rootless::parse)]
    rootless: Rootless,
    /// Path of criu, which older versions of runc took; there is no checkpoint here to use it
    #[arg(long, hide = true)]
    criu: Option<PathBuf>,
    #[arg(skip)]
    log: log::Log,
}

impl Global {
    /// The directory that holds one per container.
    fn home(&self) -> PathBuf {
        self.root.clone().unwrap_or_else(rootless::home)
    }
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
    /// Not supported: needs CRIU
    #[command(hide = true)]
    Checkpoint(Anything),
    /// Not supported: needs CRIU
    #[command(hide = true)]
    Restore(Anything),
}

/// Arguments of a verb that is refused whatever they are.
#[derive(Debug, Args)]
struct Anything {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<OsString>,
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
    let args = args::spell(args.into_iter().collect(), &Cli::command());
    let mut cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not failures. A closed stdout leaves nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    if matches!(cli.verb, Verb::Create(_) | Verb::Run(_) | Verb::Exec(_)) {
        seal::seal();
    }
    let flags = &cli.global;
    let is_exec = matches!(cli.verb, Verb::Exec(_));
    let preserved = match &cli.verb {
        Verb::Create(args) => args.preserved(),
        Verb::Run(args) => args.preserved(),
        Verb::Exec(args) => args.preserved(),
        _ => 0,
    };
    let there = descriptors::check(preserved);
    match log::Log::open(flags.log_file.as_deref(), &flags.log_format, flags.debug) {
        Ok(log) => cli.global.log = log,
        Err(failure) => {
            flags.log.error(&failure.0);
            return ExitCode::FAILURE;
        }
    }
    let global = &cli.global;
    if global.criu.is_some() {
        global.log.warn("--criu has no effect: there is no checkpoint and no restore");
    }
    if let Err(failure) = there {
        global.log.error(&failure.0);
        return ExitCode::from(if is_exec { 255 } else { 1 });
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
        Verb::Checkpoint(Anything { arguments }) => Err(no_criu("checkpoint", &arguments)),
        Verb::Restore(Anything { arguments }) => Err(no_criu("restore", &arguments)),
    };
    outcome.unwrap_or_else(|failure| {
        global.log.error(&failure.0);
        ExitCode::from(if is_exec { 255 } else { 1 })
    })
}

/// Why a process did not come up. Engines (podman, Docker before 23) tell a file that cannot be executed by the text of
/// `EACCES`, which is also what `execve(2)` says of a directory.
fn told(error: &crate::Error) -> String {
    match error {
        crate::Error::IsADirectory { .. } => format!("{error}: permission denied"),
        _ => error.to_string(),
    }
}

fn no_criu(verb: &str, arguments: &[OsString]) -> Failure {
    let arguments: Vec<_> = arguments.iter().map(|a| a.to_string_lossy()).collect();
    Failure(format!("{verb} {}: not supported, since Wharf does not drive CRIU", arguments.join(" ")))
}

/// JSON for people, indented as runc does it.
fn indented(value: &impl serde::Serialize, by: &[u8]) -> Result<String, Failure> {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(by);
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter))?;
    String::from_utf8(text).map_err(|error| Failure(error.to_string()))
}

/// Prints to stdout; a reader that went away is no failure of the command.
fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
