//! Whole commands, timed side by side with the peers that this machine has, as one Markdown table.
//!
//! `cargo run --release -p bench [-- --quick] [--rounds N] [--only GROUP] [--case WORDS] [--without PEER] [--wharf PATH]`, as
//! root. Each row is on stderr as soon as it is known. Needs `busybox-static`,
//! `iproute2` and `util-linux`; Debian's `docker.io`, `podman`, `crun`, `runc` and `docker-registry` take part when installed.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command whose output is its purpose")]

mod bundle;
mod cases;
mod images;
mod measure;
mod peers;
mod registries;
mod table;

use std::io::Error;
use std::path::PathBuf;
use std::process::ExitCode;

/// How the command was called.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) wharf: String,
    pub(crate) rounds: usize,
    /// A group of cases.
    pub(crate) only: Option<String>,
    /// Of the cases with images, networks, and of a container's life: those with these words in their names.
    pub(crate) case: Option<String>,
    /// Peers that are not asked to take part.
    pub(crate) without: Vec<String>,
    /// Everything of this run lies below; removed at the end.
    pub(crate) dir: PathBuf,
}

impl Options {
    pub(crate) fn wants(&self, case: &str) -> bool {
        self.case.as_ref().is_none_or(|words| case.contains(words.as_str()))
    }
}

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|arg| arg == measure::INSIDE) {
        return match measure::inside() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, words)) = arguments.split_first()
        && first == cases::network::HELPER
    {
        return match cases::network::help(words) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("bench: {error}");
                ExitCode::FAILURE
            }
        };
    }
    match parse().and_then(|options| {
        let outcome = cases::run(&options);
        let _ = std::fs::remove_dir_all(&options.dir);
        outcome
    }) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Result<Options, Error> {
    let beside = std::env::current_exe()?.with_file_name("wharf");
    let mut options = Options {
        wharf: beside.display().to_string(),
        rounds: 21,
        only: None,
        case: None,
        without: Vec::new(),
        dir: std::env::temp_dir().join(format!("wharf-bench-{}", std::process::id())),
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| Error::other(format!("{arg} needs a value")));
        match arg.as_str() {
            "--quick" => options.rounds = 5,
            "--rounds" => options.rounds = value()?.parse().map_err(Error::other)?,
            "--case" => options.case = Some(value()?),
            "--only" => options.only = Some(value()?),
            "--without" => options.without.push(value()?),
            "--wharf" => options.wharf = value()?,
            _ => return Err(Error::other(format!("unknown argument {arg}"))),
        }
    }
    if !std::path::Path::new(&options.wharf).exists() {
        return Err(Error::other(format!(
            "{}: build it first: cargo build --release -p wharf",
            options.wharf
        )));
    }
    std::fs::create_dir_all(&options.dir)?;
    Ok(options)
}
