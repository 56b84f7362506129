//! Is this machine fit: probes of kernel and machine.
//!
//! Two uses of the same knowledge. `wharf check` ([`main`]) runs every [`probes`] and prints a table in which each
//! lack has its remedy; it exits with 1 if something fatal is missing. The engine asks [`Machine::detect`] once at
//! its start for what `info` shows, with Docker's warnings; that reads a few files and makes nothing.
//!
//! A probe tries what it talks about where that can be tried without a trace (namespaces are made in a thread
//! that ends, an nftables table in a network namespace that ends), and reads `/proc` otherwise.

mod machine;
mod probes;
mod report;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

pub use machine::Machine;
pub use report::{Finding, Group, Report, Status};

const USAGE: &str = "\
Usage:  wharf check [OPTIONS]

Say what this machine offers and lacks for running containers.
Exits with status 1 if something is missing without which no container runs.

Options:
      --format string   \"table\" (default) or \"json\"
  -h, --help            Print usage
";

/// Runs every probe.
pub fn report() -> Report {
    probes::run()
}

/// `wharf check`; `args` are the arguments after `check`.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut json = false;
    let mut args = args.into_iter().map(|arg| arg.to_string_lossy().into_owned());
    while let Some(arg) = args.next() {
        let format = match arg.as_str() {
            "-h" | "--help" => return print(USAGE, ExitCode::SUCCESS),
            "--format" => args.next(),
            other => match other.strip_prefix("--format=") {
                Some(value) => Some(value.to_owned()),
                None => return complain(&format!("unknown argument: {other}")),
            },
        };
        json = match format.as_deref() {
            Some("json") => true,
            Some("table") => false,
            Some(other) => return complain(&format!("invalid format: {other} (table or json)")),
            None => return complain("flag needs an argument: --format"),
        };
    }
    let report = report();
    let text = if json { report.to_json() } else { report.to_string() };
    print(&text, if report.is_fit() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A closed pipe (`| head`) is the reader's decision and no failure.
fn print(text: &str, status: ExitCode) -> ExitCode {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    status
}

fn complain(what: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr().lock(), "{what}\n\nRun 'wharf check --help' for more information");
    ExitCode::from(125)
}
