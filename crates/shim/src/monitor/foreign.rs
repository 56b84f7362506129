//! Containers and execs through another OCI runtime (`--runtime`): its command, run on a bundle.
//!
//! ```text
//! monitor                                          runtime
//!   ├─ mount namespace of its own, overlay on rootfs/
//!   ├─ config.json
//!   ├─ create --bundle --pid-file [--console-socket] ─►  makes init, whose streams are the command's
//!   │◄──────────────── ends; init becomes the monitor's child (subreaper), its pid is in the file
//!   ├─ start ────────────────────────────────────────►  init executes the program
//!   ├─ pidfd, streams, signals, freezer: as with a container of ours
//!   └─ delete --force ───────────────────────────────►  cgroup and state
//! ```
//!
//! An exec is `exec --detach --process`, with the same hand-over.

use std::fs;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use oci::runtime::{Namespace, NamespaceType, Process, Root};
use rustix::fs::{Mode, OFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketAddrUnix, SocketFlags,
    SocketType, accept_with, bind, listen, recvmsg, socket_with,
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::termios::{Winsize, tcsetwinsize};

use super::launch::{Streams, other};
use super::own_pid;
use crate::protocol::{ExecRequest, Failure, FailureKind, Foreign, Io, Rootfs, Size, StartRequest};
use crate::{layout, tools};

/// Of the runtime spec, that every runtime takes.
const OLDEST_VERSION: &str = "1.0.2";

/// A process that a runtime made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    pub(super) console: Option<OwnedFd>,
}

/// A container of another runtime, to be deleted by it.
#[derive(Debug)]
pub(super) struct Bundle {
    pub(super) foreign: Foreign,
    directory: PathBuf,
    id: String,
    /// Mounted in this process's namespace.
    mounted: bool,
}

impl Bundle {
    /// Has the runtime remove what it made. The process has ended, or is killed.
    pub(super) fn remove(&self) {
        delete_force(&self.foreign, &self.directory, &self.id);
        if self.mounted {
            let rootfs = layout::bundle_rootfs(&self.directory);
            let _ = rustix::mount::unmount(&rootfs, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

/// `delete --force`: for a container whose monitor cannot do it any more. What fails is left to the caller's
/// own cleaning up.
pub fn delete_force(foreign: &Foreign, directory: &Path, id: &str) {
    let call = Call { foreign, container: directory, log: layout::runtime_log(directory) };
    let _ = call.run(call.command().args(["delete", "--force", id]));
}

/// Creates and starts a container. The request's spec becomes the bundle's.
pub(super) fn start(
    request: &mut StartRequest,
    foreign: Foreign,
    netns: Option<OwnedFd>,
    streams: &Streams,
) -> Result<(Made, Bundle), Failure> {
    if request.init_reaper {
        return Err(invalid(format!(
            "--init is the built-in runtime's: {} has no init process to offer",
            foreign.path.display()
        )));
    }
    let directory = request.directory.clone();
    // What an attempt before this one left.
    let _ = fs::remove_dir_all(layout::runtime_state(&directory));
    let mut bundle = Bundle { foreign, directory: directory.clone(), id: request.id.clone(), mounted: false };
    let made = prepare(request, netns.as_ref(), &mut bundle.mounted).and_then(|()| {
        let call =
            Call { foreign: &bundle.foreign, container: &directory, log: layout::runtime_log(&directory) };
        let mut create = call.command();
        create.arg("create").arg("--bundle").arg(&directory);
        let made = call.make(create, &directory, &request.io, streams, &[&bundle.id])?;
        call.run(call.command().arg("start").arg(&bundle.id))?;
        Ok(made)
    });
    match made {
        Ok(made) => Ok((made, bundle)),
        Err(failure) => {
            bundle.remove();
            Err(failure)
        }
    }
}

/// The root file system and `config.json`.
fn prepare(request: &mut StartRequest, netns: Option<&OwnedFd>, mounted: &mut bool) -> Result<(), Failure> {
    let rootfs = match &request.rootfs {
        Rootfs::Directory(path) => path.clone(),
        overlay @ Rootfs::Overlay { .. } => {
            let place = layout::bundle_rootfs(&request.directory);
            fs::create_dir_all(&place).map_err(|error| file(&place, &error))?;
            runtime::mount_apart(&overlay.clone().into(), &place)?;
            *mounted = true;
            place
        }
    };
    if let Some(process) = &mut request.spec.process {
        identify(process, &rootfs, request.user.as_deref(), &request.additional_groups)?;
    }
    // Runtimes refuse versions after their own (crun 1.8 all but 1.0), and pass over fields they do not know.
    OLDEST_VERSION.clone_into(&mut request.spec.oci_version);
    let readonly = request.spec.root.as_ref().is_some_and(|root| root.readonly);
    request.spec.root = Some(Root { path: rootfs.to_string_lossy().into_owned(), readonly });
    if let Some(netns) = netns {
        let linux = request.spec.linux.get_or_insert_default();
        linux.namespaces.retain(|namespace| namespace.kind != NamespaceType::Network);
        // By the monitor's number: whoever opens it is another process.
        let path = format!("/proc/{}/fd/{}", own_pid(), netns.as_raw_fd());
        linux.namespaces.push(Namespace { kind: NamespaceType::Network, path });
    }
    write(&layout::bundle_config(&request.directory), &request.spec)
}

/// Runs one more process; `container` is the directory of the container's own monitor.
pub(super) fn exec(
    request: &mut ExecRequest,
    foreign: &Foreign,
    container: &Path,
    streams: &Streams,
) -> Result<Made, Failure> {
    let root = PathBuf::from(format!("/proc/{}/root", request.container_pid));
    identify(&mut request.process, &root, request.user.as_deref(), &request.additional_groups)?;
    let process = layout::exec_process(&request.directory);
    write(&process, &request.process)?;
    let call = Call { foreign, container, log: layout::runtime_log(&request.directory) };
    let mut command = call.command();
    command.args(["exec", "--detach"]).arg("--process").arg(&process);
    call.make(command, &request.directory, &request.io, streams, &[&request.container])
}

/// `--user` and `--group-add`, looked up in the container's files: a runtime takes numbers only.
fn identify(
    process: &mut Process,
    root: &Path,
    user: Option<&str>,
    groups: &[String],
) -> Result<(), Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(root, flags, Mode::empty()).map_err(|error| file(root, &error.into()))?;
    let found = runtime::user::resolve(opened.as_fd(), user.unwrap_or_default(), groups)?;
    process.user.uid = found.uid;
    process.user.gid = found.gid;
    process.user.additional_gids = found.groups;
    Ok(())
}

/// How one container's runtime is called.
#[derive(Debug)]
struct Call<'a> {
    foreign: &'a Foreign,
    /// The container's directory, and the bundle.
    container: &'a Path,
    log: PathBuf,
}

impl Call<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.foreign.path);
        command
            .args(&self.foreign.args)
            .arg("--root")
            .arg(layout::runtime_state(self.container))
            .arg("--log")
            .arg(&self.log)
            .args(["--log-format", "json"])
            .env_clear()
            .env("PATH", tools::PATH)
            .current_dir(self.container)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// Runs `command` to its end. What it says is in the log.
    fn run(&self, command: &mut Command) -> Result<(), Failure> {
        // It would be told again as this command's.
        let _ = fs::remove_file(&self.log);
        let log = fs::File::options().create(true).append(true).open(&self.log);
        command.stderr(log.map_err(|error| file(&self.log, &error))?);
        self.end(command)
    }

    fn end(&self, command: &mut Command) -> Result<(), Failure> {
        let status = command.status().map_err(|error| Failure {
            kind: FailureKind::Other,
            message: format!("run {}: {error}", self.foreign.path.display()),
        })?;
        if status.success() {
            return Ok(());
        }
        let text = fs::read(&self.log).unwrap_or_default();
        let said = complaint(&String::from_utf8_lossy(&text));
        Err(match said {
            Some(said) => Failure { kind: kind(&said), message: said },
            None => other(format!("{} failed: {status}", self.foreign.path.display())),
        })
    }

    /// Runs a command that leaves a process behind, with `streams`, and takes that process over.
    fn make(
        &self,
        mut command: Command,
        directory: &Path,
        io: &Io,
        streams: &Streams,
        last: &[&str],
    ) -> Result<Made, Failure> {
        let pid_file = layout::runtime_pid(directory);
        let _ = fs::remove_file(&pid_file);
        command.arg("--pid-file").arg(&pid_file);
        let console = if io.tty { Some(ConsoleSocket::new(directory)?) } else { None };
        if let Some(console) = &console {
            command.arg("--console-socket").arg(console.path());
        }
        command.args(last);
        let adopting = sys::process::set_subreaper(true);
        let ended = tools::hearing_signals(|| match &streams.theirs {
            None => self.run(&mut command),
            Some([stdin, stdout, stderr]) => {
                let _ = fs::remove_file(&self.log);
                let copy = |fd: &OwnedFd| fd.try_clone().map_err(|e| other(format!("copy a stream: {e}")));
                copy(stdin).and_then(|stdin| {
                    command.stdin(stdin).stdout(copy(stdout)?).stderr(copy(stderr)?);
                    self.end(&mut command)
                })
            }
        });
        // Later orphans, of a container without a PID namespace, are init's.
        let _ = sys::process::set_subreaper(false);
        // It holds copies of the streams.
        drop(command);
        ended?;
        adopting.map_err(|error| other(format!("become a subreaper: {error}")))?;
        let text = fs::read_to_string(&pid_file).map_err(|error| file(&pid_file, &error))?;
        let number: Option<i32> = text.trim().parse().ok();
        let pid = number.and_then(Pid::from_raw).ok_or_else(|| other(format!("no process id: {text:?}")))?;
        // Ours to reap: the number cannot be another's yet, even if the process has ended.
        let pidfd = pidfd_open(pid, PidfdFlags::empty())
            .map_err(|error| other(format!("open process {pid:?}: {error}")))?;
        let console = console.map(|socket| socket.receive(io.size)).transpose()?;
        Ok(Made { pid: pid.as_raw_nonzero().get(), pidfd, console })
    }
}

/// Where a runtime sends the master of the terminal that it makes.
#[derive(Debug)]
struct ConsoleSocket {
    directory: OwnedFd,
    listener: OwnedFd,
}

const CONSOLE_SOCKET: &str = "console.sock";

impl ConsoleSocket {
    fn new(directory: &Path) -> Result<Self, Failure> {
        let opened = super::open_directory(directory).map_err(|error| other(error.to_string()))?;
        let _ = rustix::fs::unlinkat(&opened, CONSOLE_SOCKET, rustix::fs::AtFlags::empty());
        let failed = |error: rustix::io::Errno| other(format!("listen on {CONSOLE_SOCKET}: {error}"));
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let listener = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(failed)?;
        let socket = Self { directory: opened, listener };
        bind(&socket.listener, &SocketAddrUnix::new(socket.path()).map_err(failed)?).map_err(failed)?;
        listen(&socket.listener, 1).map_err(failed)?;
        Ok(socket)
    }

    /// Short, and good in any process.
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}/{CONSOLE_SOCKET}", own_pid(), self.directory.as_raw_fd())
    }

    /// After the runtime has ended: what it sent is there, or will never be.
    fn receive(self, size: Option<Size>) -> Result<OwnedFd, Failure> {
        let failed = |error: rustix::io::Errno| other(format!("receive the terminal: {error}"));
        let connection = accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK);
        let connection = connection.map_err(failed)?;
        let mut name = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let parts = &mut [IoSliceMut::new(&mut name)];
        recvmsg(&connection, parts, &mut control, RecvFlags::CMSG_CLOEXEC).map_err(failed)?;
        let master = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut passed) => passed.next(),
            _ => None,
        });
        let _ = rustix::fs::unlinkat(&self.directory, CONSOLE_SOCKET, rustix::fs::AtFlags::empty());
        let master = master.ok_or_else(|| other("the runtime sent no terminal".into()))?;
        if let Some(Size { rows, columns }) = size {
            let _ =
                tcsetwinsize(&master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 });
        }
        Ok(master)
    }
}

/// What went wrong, from a runtime's log: the last error of its JSON lines, or else its last line. Without the
/// words before the matter, which the engine has too.
fn complaint(log: &str) -> Option<String> {
    let lines = || log.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let error = lines().find_map(|line| {
        let entry: serde_json::Value = serde_json::from_str(line).ok()?;
        let level = entry.get("level").and_then(serde_json::Value::as_str)?;
        let message = entry.get("msg").and_then(serde_json::Value::as_str)?;
        matches!(level, "error" | "fatal" | "panic").then(|| message.to_owned())
    });
    let said = error.or_else(|| lines().next().map(str::to_owned))?;
    let matter = ["unable to start container process: ", "error during container init: "]
        .iter()
        .fold(said.as_str(), |text, before| text.rsplit(before).next().unwrap_or(text));
    // C's words in Go's spelling, which clients look for.
    let words = ["No such file or directory", "Permission denied", "Is a directory", "Exec format error"];
    Some(words.iter().fold(matter.to_owned(), |text, word| text.replace(word, &word.to_lowercase())))
}

/// Runtimes say it in words only. The words are runc's and crun's.
fn kind(said: &str) -> FailureKind {
    let said = said.to_lowercase();
    let says = |words: &str| said.contains(words);
    if says("executable file") && says("not found") {
        FailureKind::ExecutableNotFound
    } else if says("mount") {
        FailureKind::Mount
    } else if says("exec format error") {
        FailureKind::ExecFormat
    } else if says("is a directory") {
        FailureKind::IsADirectory
    } else if says("permission denied") {
        FailureKind::PermissionDenied
    } else if says("chdir") || says("cwd") {
        FailureKind::WorkingDirectory
    } else if says("no such file or directory") {
        FailureKind::ExecutableNotFound
    } else if says("not running") || says("stopped container") {
        FailureKind::NotRunning
    } else {
        FailureKind::Other
    }
}

fn write<T: serde::Serialize>(path: &Path, value: &T) -> Result<(), Failure> {
    let bytes = serde_json::to_vec(value).map_err(|error| other(format!("{}: {error}", path.display())))?;
    fs::write(path, bytes).map_err(|error| file(path, &error))
}

fn file(path: &Path, error: &std::io::Error) -> Failure {
    other(format!("{}: {error}", path.display()))
}

fn invalid(message: String) -> Failure {
    Failure { kind: FailureKind::Invalid, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matter_of_a_complaint() {
        let runc = r#"{"level":"info","msg":"x","time":"t"}
{"level":"error","msg":"runc create failed: unable to start container process: error during container init: exec: \"foo\": executable file not found in $PATH","time":"t"}
"#;
        let said = complaint(runc).unwrap();
        assert_eq!(said, r#"exec: "foo": executable file not found in $PATH"#);
        assert_eq!(kind(&said), FailureKind::ExecutableNotFound);
        assert_eq!(complaint("usage: x\nno such flag\n\n").unwrap(), "no such flag");
        assert_eq!(complaint(""), None);
    }

    #[test]
    fn kinds_by_the_words_of_two_runtimes() {
        for (said, expected) in [
            (
                "executable file `foo` not found in $PATH: No such file or directory",
                FailureKind::ExecutableNotFound,
            ),
            (r#"exec: "/x": stat /x: no such file or directory"#, FailureKind::ExecutableNotFound),
            (r#"exec: "/etc/passwd": permission denied"#, FailureKind::PermissionDenied),
            ("exec /bin/x: exec format error", FailureKind::ExecFormat),
            ("cannot exec in a stopped container", FailureKind::NotRunning),
            ("error mounting \"/a\" to rootfs: no such file or directory", FailureKind::Mount),
        ] {
            assert_eq!(kind(said), expected, "{said}");
        }
    }
}
