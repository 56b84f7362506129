//! The client: Docker's command tree, tables, terminals and exit codes.
//!
//! ```text
//! globals ─► commands::find ─► flags::parse ─► options (resolve) ─► client ─► output, terminal
//! ```
//!
//! A verb is one file in `commands/<noun>/`: a row of a static tree and the function it runs. `run` is the one place that
//! turns an error into text, hint and exit status. Nothing is read, opened or connected before the verb is known.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

mod app;
mod attached;
mod autostart;
mod backups;
mod command;
mod commands;
mod completion;
mod config;
mod credentials;
mod endpoint;
mod environment;
mod failure;
mod filters;
mod flags;
mod globals;
mod help;
mod moment;
mod nearby;
mod options;
mod output;
mod platforms;
mod progress;
mod prompt;
mod run;
mod terminal;
mod tls;

/// Runs the command line `args` (with `argv[0]`) and returns the exit status of the process.
///
/// Texts name the program as it was called: `docker` when it is called so, `wharf` otherwise.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let called = args.first().and_then(|name| Path::new(name).file_name());
    let program = if called.is_some_and(|name| name == "docker") { "docker" } else { "wharf" };
    let mut words = Vec::with_capacity(args.len());
    for word in args.into_iter().skip(1) {
        match word.into_string() {
            Ok(word) => words.push(word),
            Err(word) => {
                output::err(&format!("{program}: argument is not UTF-8: {}\n", word.to_string_lossy()));
                return ExitCode::from(125);
            }
        }
    }
    run::run(program, &words)
}
