//! Options of a container's place on a network (`--network name=n,driver-opt=key=value`): what its interface is called
//! and how it is set. Those that nobody here knows are kept and shown, as in Docker: they are for other drivers.

use std::collections::BTreeMap;

const NAME: &str = "com.docker.network.endpoint.ifname";
const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";
/// Stands for the interface's name in a setting.
const ANY: &str = "IFNAME";
/// `IFNAMSIZ`, without the zero.
const NAME_MAX: usize = 15;

/// What the interface is to be called.
pub(super) fn interface(options: &BTreeMap<String, String>) -> Result<Option<String>, String> {
    let Some(name) = options.get(NAME).filter(|name| !name.is_empty()) else { return Ok(None) };
    let odd = |c: char| c == '/' || c == ':' || c.is_whitespace();
    match name.as_str() {
        "lo" | "." | ".." | "all" | "default" => {}
        name if name.len() > NAME_MAX || name.contains(odd) => {}
        name => return Ok(Some(name.to_owned())),
    }
    Err(format!(
        "invalid interface name {name:?}: at most {NAME_MAX} characters, no '/', ':' or space, and not lo"
    ))
}

/// Settings of the interface: where, with [`ANY`] for its name, and what.
pub(super) fn sysctls(options: &BTreeMap<String, String>) -> Result<Vec<(String, String)>, String> {
    let Some(text) = options.get(SYSCTLS).filter(|text| !text.is_empty()) else { return Ok(Vec::new()) };
    text.split(',').map(sysctl).collect()
}

fn sysctl(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("unable to parse network interface sysctl {text:?}: missing '='"))?;
    let safe = |part: &&str| !part.is_empty() && !part.contains('/');
    match key.split('.').filter(safe).collect::<Vec<_>>()[..] {
        // Docker's client says it in small letters.
        ["net", family @ ("ipv4" | "ipv6" | "mpls"), kind, any, setting]
            if any.eq_ignore_ascii_case(ANY) && key.split('.').count() == 5 =>
        {
            Ok((format!("net/{family}/{kind}/{ANY}/{setting}"), value.to_owned()))
        }
        _ => Err(format!(
            "unrecognised network interface sysctl '{text}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' \
             must be 'ipv4', 'ipv6' or 'mpls'"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(key: &str, value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(key.to_owned(), value.to_owned())])
    }

    #[test]
    fn names_are_what_the_kernel_takes() {
        assert_eq!(interface(&with(NAME, "lan0")), Ok(Some("lan0".into())));
        assert_eq!(interface(&with("com.example.setting", "yes")), Ok(None));
        for wrong in ["lo", "a/b", "0123456789abcdef", "a b", "..", "all"] {
            assert!(interface(&with(NAME, wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn settings_are_those_of_the_interface() {
        let read = sysctls(&with(SYSCTLS, "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.neigh.IFNAME.x=a=b"));
        let wanted = [("net/ipv4/conf/IFNAME/log_martians", "1"), ("net/ipv6/neigh/IFNAME/x", "a=b")];
        assert_eq!(read.unwrap(), wanted.map(|(key, value)| (key.to_owned(), value.to_owned())));
        for wrong in [
            "net.ipv4.conf.eth0.x=1",
            "kernel.a.b.IFNAME.c=1",
            "net.ipv4.conf.IFNAME.../x=1",
            "net.ipv4.conf.IFNAME.x",
        ] {
            assert!(sysctls(&with(SYSCTLS, wrong)).is_err(), "{wrong}");
        }
    }
}
