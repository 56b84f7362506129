//! The create request, inwards: validated in Docker's words, refused by name where Wharf cannot do it yet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{health, host_config};
use api::container::{ContainerConfig, CreateRequest};
use api::host_config::HostConfig;
use api::network::EndpointSettings;
use engine::containers::{ContainerSpec, EndpointSpec};
use engine::{Error, Result};

pub(crate) fn spec(request: CreateRequest, platform: String) -> Result<ContainerSpec> {
    let CreateRequest { config, host_config, networking_config } = request;
    let host = host_config.unwrap_or_default();
    conflicts(&config, &host)?;
    config_check(&config)?;
    let mut endpoints = std::collections::BTreeMap::new();
    for (name, settings) in networking_config.unwrap_or_default().endpoints_config {
        // "default" is the default bridge under another name.
        let name = if name == "default" { "bridge".to_owned() } else { name };
        endpoints.insert(name.clone(), endpoint(&name, settings)?);
    }
    let host = host_config::spec(host)?;
    Ok(ContainerSpec {
        image: config.image,
        platform,
        hostname: config.hostname,
        domainname: config.domainname,
        user: config.user,
        attach_stdin: config.attach_stdin,
        attach_stdout: config.attach_stdout,
        attach_stderr: config.attach_stderr,
        exposed_ports: config.exposed_ports.into_keys().map(port).collect::<Result<_>>()?,
        tty: config.tty,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        env: config.env,
        cmd: (!config.cmd.is_empty()).then_some(config.cmd),
        entrypoint: config.entrypoint,
        healthcheck: config.healthcheck.map(health::check),
        args_escaped: config.args_escaped,
        volumes: config.volumes.into_keys().collect(),
        working_dir: config.working_dir,
        network_disabled: config.network_disabled,
        on_build: (!config.on_build.is_empty()).then_some(config.on_build),
        labels: config.labels,
        stop_signal: (!config.stop_signal.is_empty()).then_some(config.stop_signal),
        stop_timeout_s: config.stop_timeout,
        shell: (!config.shell.is_empty()).then_some(config.shell),
        host,
        endpoints,
        without_networks: false,
    })
}

/// `80`, `80/TCP` are `80/tcp`.
pub(super) fn port(text: String) -> Result<String> {
    let (number, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
    let protocol = if protocol.is_empty() { "tcp" } else { protocol };
    match number.parse::<u16>() {
        // As nearly all are.
        Ok(_) if text.ends_with("/tcp") && !text.starts_with(['+', '0']) => Ok(text),
        Ok(number) if !text.starts_with('+') => Ok(format!("{number}/{}", protocol.to_ascii_lowercase())),
        _ => Err(Error::invalid(format!("invalid JSON: invalid port '{text}': invalid syntax"))),
    }
}

/// Options that contradict each other.
fn conflicts(config: &ContainerConfig, host: &HostConfig) -> Result<()> {
    let conflict = |what: &str| Err(Error::invalid(format!("conflicting options: {what}")));
    let mode = host.network_mode.as_str();
    let is_container = mode == "container" || mode.starts_with("container:");
    if is_container && mode.strip_prefix("container:").is_none_or(str::is_empty) {
        return Err(Error::invalid("invalid network mode: invalid container format container:<name|id>"));
    }
    if is_container || host.uts_mode == "host" {
        if is_container && !config.hostname.is_empty() {
            return conflict("hostname and the network mode");
        }
        if host.uts_mode == "host" && !config.hostname.is_empty() {
            return conflict("hostname and the UTS mode");
        }
    }
    if mode == "host" && !host.links.is_empty() {
        return conflict(
            "host type networking can't be used with links. This would result in undefined behavior",
        );
    }
    if !is_container {
        return Ok(());
    }
    if !host.links.is_empty() {
        return conflict(
            "container type network can't be used with links. This would result in undefined behavior",
        );
    }
    if !host.dns.is_empty() {
        return conflict("dns and the network mode");
    }
    if !host.extra_hosts.is_empty() {
        return conflict("custom host-to-IP mapping and the network mode");
    }
    if !host.port_bindings.is_empty() || host.publish_all_ports {
        return conflict("port publishing and the container type network mode");
    }
    if !config.exposed_ports.is_empty() {
        return conflict("port exposing and the container type network mode");
    }
    Ok(())
}

fn config_check(config: &ContainerConfig) -> Result<()> {
    if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
        let path = &config.working_dir;
        return Err(Error::invalid(format!(
            "the working directory '{path}' is invalid, it needs to be an absolute path"
        )));
    }
    for variable in &config.env {
        if variable.is_empty() || variable.starts_with('=') {
            return Err(Error::invalid(format!("invalid environment variable: {variable}")));
        }
    }
    if let Some(check) = &config.healthcheck {
        health::validate(check)?;
    }
    Ok(())
}

pub(super) fn endpoint(network: &str, settings: EndpointSettings) -> Result<EndpointSpec> {
    let predefined = matches!(network, "bridge" | "host" | "none") || network.starts_with("container:");
    let ipam = settings.ipam_config.unwrap_or_default();
    let mut wrong = Vec::new();
    let is_static = !ipam.ipv4_address.is_empty() || !ipam.ipv6_address.is_empty();
    if predefined && is_static {
        wrong.push("user-specified IP address is supported on user-defined networks only".to_owned());
    }
    if predefined && !settings.aliases.is_empty() {
        wrong.push("network-scoped aliases are only supported for user-defined networks".to_owned());
    }
    let ipv4 = match ipam.ipv4_address.parse::<Ipv4Addr>() {
        Ok(address) if !address.is_unspecified() => Some(address),
        _ if ipam.ipv4_address.is_empty() => None,
        _ => {
            wrong.push(format!("invalid IPv4 address: {}", ipam.ipv4_address));
            None
        }
    };
    let ipv6 = match ipam.ipv6_address.parse::<Ipv6Addr>() {
        Ok(address) if !address.is_unspecified() => Some(address),
        _ if ipam.ipv6_address.is_empty() => None,
        _ => {
            wrong.push(format!("invalid IPv6 address: {}", ipam.ipv6_address));
            None
        }
    };
    let mut link_local = Vec::new();
    for text in &ipam.link_local_ips {
        match text.parse::<IpAddr>() {
            Ok(address) if !address.is_unspecified() => link_local.push(address),
            _ => wrong.push(format!("invalid link-local IP address: {text}")),
        }
    }
    if !wrong.is_empty() {
        let wrong = match &wrong[..] {
            [one] => one.clone(),
            several => format!("* {}", several.join("\n* ")),
        };
        let text = format!("invalid config for network {network}: invalid endpoint settings:\n{wrong}");
        return Err(Error::invalid(text));
    }
    if !settings.mac_address.is_empty() && !is_mac(&settings.mac_address) {
        let mac = &settings.mac_address;
        return Err(Error::invalid(format!("invalid JSON: address {mac}: invalid MAC address")));
    }
    Ok(EndpointSpec {
        mac: settings.mac_address.to_ascii_lowercase().replace('-', ":"),
        ipv4,
        ipv6,
        link_local,
        aliases: settings.aliases,
        links: settings.links,
        driver_opts: settings.driver_opts,
        gw_priority: settings.gw_priority,
    })
}

fn is_mac(text: &str) -> bool {
    let parts: Vec<_> = text.split([':', '-']).collect();
    parts.len() == 6 && parts.iter().all(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> String {
        let request = CreateRequest::from_slice(body.as_bytes()).unwrap();
        spec(request, String::new()).expect_err(body).message
    }

    #[test]
    fn refusals_are_docker_s_and_name_the_field() {
        for (body, text) in [
            (
                r#"{"Hostname":"x","HostConfig":{"NetworkMode":"container:y"}}"#,
                "hostname and the network mode",
            ),
            (
                r#"{"Hostname":"x","HostConfig":{"UTSMode":"host"}}"#,
                "conflicting options: hostname and the UTS mode",
            ),
            (
                r#"{"WorkingDir":"a"}"#,
                "the working directory 'a' is invalid, it needs to be an absolute path",
            ),
            (r#"{"Env":["=x"]}"#, "invalid environment variable: =x"),
            (r#"{"HostConfig":{"Memory":1000}}"#, "Minimum memory limit allowed is 6MB"),
            (
                r#"{"HostConfig":{"Memory":10000000,"MemorySwap":9000000}}"#,
                "Minimum memoryswap limit should be larger",
            ),
            (
                r#"{"HostConfig":{"MemorySwap":9000000}}"#,
                "You should always set the Memory limit when using Memoryswap",
            ),
            (r#"{"HostConfig":{"NanoCpus":1,"CpuQuota":5000}}"#, "Conflicting options: Nano CPUs and CPU"),
            (
                r#"{"HostConfig":{"RestartPolicy":{"Name":"foo"}}}"#,
                "invalid restart policy: unknown policy 'foo'",
            ),
            (
                r#"{"HostConfig":{"AutoRemove":true,"RestartPolicy":{"Name":"always"}}}"#,
                "can't create 'AutoRemove'",
            ),
            (r#"{"HostConfig":{"PortBindings":{"x/tcp":[{}]}}}"#, "invalid port 'x/tcp'"),
            (
                r#"{"HostConfig":{"Isolation":"hyperv"}}"#,
                "invalid isolation (hyperv): linux only supports 'default'",
            ),
            (
                r#"{"HostConfig":{"Mounts":[{"Type":"bind","Target":"/x"}]}}"#,
                "invalid mount config for type \"bind\": field Source must not be empty",
            ),
            (
                r#"{"HostConfig":{"Mounts":[{"Type":"tmpfs","Source":"/a","Target":"/x"}]}}"#,
                "field Source must not be specified",
            ),
            (r#"{"HostConfig":{"Binds":["/a:b"]}}"#, "invalid mount path: 'b' mount path must be absolute"),
            (r#"{"HostConfig":{"Binds":["a:b:c:d"]}}"#, "invalid volume specification: 'a:b:c:d'"),
            (r#"{"ExposedPorts":{"x/tcp":{}}}"#, "invalid port 'x/tcp'"),
            (r#"{"ExposedPorts":{"+80/tcp":{}}}"#, "invalid port '+80/tcp'"),
            (r#"{"Healthcheck":{"Interval":1}}"#, "Interval in Healthcheck cannot be less than 1ms"),
            (
                r#"{"Healthcheck":{"StartInterval":-1}}"#,
                "StartInterval in Healthcheck cannot be less than 1ms",
            ),
            (r#"{"Healthcheck":{"Retries":-1}}"#, "Retries in Healthcheck cannot be negative"),
            (r#"{"HostConfig":{"CpusetCpus":"a"}}"#, "Invalid value a for cpuset cpus"),
            (
                r#"{"HostConfig":{"OomScoreAdj":5000}}"#,
                "Invalid value 5000, range for oom score adj is [-1000, 1000]",
            ),
            (r#"{"HostConfig":{"IpcMode":"nope"}}"#, "invalid IPC mode: nope"),
        ] {
            let message = refused(body);
            assert!(message.contains(text), "{body}: {message}");
        }
    }

    #[test]
    fn what_means_unset_passes() {
        let body = r#"{"Image":"busybox","Cmd":null,"HostConfig":{"NetworkMode":"default","PortBindings":{},"Links":null,
            "RestartPolicy":{"Name":"no","MaximumRetryCount":0},"LogConfig":{"Type":"","Config":{}},"VolumeDriver":"",
            "DeviceRequests":null,"PidsLimit":0,"MemorySwappiness":-1,"Isolation":"default","BlkioDeviceReadBps":[]},
            "NetworkingConfig":{"EndpointsConfig":{"default":{}}},"ExposedPorts":{"80":{}}}"#;
        let spec = spec(CreateRequest::from_slice(body.as_bytes()).unwrap(), String::new()).unwrap();
        assert!(spec.endpoints.contains_key("bridge") && spec.exposed_ports.contains("80/tcp"));
        assert_eq!((spec.host.resources.pids_limit, spec.host.resources.memory_swappiness), (None, None));
    }
}
