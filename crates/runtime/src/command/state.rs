//! `state`, `pause` and `resume`.

use std::process::ExitCode;

use oci::runtime::Status;

use super::{Failure, Global, Outcome, print, record};

pub(super) fn state(global: &Global, id: &str) -> Outcome {
    let (home, record) = record::open(global, id)?;
    let text = serde_json::to_string_pretty(&record.wide(record.status(&home)))?;
    print(&text);
    Ok(ExitCode::SUCCESS)
}

pub(super) fn pause(global: &Global, id: &str) -> Outcome {
    let (home, record) = record::open(global, id)?;
    match record.status(&home) {
        Status::Running | Status::Created => {}
        _ => return Err(Failure("container not running".into())),
    }
    record.cgroup()?.freeze()?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn resume(global: &Global, id: &str) -> Outcome {
    let (home, record) = record::open(global, id)?;
    if record.status(&home) != Status::Paused {
        return Err(Failure("container not paused".into()));
    }
    record.cgroup()?.thaw()?;
    Ok(ExitCode::SUCCESS)
}
