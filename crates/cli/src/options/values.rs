//! Rules of single values, checked while the line is read, with Docker's words for a refusal.

use std::net::IpAddr;

use crate::output::units;

pub(crate) fn stream(text: &str) -> Result<(), String> {
    match text.to_ascii_lowercase().as_str() {
        "stdin" | "stdout" | "stderr" => Ok(()),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".into()),
    }
}

/// `name` or `name:alias`.
pub(crate) fn link(text: &str) -> Result<(), String> {
    match text.split(':').count() {
        _ if text.is_empty() => Err("empty string specified for links".into()),
        1 | 2 => Ok(()),
        _ => Err(format!("bad format for links: {text}")),
    }
}

pub(crate) fn label(text: &str) -> Result<(), String> {
    let name = text.split('=').next().unwrap_or_default().trim();
    if name.is_empty() {
        return Err(format!("invalid label '{text}': empty name"));
    }
    if name.contains(char::is_whitespace) {
        return Err(format!("label '{name}' contains whitespaces"));
    }
    Ok(())
}

pub(crate) fn annotation(_: &str) -> Result<(), String> {
    Ok(())
}

/// Only parameters of namespaces can be set for a container alone.
pub(crate) fn sysctl(text: &str) -> Result<(), String> {
    const NAMES: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let refused = Err(format!("sysctl '{text}' is not allowed"));
    let Some((name, _)) = text.split_once('=') else { return refused };
    if NAMES.contains(&name) || name.starts_with("net.") || name.starts_with("fs.mqueue.") {
        Ok(())
    } else {
        refused
    }
}

pub(crate) fn ulimit(text: &str) -> Result<(), String> {
    super::resources::ulimit(text).map(drop)
}

pub(crate) fn mount(text: &str) -> Result<(), String> {
    super::mounts::parse(text).map(drop)
}

pub(crate) fn bytes(text: &str) -> Result<(), String> {
    units::parse_binary_size(text).map(drop)
}

pub(crate) fn swap(text: &str) -> Result<(), String> {
    if text == "-1" { Ok(()) } else { bytes(text) }
}

pub(crate) fn cpus(text: &str) -> Result<(), String> {
    super::resources::nano_cpus(text).map(drop)
}

pub(crate) fn address(text: &str) -> Result<(), String> {
    match text.trim().parse::<IpAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("IP address is not correctly formatted: {}", text.trim())),
    }
}

pub(crate) fn ip(text: &str) -> Result<(), String> {
    match text.trim() {
        "" => Ok(()),
        address => address.parse::<IpAddr>().map(drop).map_err(|_| format!("failed to parse IP: {text:?}")),
    }
}

/// A DNS name, or `.` for no search at all.
pub(crate) fn domain(text: &str) -> Result<(), String> {
    let text = text.trim();
    let label = |label: &str| {
        let ends = |end: Option<char>| end.is_some_and(|c| c.is_ascii_alphanumeric());
        label.len() <= 63
            && ends(label.chars().next())
            && ends(label.chars().last())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    if text == "."
        || (text.contains(|c: char| c.is_ascii_alphabetic())
            && name.len() < 255
            && name.split('.').all(label))
    {
        return Ok(());
    }
    Err(format!("{text} is not a valid domain"))
}

/// `host:ip`, `host=ip`; `host-gateway` stands for the engine's address.
pub(crate) fn extra_host(text: &str) -> Result<(), String> {
    let Some((host, address)) = split_extra_host(text) else {
        return Err(format!("bad format for add-host: {text:?}"));
    };
    if host.is_empty() {
        return Err(format!("bad format for add-host: {text:?}"));
    }
    if address == "host-gateway" {
        return Ok(());
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    bare.parse::<IpAddr>().map(drop).map_err(|_| format!("invalid IP address in add-host: {address:?}"))
}

/// `=` separates before `:`, so that `=` makes IPv6 addresses readable.
pub(crate) fn split_extra_host(text: &str) -> Option<(&str, &str)> {
    text.split_once('=').or_else(|| text.split_once(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        assert_eq!(extra_host("db:10.0.0.1"), Ok(()));
        assert_eq!(extra_host("db=::1"), Ok(()));
        assert_eq!(extra_host("db:[::1]"), Ok(()));
        assert_eq!(extra_host("db:host-gateway"), Ok(()));
        assert_eq!(extra_host("db"), Err("bad format for add-host: \"db\"".into()));
        assert_eq!(extra_host("db:x"), Err("invalid IP address in add-host: \"x\"".into()));
    }

    #[test]
    fn sysctls_of_namespaces_only() {
        assert_eq!(sysctl("net.ipv4.ip_forward=1"), Ok(()));
        assert_eq!(sysctl("kernel.hostname=x"), Err("sysctl 'kernel.hostname=x' is not allowed".into()));
    }
}
