//! `port`: where a container's ports are published.

use std::net::IpAddr;

use api::network::PortBinding;
use api::system::SystemInfo;

use crate::command::{Command, Operands};
use crate::failure::Failure;
use crate::flags::Flag;
use crate::output;

pub(crate) const COMMAND: Command = Command {
    name: "port",
    aliases: &[],
    usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
    about: "List where the ports of a container are published",
    flags: &[Flag::switch("exposure", "Show from where each port can be reached")],
    operands: Operands::Between(1, 2),
    interspersed: true,
    spellings: &["container port", "port"],
    run: |app, line| {
        Box::pin(async move {
            let container = &line.operands[0];
            let found = app.client.containers().inspect(container, false).await?;
            let ports = found.network_settings.unwrap_or_default().ports;
            let exposes = line.switch("exposure");
            let is_asked = exposes && asks_the_host(&app.client.system().info().await?);
            let place = |binding: &PortBinding| match exposes {
                false => socket(binding),
                true => format!("{} ({})", socket(binding), exposure(&binding.host_ip, is_asked)),
            };
            let mut lines: Vec<String> = Vec::new();
            if let Some(asked) = line.operands.get(1).filter(|asked| !asked.is_empty()) {
                let bindings = ports.get(&full(asked)?).and_then(Option::as_ref);
                lines.extend(bindings.into_iter().flatten().map(place));
                if lines.is_empty() {
                    return Err(Failure::new(format!("no public port '{asked}' published for {container}")));
                }
            } else {
                for (port, bindings) in &ports {
                    let bindings = bindings.iter().flatten();
                    lines.extend(bindings.map(|binding| format!("{port} -> {}", place(binding))));
                }
            }
            lines.sort_by_cached_key(|line| natural(line));
            output::out(&lines.iter().map(|line| format!("{line}\n")).collect::<String>());
            Ok(0)
        })
    },
};

fn socket(binding: &PortBinding) -> String {
    let PortBinding { host_ip, host_port } = binding;
    if host_ip.contains(':') { format!("[{host_ip}]:{host_port}") } else { format!("{host_ip}:{host_port}") }
}

/// Whether the engine leaves it to the host's own firewall who comes in (`--firewall respect`).
fn asks_the_host(info: &SystemInfo) -> bool {
    let firewall = info.firewall_backend.as_ref();
    firewall.is_some_and(|firewall| {
        firewall.info.iter().any(|[key, value]| key == "Firewall" && value == "respect")
    })
}

/// Who can reach it, as far as the address says.
fn exposure(address: &str, is_asked: bool) -> &'static str {
    let (by_address, asked) = match address.parse::<IpAddr>() {
        Ok(address) if address.is_loopback() => return "loopback",
        Ok(IpAddr::V4(address)) if address.is_private() || address.is_link_local() => {
            ("LAN", "LAN, as far as the host's input policy allows")
        }
        Ok(IpAddr::V6(address)) if address.is_unique_local() || address.is_unicast_link_local() => {
            ("LAN", "LAN, as far as the host's input policy allows")
        }
        _ => ("everywhere", "everywhere, as far as the host's input policy allows"),
    };
    if is_asked { asked } else { by_address }
}

/// `80` is `80/tcp`.
fn full(asked: &str) -> Result<String, Failure> {
    let (number, protocol) = asked.split_once('/').unwrap_or((asked, "tcp"));
    let why = match number.parse::<u16>() {
        // Go's numbers have no sign here.
        Ok(port) if !number.starts_with('+') => {
            return Ok(format!("{port}/{}", protocol.to_ascii_lowercase()));
        }
        _ if number.is_empty() => "value is empty",
        _ if number.bytes().all(|digit| digit.is_ascii_digit()) => "value out of range",
        _ => "invalid syntax",
    };
    Err(Failure::new(format!("invalid port '{number}': {why}")))
}

/// Numbers count as such: `9` comes before `80`.
fn natural(text: &str) -> Vec<(u64, String)> {
    let mut parts: Vec<(u64, String)> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let words = rest[digits..].find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len() - digits);
        parts.push((rest[..digits].parse().unwrap_or(0), rest[digits..digits + words].to_owned()));
        rest = &rest[digits + words..];
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_a_number_and_a_protocol() {
        assert_eq!(full("080").unwrap(), "80/tcp");
        assert_eq!(full("53/UDP").unwrap(), "53/udp");
        for (wrong, error) in [
            ("x", "invalid port 'x': invalid syntax"),
            ("+80", "invalid port '+80': invalid syntax"),
            ("80-81", "invalid port '80-81': invalid syntax"),
            ("/tcp", "invalid port '': value is empty"),
            ("65536/udp", "invalid port '65536': value out of range"),
        ] {
            assert_eq!(full(wrong).unwrap_err().text, error);
        }
    }

    #[test]
    fn numbers_are_ordered_as_numbers() {
        let mut lines = ["443/tcp -> 0.0.0.0:9", "80/tcp -> 0.0.0.0:100", "80/tcp -> 0.0.0.0:99"];
        lines.sort_by_cached_key(|line| natural(line));
        assert_eq!(lines, ["80/tcp -> 0.0.0.0:99", "80/tcp -> 0.0.0.0:100", "443/tcp -> 0.0.0.0:9"]);
    }

    #[test]
    fn addresses_say_who_comes() {
        for (address, who) in [
            ("127.0.0.1", "loopback"),
            ("::1", "loopback"),
            ("192.168.1.2", "LAN"),
            ("fd00::1", "LAN"),
            ("0.0.0.0", "everywhere"),
            ("203.0.113.5", "everywhere"),
        ] {
            assert_eq!(exposure(address, false), who, "{address}");
            assert!(exposure(address, true).starts_with(who));
        }
    }
}
