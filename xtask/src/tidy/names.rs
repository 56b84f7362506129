//! The binary links glibc statically, and there glibc's name-service calls load the host's plug-ins: they
//! crash on other distributions. Host names go through our own resolver, user and group names through our
//! own readers of `/etc/passwd` and `/etc/group`.

use super::Source;

const BANNED: &[&str] = &[
    "getaddrinfo",
    "gethostbyname",
    "getpwnam",
    "getpwuid",
    "getgrnam",
    "getgrgid",
    "getgrouplist",
    "lookup_host",
    "ToSocketAddrs",
    "to_socket_addrs",
];

/// Complains about every use of a banned name.
pub(crate) fn check(sources: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for source in sources.iter().filter(|s| !s.path.starts_with("xtask/")) {
        for (number, line) in source.code_lines() {
            for name in BANNED.iter().filter(|name| line.contains(**name)) {
                broken.push(format!("{}:{number}: `{name}` reaches glibc's name service", source.path));
            }
        }
    }
    broken
}
