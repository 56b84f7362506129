//! `why`: gathers what [`crate::container::why`] concludes from.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use rustix::fs::{FileType, OFlags, StatVfsMountFlags};

use super::root::{self, Access, Root};
use super::{Containers, LogsRequest, MountPoint, RenderLine, Why, logs};
use crate::container::index::Handle;
use crate::container::program::{HEAD_BYTES, Program};
use crate::container::why::{self, Facts, Found, Link};
use crate::container::{Container, Status};
use crate::core::{Core, blocking};
use crate::error::Result;
use crate::ports::RuntimeErrorKind;

/// The kernel follows interpreters of interpreters about so far (`BINPRM_MAX_RECURSION`).
const CHAIN_MAX: usize = 6;

/// Where programs are looked for without a `PATH`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Containers {
    /// Why a container ended, or could not be started.
    pub async fn why(&self, reference: &str) -> Result<Why> {
        let handle = self.core.index.find(reference)?;
        let view = handle.view();
        let mut facts = Facts { machine: why::machine(), ..Facts::default() };
        let is_down =
            matches!(view.state.status, Status::Created | Status::Restarting | Status::Exited | Status::Dead);
        match &view.state.end.failed_start {
            Some(kind) if is_down && is_of_program(kind) => {
                facts.searched = search_path(&view).to_owned();
                facts.chain = chain(&self.core, &handle, &view).await;
            }
            None if is_down && view.state.exit_code != 0 => {
                facts.last_line = last_line(&self.core, &handle).await;
            }
            _ => {}
        }
        Ok(why::why(&view, &facts))
    }
}

fn is_of_program(kind: &RuntimeErrorKind) -> bool {
    use RuntimeErrorKind::*;
    matches!(kind, ExecutableNotFound | PermissionDenied | IsADirectory | ExecFormat)
}

fn search_path(view: &Container) -> &str {
    view.spec.env.iter().rev().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or(PATH)
}

/// The files that a start goes through, as they are now. Empty where the root cannot be looked into: then the error of the
/// start has to do.
async fn chain(core: &Arc<Core>, handle: &Handle, view: &Arc<Container>) -> Vec<Link> {
    let Ok(root) = root::open(core, handle, Access::Read).await else { return Vec::new() };
    let view = view.clone();
    blocking(move || walk(&root, &view)).await
}

fn walk(root: &Root, view: &Container) -> Vec<Link> {
    let mut chain: Vec<Link> = Vec::new();
    let mut next = Some(executable(root, view));
    while let Some(path) = next.take().filter(|_| chain.len() < CHAIN_MAX) {
        let found = look(root, view, &path);
        next = match found.as_ref().map(|found| &found.program) {
            Some(Program::Elf { loader, .. }) => loader.clone(),
            Some(Program::Script { interpreter }) => Some(interpreter.clone()),
            Some(Program::Empty | Program::Unknown) | None => None,
        };
        // A loader's own loader is of no interest to the kernel.
        if matches!(
            chain.last().and_then(|link| link.found.as_ref()),
            Some(Found { program: Program::Elf { .. }, .. })
        ) {
            next = None;
        }
        chain.push(Link { path, found });
    }
    chain
}

/// Where the command's name leads, or the name itself if nowhere.
fn executable(root: &Root, view: &Container) -> String {
    let name = view.path.as_str();
    let directory = view.spec.working_dir.as_str();
    let below = |directory: &str| match directory {
        "" | "/" => format!("/{name}"),
        directory => format!("{}/{name}", directory.trim_end_matches('/')),
    };
    if name.starts_with('/') {
        return name.to_owned();
    }
    if name.contains('/') {
        return below(directory);
    }
    let places = search_path(view).split(':').filter(|place| place.starts_with('/')).map(below);
    let found: Vec<(String, Found)> =
        places.filter_map(|path| Some((path.clone(), look(root, view, &path)?))).collect();
    // The first that can be executed, or else the first there is, since that one is refused.
    let fit = found.iter().find(|(_, found)| found.is_file && found.mode & 0o111 != 0);
    fit.or(found.first()).map_or_else(|| name.to_owned(), |(path, _)| path.clone())
}

fn look(root: &Root, view: &Container, path: &str) -> Option<Found> {
    let handle = root.find(path, OFlags::PATH).ok()?;
    let stat = rustix::fs::fstat(&handle).ok()?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let mut head = Vec::new();
    if is_file {
        // What is there by now may be something else, which opening must not wait for.
        let file = root.find(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).ok()?;
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&file).ok()?.st_mode);
        if kind != FileType::RegularFile {
            return None;
        }
        File::from(file).take(HEAD_BYTES as u64).read_to_end(&mut head).ok()?;
    }
    let noexec = is_noexec(view, path);
    Some(Found { is_file, mode: stat.st_mode & 0o7777, noexec, program: Program::read(&head) })
}

/// A look from outside mounts everything without execution: what a start would mount is asked where it comes from.
fn is_noexec(view: &Container, path: &str) -> bool {
    let holds = |point: &&MountPoint| std::path::Path::new(path).starts_with(&point.destination);
    let innermost = view.mounts.iter().filter(holds).max_by_key(|point| point.destination.len());
    innermost.is_some_and(|point| {
        let mount = rustix::fs::statvfs(&point.source);
        mount.is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::NOEXEC))
    })
}

/// Of its output; empty where none can be read.
async fn last_line(core: &Core, handle: &Handle) -> String {
    let request = LogsRequest { stdout: true, stderr: true, tail: Some(1), ..LogsRequest::default() };
    let render = |_| -> RenderLine { Box::new(|line, out| out.extend_from_slice(line.bytes())) };
    let Ok(mut lines) = logs::open(core, handle, request, render) else { return String::new() };
    let mut last = Vec::new();
    while let Some(Ok(chunk)) = lines.next().await {
        last = chunk;
    }
    why::line(&String::from_utf8_lossy(&last))
}
