//! The client: Docker's command tree, tables, terminals and exit codes.

use std::ffi::OsString;
use std::process::ExitCode;

mod config;
mod failure;
mod flags;
mod options;
mod output;

/// Runs the command line `args` (with `argv[0]`) and returns the exit status of the process.
pub fn main(args: Vec<OsString>) -> ExitCode {
    drop(args);
    ExitCode::FAILURE
}
