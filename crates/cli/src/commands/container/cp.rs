//! `cp`: files from a container and to it.

mod paths;
mod place;
mod progress;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api::archive::file_mode;
use archive::{CopyRules, Extractor, Mode, Owner, PackOptions, Rename, TarWriter};
use bytes::{Buf, Bytes};
use client::UploadWriter;
use tokio::sync::mpsc;

use self::place::Place;
use self::progress::Progress;
use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::{self, Failure};
use crate::flags::{Flag, Parsed};
use crate::output::units::human_size;
use crate::{output, terminal};

pub(crate) const COMMAND: Command = Command {
    name: "cp",
    aliases: &[],
    usage: "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tdocker cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    about: "Copy files/folders between a container and the local filesystem\n\nUse '-' as the source to read a tar archive from stdin\nand extract it to a directory destination in a container.\nUse '-' as the destination to stream a tar archive of a\ncontainer source to stdout.",
    flags: &[
        Flag::switch("archive", "Archive mode (copy all uid/gid information)").short('a'),
        Flag::switch("follow-link", "Always follow symlinks in SRC_PATH").short('L'),
        Flag::switch(
            "quiet",
            "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached",
        )
        .short('q'),
    ],
    operands: Operands::Exactly(2),
    interspersed: true,
    spellings: &["container cp", "cp"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

/// Of the tar between thread and socket.
const BUFFER_LEN: usize = 256 << 10;
const PIECES: usize = 8;

struct Copy<'a> {
    container: &'a str,
    /// In the container.
    path: &'a str,
    follow: bool,
    owner: bool,
    quiet: bool,
}

async fn run(app: &App, line: &Parsed) -> Outcome {
    let (source, destination) = (line.operands[0].as_str(), line.operands[1].as_str());
    if source.is_empty() {
        return Err(Failure::new("source can not be empty"));
    }
    if destination.is_empty() {
        return Err(Failure::new("destination can not be empty"));
    }
    let quiet = match line.given("quiet") {
        Some(_) => line.switch("quiet"),
        None => !terminal::stdout_is_terminal(),
    };
    let (follow, owner) = (line.switch("follow-link"), line.switch("archive"));
    let copy = |container, path| Copy { container, path, follow, owner, quiet };
    match (paths::split(source), paths::split(destination)) {
        (("", _), ("", _)) => Err(Failure::new("must specify at least one container source")),
        (("", here), (container, there)) => to_container(app, &copy(container, there), here).await,
        ((container, there), ("", here)) => from_container(app, &copy(container, there), here).await,
        _ => Err(Failure::new("copying between containers is not supported")),
    }
}

/// Absolute, with the end it had.
fn local(path: &str) -> Result<String, Failure> {
    let absolute = match path.starts_with('/') {
        true => paths::clean(path),
        false => {
            let here = std::env::current_dir()?;
            paths::join(&here.to_string_lossy(), path)
        }
    };
    Ok(paths::keep_end(absolute, path))
}

/// What was copied, and how much had to be sent for it.
fn summary(content: u64, transferred: u64, destination: &str) {
    let size = |bytes: u64| human_size(bytes as f64, 3);
    let sent = match content == transferred {
        true => String::new(),
        false => format!(" (transferred {})", size(transferred)),
    };
    output::err(&format!("Successfully copied {}{sent} to {destination}\n", size(content)));
}

// --------------------------------------------------------------------------------------------- from

async fn from_container(app: &App, copy: &Copy<'_>, here: &str) -> Outcome {
    let to_stdout = here == "-";
    let destination = if to_stdout { here.to_owned() } else { local(here)? };
    place::check_output(&destination)?;
    let containers = app.client.containers();
    let mut source = Place { path: copy.path.to_owned(), exists: true, ..Place::default() };
    if copy.follow
        && let Ok(found) = containers.stat_path(copy.container, copy.path).await
        && found.is_symlink()
    {
        let target = match found.link_target.starts_with('/') {
            true => found.link_target,
            false => paths::join(&paths::split_entry(copy.path).0, &found.link_target),
        };
        (source.path, source.rebased) = paths::rebase(copy.path, &target);
    }
    let (found, mut stream) = containers.archive(copy.container, &source.path).await?;
    if to_stdout {
        let mut out = io::stdout().lock();
        while let Some(bytes) = stream.next().await? {
            out.write_all(&bytes)?;
        }
        out.flush()?;
        return Ok(0);
    }
    source.is_directory = found.is_directory();
    let total = Arc::new(AtomicU64::new(0));
    let progress = Progress::begin(!copy.quiet, "Copying from container - ", &total);
    let (sender, pieces) = mpsc::channel(PIECES);
    let shown = destination.clone();
    let unpacking = tokio::task::spawn_blocking(move || unpack(&source, &destination, pieces));
    let mut broken = None;
    loop {
        match stream.next().await {
            Ok(Some(bytes)) => {
                total.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                if sender.send(bytes).await.is_err() {
                    // It has given up, for a reason it tells itself.
                    break;
                }
            }
            Ok(None) => break,
            Err(error) => {
                broken = Some(error);
                break;
            }
        }
    }
    drop(sender);
    let unpacked = unpacking.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    progress.end().await;
    let outcome = match broken {
        Some(error) => Err(error.into()),
        None => unpacked,
    };
    if !copy.quiet {
        let total = total.load(Ordering::Relaxed);
        let content = if found.is_directory() { total } else { found.size.cast_unsigned() };
        summary(content, total, &shown);
    }
    outcome.map(|()| 0)
}

/// In a blocking thread.
fn unpack(source: &Place, destination: &str, pieces: mpsc::Receiver<Bytes>) -> Result<(), Failure> {
    let destination = Place::destination(destination)?;
    let (directory, name) = place::arrange(source, &destination)?;
    let (_, own) = paths::split_entry(&source.path);
    let name = name.or_else(|| source.rebased.clone());
    let rules = CopyRules {
        owner: Owner::Caller,
        keep_directories: true,
        destination: directory.clone(),
        rename: name.map(|name| Rename::new(own, name)),
    };
    let failed = |error: archive::Error| Failure::new(error.to_string());
    let extractor = Extractor::open(Path::new(&directory), Mode::Verbatim).map_err(failed)?;
    let mut from = BufReader::with_capacity(BUFFER_LEN, Pieces { pieces, current: Bytes::new() });
    extractor.with_copy_rules(rules).extract(&mut from).map_err(failed)?;
    // What comes behind the end mark is counted, too.
    io::copy(&mut from, &mut io::sink())?;
    Ok(())
}

struct Pieces {
    pieces: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece,
                None => return Ok(0),
            }
        }
        let length = self.current.len().min(out.len());
        out[..length].copy_from_slice(&self.current[..length]);
        self.current.advance(length);
        Ok(length)
    }
}

// ----------------------------------------------------------------------------------------------- to

async fn to_container(app: &App, copy: &Copy<'_>, here: &str) -> Outcome {
    let from_stdin = here == "-";
    let here = if from_stdin { here.to_owned() } else { local(here)? };
    let containers = app.client.containers();
    let mut destination = Place { path: copy.path.to_owned(), ..Place::default() };
    // What cannot be looked at may be made all the same, if only its directory is there.
    let mut found = containers.stat_path(copy.container, copy.path).await;
    if let Ok(link) = &found
        && link.is_symlink()
    {
        destination.path = match link.link_target.starts_with('/') {
            true => link.link_target.clone(),
            false => paths::join(&paths::split_entry(copy.path).0, &link.link_target),
        };
        found = containers.stat_path(copy.container, &destination.path).await;
    }
    match found {
        Ok(found) => {
            let shown = format!("{}:{}", copy.container, copy.path);
            let why = match found.mode {
                mode if mode & file_mode::DEVICE != 0 => Some("got a device"),
                mode if mode & file_mode::IRREGULAR != 0 => Some("got an irregular file"),
                _ => None,
            };
            if let Some(why) = why {
                return Err(Failure::new(format!(
                    "destination {shown:?} must be a directory or a regular file: {why}"
                )));
            }
            (destination.exists, destination.is_directory) = (true, found.is_directory());
        }
        Err(error) if error.is_connect() => return Err(error.into()),
        Err(_) => {}
    }
    let total = Arc::new(AtomicU64::new(0));
    let (mut writer, body) = client::upload();
    let (directory, content, packing);
    if from_stdin {
        if !destination.is_directory {
            let shown = format!("{}:{}", copy.container, copy.path);
            return Err(Failure::new(format!("destination {shown:?} must be a directory")));
        }
        (directory, content) = (destination.path.clone(), None);
        packing = tokio::task::spawn_blocking(move || {
            io::copy(&mut io::stdin().lock(), &mut BufWriter::with_capacity(BUFFER_LEN, &mut writer))?;
            writer.end().map_err(Failure::from)
        });
    } else {
        let source = Place::source(&here, copy.follow)?;
        content = place::content_size(Path::new(&source.path)).ok();
        let arranged = place::arrange(&source, &destination)?;
        directory = arranged.0;
        let name = arranged.1.unwrap_or_else(|| source.name());
        let total = total.clone();
        packing = tokio::task::spawn_blocking(move || pack(&source, &name, writer, &total));
    }
    let progress = Progress::begin(!copy.quiet, "Copying to container - ", &total);
    let sent = containers.extract(copy.container, &directory, copy.owner, body).await;
    progress.end().await;
    if !copy.quiet {
        let total = total.load(Ordering::Relaxed);
        summary(content.unwrap_or(total), total, &format!("{}:{}", copy.container, destination.path));
    }
    if let Err(error @ client::Error::Api { .. }) = sent {
        return Err(error.into());
    }
    // A request that broke off did so for the packer's reason.
    if !from_stdin || sent.is_ok() {
        packing.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    }
    sent?;
    Ok(0)
}

/// In a blocking thread.
fn pack(source: &Place, name: &str, to: UploadWriter, total: &Arc<AtomicU64>) -> Result<(), Failure> {
    let failed = |error: archive::Error| Failure::new(error.to_string());
    let open = |path: &str| -> Result<OwnedFd, Failure> {
        let mut options = File::options();
        options.read(true).custom_flags(rustix::fs::OFlags::DIRECTORY.bits().cast_signed());
        let opened = options.open(path);
        opened
            .map(OwnedFd::from)
            .map_err(|error| Failure::new(format!("open {path}: {}", failure::reason(&error))))
    };
    let options = PackOptions { whole_seconds: true, ..PackOptions::default() };
    let counted = Counted { to, total: total.clone() };
    let mut tar = TarWriter::new(BufWriter::with_capacity(BUFFER_LEN, counted));
    if source.is_directory {
        // The root's name is no name of an entry.
        let name = if name == "/" { "" } else { name };
        tar.append_directory(open(&source.path)?, name.as_bytes(), options).map_err(failed)?;
    } else {
        let (directory, own) = paths::split_entry(&source.path);
        tar.append_entry(&open(&directory)?, own.as_bytes(), name.as_bytes(), options).map_err(failed)?;
    }
    let buffer = tar.finish().map_err(failed)?;
    let counted = buffer.into_inner().map_err(|error| Failure::from(error.into_error()))?;
    counted.to.end()?;
    Ok(())
}

struct Counted {
    to: UploadWriter,
    total: Arc<AtomicU64>,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.to.write(bytes)?;
        self.total.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
