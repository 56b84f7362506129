//! `list` and `ps`.

use std::process::{Command, ExitCode};

use clap::Args;

use super::record::{self, WideState};
use super::{Failure, Global, Outcome, print};
use crate::user;

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// table or json
    #[arg(short, long, default_value = "table")]
    format: String,
    /// Print the names only
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, Args)]
pub(super) struct PsArgs {
    /// table or json
    #[arg(short, long, default_value = "table")]
    format: String,
    id: String,
    /// Options of ps(1), -ef by default
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

pub(super) fn list(global: &Global, args: &ListArgs) -> Outcome {
    let mut all: Vec<WideState> = Vec::new();
    let home = global.home();
    let entries = match std::fs::read_dir(&home) {
        Ok(entries) => entries.collect::<Result<Vec<_>, _>>()?,
        // No container was made yet; but a directory that somebody names has to be there.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && global.root.is_none() => Vec::new(),
        Err(error) => return Err(Failure(format!("open {}: {error}", home.display()))),
    };
    for entry in entries {
        use std::os::unix::fs::MetadataExt;
        let id = entry.file_name().to_string_lossy().into_owned();
        // One that is being made or unmade is none yet, or none any more.
        let Ok((home, record)) = record::open(global, &id) else { continue };
        let mut state = record.wide(record.status(&home));
        let uid = entry.metadata()?.uid();
        state.owner = user::name(uid).unwrap_or_else(|| format!("#{uid}"));
        all.push(state);
    }
    all.sort_by(|a, b| a.id.cmp(&b.id));
    if args.quiet {
        all.iter().for_each(|state| print(&format!("{}\n", state.id)));
    } else if is_json(&args.format)? {
        // runc prints null for none.
        let text = if all.is_empty() { "null".into() } else { serde_json::to_string(&all)? };
        print(&format!("{text}\n"));
    } else {
        print(&table(&all));
    }
    Ok(ExitCode::SUCCESS)
}

fn is_json(format: &str) -> Result<bool, Failure> {
    match format {
        "json" => Ok(true),
        "table" => Ok(false),
        _ => Err(Failure("invalid format option".into())),
    }
}

fn table(all: &[WideState]) -> String {
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(String::from)];
    rows.extend(all.iter().map(|s| {
        [&s.id, &s.pid.to_string(), s.status, &s.bundle, &s.created, &s.owner].map(ToString::to_string)
    }));
    // Columns at least 12 wide, three spaces between.
    let width = |column: usize| rows.iter().map(|r| r[column].len() + 3).max().unwrap_or(0).max(12);
    let widths: Vec<usize> = (0..6).map(width).collect();
    rows.iter().fold(String::new(), |mut text, row| {
        for (cell, width) in row.iter().zip(&widths).take(5) {
            text.push_str(&format!("{cell:width$}"));
        }
        text.push_str(&row[5]);
        text.push('\n');
        text
    })
}

pub(super) fn ps(global: &Global, args: &PsArgs) -> Outcome {
    let (_, record) = record::open(global, &args.id)?;
    let pids: Vec<i32> = record.cgroup()?.procs()?.iter().map(|p| p.as_raw_nonzero().get()).collect();
    if is_json(&args.format)? {
        print(&format!("{}\n", serde_json::to_string(&pids)?));
        return Ok(ExitCode::SUCCESS);
    }
    let options = if args.options.is_empty() { vec!["-ef".to_owned()] } else { args.options.clone() };
    let output = Command::new("ps").args(&options).output()?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        return Err(Failure(format!("{}: {}", output.status, String::from_utf8_lossy(&said))));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let column = header
        .split_whitespace()
        .position(|word| word == "PID")
        .ok_or_else(|| Failure("couldn't find PID field in ps output".into()))?;
    print(&format!("{header}\n"));
    for line in lines {
        let pid = line.split_whitespace().nth(column).and_then(|p| p.parse().ok());
        if pid.is_some_and(|pid| pids.contains(&pid)) {
            print(&format!("{line}\n"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
