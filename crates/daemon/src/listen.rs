//! Binding the sockets the engine answers on: `unix://`, `tcp://`, `fd://`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::RawFd;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use server::Listener;

/// First descriptor of socket activation (sd_listen_fds(3)).
const LISTEN_FDS_START: RawFd = 3;

/// A bound listener, and the socket file to remove in the end.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) listener: Listener,
    pub(crate) socket: Option<PathBuf>,
}

/// Bind one `-H`. Must run inside the tokio runtime.
pub(crate) fn bind(host: &str, group: Option<&str>) -> Result<Vec<Bound>, String> {
    let failed = |what: &dyn std::fmt::Display| format!("failed to load listeners: {host}: {what}");
    match host.split_once("://").unwrap_or(("", host)) {
        ("unix", path) => {
            let path = if path.is_empty() { crate::config::DEFAULT_SOCKET } else { path };
            unix(Path::new(path), group).map(|bound| vec![bound]).map_err(|error| failed(&error))
        }
        ("tcp", address) => {
            let address = tcp_address(address).map_err(|error| failed(&error))?;
            tracing::warn!(
                %address,
                "[DEPRECATION NOTICE]: API is accessible without encryption. Access to the remote API is equivalent to \
                 root access on the host. Do not expose it to a network"
            );
            let listener = std::net::TcpListener::bind(address).map_err(|error| failed(&error))?;
            listener.set_nonblocking(true).map_err(|error| failed(&error))?;
            let listener = tokio::net::TcpListener::from_std(listener).map_err(|error| failed(&error))?;
            Ok(vec![Bound { listener: Listener::Tcp(listener), socket: None }])
        }
        ("fd", _) => inherited().map_err(|error| failed(&error)),
        _ => Err(format!("Invalid bind address (protocol): {host}")),
    }
}

fn unix(path: &Path, group: Option<&str>) -> io::Result<Bound> {
    if UnixStream::connect(path).is_ok() {
        return Err(io::Error::other(format!("another engine answers on {}", path.display())));
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Nobody may connect between bind and chmod.
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let bound = std::os::unix::net::UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = bound?;
    match group_id(group.unwrap_or("docker")) {
        Some(gid) => chown(path, None, Some(gid))?,
        None => match group {
            Some(name) if !name.is_empty() => {
                return Err(io::Error::other(format!("group {name} not found")));
            }
            // As Docker: no group `docker`, then root only.
            _ => tracing::debug!("no group docker, the socket is root's"),
        },
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::UnixListener::from_std(listener)?;
    Ok(Bound { listener: Listener::Unix(listener), socket: Some(path.to_owned()) })
}

/// Own parser: the C library's would load modules from the host.
fn group_id(name: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let text = std::fs::read_to_string("/etc/group").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

/// Numbers only: no resolver here. Docker's default port without TLS is 2375.
fn tcp_address(text: &str) -> io::Result<SocketAddr> {
    let bad =
        || io::Error::other(format!("invalid bind address {text}: an IP address and a port are needed"));
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, if port.is_empty() { 2375 } else { port.parse().map_err(|_| bad())? })
        }
        _ => (text, 2375),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let ip = match host {
        "" | "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        host => host.parse().map_err(|_| bad())?,
    };
    Ok(SocketAddr::new(ip, port))
}

/// Sockets that systemd passed: `LISTEN_FDS` of them from 3, for this process.
fn inherited() -> io::Result<Vec<Bound>> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<i32>().ok());
    let ours = number("LISTEN_PID").is_none_or(|pid| pid.cast_unsigned() == std::process::id());
    let count = number("LISTEN_FDS").filter(|count| ours && *count > 0);
    let count = count.ok_or_else(|| {
        io::Error::other(
            "no sockets found via socket activation: make sure the service was started by systemd",
        )
    })?;
    (LISTEN_FDS_START..LISTEN_FDS_START + count)
        .map(|number| {
            // Ours by sd_listen_fds(3): between 3 and 3 + LISTEN_FDS, handed to this process, taken once.
            let fd = sys::fd::inherited(number)?;
            // systemd leaves them open over exec; a container must not have the engine's socket.
            rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
            let listener = match rustix::net::getsockname(&fd).map(|address| address.address_family()) {
                Ok(rustix::net::AddressFamily::UNIX) => {
                    let listener = std::os::unix::net::UnixListener::from(fd);
                    listener.set_nonblocking(true)?;
                    Listener::Unix(tokio::net::UnixListener::from_std(listener)?)
                }
                _ => {
                    let listener = std::net::TcpListener::from(fd);
                    listener.set_nonblocking(true)?;
                    Listener::Tcp(tokio::net::TcpListener::from_std(listener)?)
                }
            };
            Ok(Bound { listener, socket: None })
        })
        .collect()
}
