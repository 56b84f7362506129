//! The line of `run` or `create` as the body of the create request.

use std::collections::BTreeMap;

use api::container::{ContainerConfig, CreateRequest, Empty};
use api::host_config::{HostConfig, LogConfig, RestartPolicy, RestartPolicyName};
use api::mount::Mount;
use api::network::NetworkingConfig;

use super::{devices, environment, health, mounts, networks, ports, resources, security, values, volumes};
use crate::flags::Parsed;
use crate::output::units;

/// Builds the request; `proxies` are variables for the container that the user did not name.
///
/// # Errors
/// What is wrong with which flag, in Docker's words where it has some.
pub(crate) fn request(line: &Parsed, proxies: Vec<String>) -> Result<CreateRequest, String> {
    let mut host = host_config(line)?;
    let mut anonymous = BTreeMap::new();
    for volume in line.list("volume") {
        if let Some(warning) = volumes::full_width_colon(&volume) {
            crate::output::err(&warning);
        }
        match volumes::parse(&volume)? {
            // Said twice is meant once.
            volumes::Volume::Bind(bind) if host.binds.contains(&bind) => {}
            volumes::Volume::Bind(bind) => host.binds.push(bind),
            volumes::Volume::Anonymous(target) => {
                anonymous.insert(target, Empty::default());
            }
        }
    }
    let (mut exposed, published) = ports::parse(&line.list("publish"))?;
    exposed.extend(exposed_ports(&line.list("expose"))?);
    host.port_bindings = published;
    let config = config(line, proxies, anonymous, exposed)?;
    if host.auto_remove
        && !host.restart_policy.name.is_empty()
        && host.restart_policy.name != RestartPolicyName::NO
    {
        return Err("conflicting options: cannot specify both --restart and --rm".into());
    }
    let (mode, endpoints_config) = networks::parse(line)?;
    host.network_mode = mode;
    Ok(CreateRequest {
        config,
        host_config: Some(host),
        networking_config: Some(NetworkingConfig { endpoints_config }),
    })
}

fn config(
    line: &Parsed,
    proxies: Vec<String>,
    volumes: BTreeMap<String, Empty>,
    exposed_ports: BTreeMap<String, Empty>,
) -> Result<ContainerConfig, String> {
    let attach: Vec<String> = line.list("attach").iter().map(|stream| stream.to_ascii_lowercase()).collect();
    let attached = |stream: &str| attach.iter().any(|given| given == stream);
    let interactive = line.switch("interactive");
    let attach_stdin = attached("stdin") || interactive;
    let mut env = proxies;
    env.extend(
        environment::variables(&line.list("env-file"), &line.list("env"))
            .map_err(|error| format!("--env-file: {error}"))?,
    );
    let labels = environment::labels(&line.list("label-file"), &line.list("label"))
        .map_err(|error| format!("--label-file: {error}"))?;
    Ok(ContainerConfig {
        hostname: line.text("hostname").to_owned(),
        domainname: line.text("domainname").to_owned(),
        user: line.text("user").to_owned(),
        attach_stdin,
        attach_stdout: attach.is_empty() || attached("stdout"),
        attach_stderr: attach.is_empty() || attached("stderr"),
        exposed_ports,
        tty: line.switch("tty"),
        open_stdin: interactive,
        stdin_once: interactive && attach_stdin,
        env,
        cmd: line.operands[1..].to_vec(),
        healthcheck: health::check(line)?,
        image: line.operands[0].clone(),
        volumes,
        working_dir: line.text("workdir").to_owned(),
        // An empty `--entrypoint=` takes the image's away.
        entrypoint: line.given("entrypoint").map(|entrypoint| vec![entrypoint.to_owned()]),
        labels: labels.into_iter().collect(),
        stop_signal: line.text("stop-signal").to_owned(),
        stop_timeout: line.changed("stop-timeout").then(|| line.int("stop-timeout")),
        ..ContainerConfig::default()
    })
}

fn host_config(line: &Parsed) -> Result<HostConfig, String> {
    let swappiness = line.int("memory-swappiness");
    if !(-1..=100).contains(&swappiness) {
        return Err(format!("invalid value: {swappiness}. Valid memory swappiness range is 0-100"));
    }
    check_mode(line, "pid", "invalid PID mode", |mode| {
        matches!(mode, "" | "private" | "host") || names_container(mode)
    })?;
    check_mode(line, "uts", "invalid UTS mode", |mode| matches!(mode, "" | "host"))?;
    check_mode(line, "userns", "invalid USER mode", |mode| matches!(mode, "" | "host"))?;
    check_mode(line, "cgroupns", "invalid CGROUP mode", |mode| matches!(mode, "" | "host" | "private"))?;
    let security = security::parse(&line.list("security-opt"))?;
    if line.list("storage-opt").iter().any(|option| !option.contains('=')) {
        return Err("invalid storage option".into());
    }
    let (named, paths): (Vec<String>, Vec<String>) =
        line.list("device").into_iter().partition(|device| devices::is_name(device));
    let open_paths = security.open_system_paths.then(Vec::new);
    let mut dns_options = line.list("dns-option");
    dns_options.extend(line.list("dns-opt"));
    Ok(HostConfig {
        container_id_file: line.text("cidfile").to_owned(),
        log_config: log_config(line)?,
        restart_policy: restart_policy(line.text("restart"))?,
        auto_remove: line.switch("rm"),
        annotations: health::annotations(line, pairs(&line.list("annotation")))?,
        cap_add: line.list("cap-add"),
        cap_drop: line.list("cap-drop"),
        cgroupns_mode: line.text("cgroupns").to_owned(),
        dns: line.list("dns"),
        dns_options,
        dns_search: line.list("dns-search"),
        extra_hosts: extra_hosts(&line.list("add-host")),
        group_add: line.list("group-add"),
        ipc_mode: line.text("ipc").to_owned(),
        oom_score_adj: line.int("oom-score-adj"),
        pid_mode: line.text("pid").to_owned(),
        privileged: line.switch("privileged"),
        publish_all_ports: line.switch("publish-all"),
        links: line.list("link"),
        readonly_rootfs: line.switch("read-only"),
        security_opt: security.options,
        tmpfs: line.list("tmpfs").iter().map(|tmpfs| split_tmpfs(tmpfs)).collect(),
        volumes_from: line.list("volumes-from"),
        volume_driver: line.text("volume-driver").to_owned(),
        uts_mode: line.text("uts").to_owned(),
        userns_mode: line.text("userns").to_owned(),
        shm_size: bytes(line, "shm-size"),
        storage_opt: pairs(&line.list("storage-opt")),
        sysctls: pairs(&line.list("sysctl")),
        runtime: line.text("runtime").to_owned(),
        isolation: line.text("isolation").to_owned(),
        cpu_shares: line.int("cpu-shares"),
        memory: bytes(line, "memory"),
        nano_cpus: line.given("cpus").map_or(Ok(0), resources::nano_cpus)?,
        cgroup_parent: line.text("cgroup-parent").to_owned(),
        blkio_weight: u16::try_from(line.int("blkio-weight")).unwrap_or(0),
        blkio_weight_device: parse_all(&line.list("blkio-weight-device"), devices::parse_weight)?,
        blkio_device_read_bps: parse_all(&line.list("device-read-bps"), devices::parse_bytes_rate)?,
        blkio_device_write_bps: parse_all(&line.list("device-write-bps"), devices::parse_bytes_rate)?,
        blkio_device_read_iops: parse_all(&line.list("device-read-iops"), devices::parse_operations_rate)?,
        blkio_device_write_iops: parse_all(&line.list("device-write-iops"), devices::parse_operations_rate)?,
        cpu_period: line.int("cpu-period"),
        cpu_quota: line.int("cpu-quota"),
        cpu_realtime_period: line.int("cpu-rt-period"),
        cpu_realtime_runtime: line.int("cpu-rt-runtime"),
        cpuset_cpus: line.text("cpuset-cpus").to_owned(),
        cpuset_mems: line.text("cpuset-mems").to_owned(),
        devices: parse_all(&paths, devices::mapping)?,
        device_requests: devices::requests(&line.list("gpus"), named)?,
        device_cgroup_rules: line.list("device-cgroup-rule"),
        memory_reservation: bytes(line, "memory-reservation"),
        memory_swap: bytes(line, "memory-swap"),
        memory_swappiness: Some(swappiness),
        oom_kill_disable: Some(line.switch("oom-kill-disable")),
        pids_limit: Some(line.int("pids-limit")),
        ulimits: parse_all(&line.list("ulimit"), resources::ulimit)?,
        mounts: parse_all::<Mount>(&line.list("mount"), mounts::parse)?,
        masked_paths: open_paths.clone(),
        readonly_paths: open_paths,
        init: line.changed("init").then(|| line.switch("init")),
        ..HostConfig::default()
    })
}

fn check_mode(
    line: &Parsed,
    flag: &str,
    complaint: &str,
    valid: impl FnOnce(&str) -> bool,
) -> Result<(), String> {
    if valid(line.text(flag)) { Ok(()) } else { Err(format!("--{flag}: {complaint}")) }
}

fn names_container(mode: &str) -> bool {
    mode.strip_prefix("container:").is_some_and(|name| !name.is_empty())
}

fn parse_all<T>(given: &[String], parse: fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    given.iter().map(|text| parse(text)).collect()
}

/// Bytes of a size flag that was checked when it was read; -1 is itself.
pub(crate) fn bytes(line: &Parsed, flag: &str) -> i64 {
    match line.given(flag) {
        None => 0,
        Some("-1") => -1,
        Some(text) => units::parse_binary_size(text).unwrap_or(0),
    }
}

fn pairs(given: &[String]) -> BTreeMap<String, String> {
    given.iter().map(|text| environment::pair(text)).collect()
}

fn split_tmpfs(text: &str) -> (String, String) {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    (target.to_owned(), options.to_owned())
}

fn extra_hosts(given: &[String]) -> Vec<String> {
    let colon = |text: &String| match values::split_extra_host(text) {
        Some((host, address)) => {
            format!(
                "{host}:{}",
                address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address)
            )
        }
        None => text.clone(),
    };
    given.iter().map(colon).collect()
}

fn log_config(line: &Parsed) -> Result<LogConfig, String> {
    let (driver, options) = (line.text("log-driver"), line.list("log-opt"));
    if driver == "none" && !options.is_empty() {
        return Err(format!("invalid logging opts for driver {driver}"));
    }
    Ok(LogConfig { kind: driver.to_owned(), config: pairs(&options) })
}

pub(crate) fn restart_policy(text: &str) -> Result<RestartPolicy, String> {
    if text.is_empty() {
        return Ok(RestartPolicy::default());
    }
    let (name, count) = match text.split_once(':') {
        Some((name, count)) => (name, Some(count)),
        None => (text, None),
    };
    if name.is_empty() {
        return Err("invalid restart policy format: no policy provided before colon".into());
    }
    let maximum_retry_count = match count {
        None | Some("") => 0,
        Some(count) => count.parse().map_err(|_| {
            "invalid restart policy format: maximum retry count must be an integer".to_owned()
        })?,
    };
    Ok(RestartPolicy { name: RestartPolicyName::from(name), maximum_retry_count })
}

/// `--expose`: a port or a range of ports, with or without a protocol.
fn exposed_ports(given: &[String]) -> Result<BTreeMap<String, Empty>, String> {
    let mut ports = BTreeMap::new();
    for text in given {
        let invalid = |why: String| format!("invalid range format for --expose: {why}");
        let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        if range.is_empty() {
            return Err(invalid("invalid port range: value is empty".into()));
        }
        let port = |which: &str, text: &str| {
            text.parse::<u16>().map_err(|error| {
                use std::num::IntErrorKind::{Empty, PosOverflow};
                let why = match error.kind() {
                    Empty => "value is empty",
                    PosOverflow => "value out of range",
                    _ => "invalid syntax",
                };
                invalid(format!("invalid {which} port '{text}': {why}"))
            })
        };
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (port("start", first)?, port("end", last)?);
        if first > last {
            return Err(invalid(format!("invalid port range: {text}")));
        }
        for port in first..=last {
            ports.insert(format!("{port}/{}", protocol.to_ascii_lowercase()), Empty::default());
        }
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{Flag, parse};
    use crate::options::container_flags;

    const FLAGS: &[Flag] = container_flags![];

    fn built(words: &str) -> Result<CreateRequest, String> {
        let args: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let line = parse(FLAGS, &args, false).map_err(|error| error.to_string())?;
        request(&line, Vec::new())
    }

    #[test]
    fn a_plain_line() {
        let request = built("busybox sh -c true").unwrap();
        assert_eq!(request.config.image, "busybox");
        assert_eq!(request.config.cmd, ["sh", "-c", "true"]);
        assert!(request.config.attach_stdout && request.config.attach_stderr && !request.config.attach_stdin);
        let host = request.host_config.unwrap();
        assert_eq!(
            (host.network_mode.as_str(), host.memory_swappiness, host.init),
            ("default", Some(-1), None)
        );
    }

    #[test]
    fn resources_and_streams() {
        let request =
            built("-i -a stdout -m 64m --memory-swap -1 --cpus 1.5 --pids-limit 7 --entrypoint= x").unwrap();
        assert!(request.config.attach_stdin && request.config.stdin_once && !request.config.attach_stderr);
        assert_eq!(request.config.entrypoint, Some(vec![String::new()]));
        let host = request.host_config.unwrap();
        assert_eq!((host.memory, host.memory_swap, host.nano_cpus), (64 << 20, -1, 1_500_000_000));
        assert_eq!(host.pids_limit, Some(7));
    }

    #[test]
    fn mounts_volumes_and_tmpfs() {
        let request =
            built("-v /a:/b:ro -v /anon --tmpfs /t:size=1m --mount type=bind,src=/c,dst=/d x").unwrap();
        assert_eq!(request.config.volumes.keys().collect::<Vec<_>>(), ["/anon"]);
        let host = request.host_config.unwrap();
        assert_eq!(host.binds, ["/a:/b:ro"]);
        assert_eq!(host.tmpfs["/t"], "size=1m");
        assert_eq!(host.mounts[0].target, "/d");
    }

    #[test]
    fn contradictions_and_refusals() {
        for (line, error) in [
            ("--rm --restart always x", "conflicting options: cannot specify both --restart and --rm"),
            ("--publish 80:80/foo x", "invalid proto: foo"),
            ("--pid foo x", "--pid: invalid PID mode"),
            ("--memory-swappiness 101 x", "invalid value: 101. Valid memory swappiness range is 0-100"),
            ("--log-driver none --log-opt a=b x", "invalid logging opts for driver none"),
            (
                "--restart on-failure:x x",
                "invalid restart policy format: maximum retry count must be an integer",
            ),
            ("-m abc x", "invalid argument \"abc\" for \"-m, --memory\" flag: invalid size: 'abc'"),
        ] {
            assert_eq!(built(line).unwrap_err(), error, "{line}");
        }
    }
}
