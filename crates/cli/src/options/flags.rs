//! The table of flags that `run` and `create` share.

/// A flag table: the flags given, and all that describe a container.
macro_rules! container_flags {
    ($($own:expr),* $(,)?) => {{
        use $crate::flags::Flag;
        use $crate::options::devices as device_values;
        use $crate::options::environment as environment_values;
        use $crate::options::networks;
        use $crate::options::values;
        &[
            $($own,)*
            // What the process is.
            Flag::checked_list("attach", "list", values::stream, "Attach to STDIN, STDOUT or STDERR").short('a'),
            Flag::checked_list("env", "list", environment_values::check, "Set environment variables").short('e'),
            Flag::list("env-file", "Read environment variables from a file"),
            Flag::text("entrypoint", "Replace the image's ENTRYPOINT"),
            Flag::list("group-add", "Further groups for the process"),
            Flag::text("hostname", "Host name in the container").short('h'),
            Flag::text("domainname", "NIS domain name in the container"),
            Flag::switch("interactive", "Keep STDIN open even when nothing is attached").short('i'),
            Flag::checked_list("label", "list", values::label, "Set labels on the container").short('l'),
            Flag::list("label-file", "Read labels from a file, one a line"),
            Flag::switch("read-only", "Mount the root file system read-only"),
            Flag::text("restart", "What to do when the container ends").default("no"),
            Flag::switch("rm", "Remove the container, and its anonymous volumes, when it ends"),
            Flag::text("stop-signal", "Signal that asks the container to stop"),
            Flag::int("stop-timeout", "Seconds from the stop signal to the kill"),
            Flag::checked_list("sysctl", "map", values::sysctl, "Kernel parameters of the container's namespaces")
                .shown_default("map[]"),
            Flag::switch("tty", "Give the container a pseudo terminal").short('t'),
            Flag::checked_list("ulimit", "ulimit", values::ulimit, "Resource limits of the process").shown_default("[]"),
            Flag::text("user", "User name or ID (format: <name|uid>[:<group|gid>])").short('u'),
            Flag::text("workdir", "Working directory in the container").short('w'),
            Flag::switch("init", "Run an init that forwards signals and reaps processes"),
            Flag::text("cidfile", "Write the container's ID to a file"),
            Flag::checked_list("annotation", "map", values::annotation, "Annotations handed on to the OCI runtime")
                .shown_default("map[]"),
            // What it may do.
            Flag::list("cap-add", "Add Linux capabilities"),
            Flag::list("cap-drop", "Drop Linux capabilities"),
            Flag::switch("privileged", "Give the container all that the host has"),
            Flag::list("security-opt", "Security options"),
            Flag::text("userns", "User namespace to use"),
            Flag::text("cgroupns", "Cgroup namespace to use (host|private)"),
            Flag::text("ipc", "IPC mode to use"),
            Flag::text("pid", "PID namespace to use"),
            Flag::text("uts", "UTS namespace to use"),
            Flag::text("runtime", "OCI runtime for this container"),
            Flag::text("isolation", "Isolation technology"),
            Flag::text("cgroup-parent", "Parent of the container's cgroup"),
            // What it sees.
            Flag::list("device", "Add a device of the host"),
            Flag::checked_list("device-cgroup-rule", "list", device_values::cgroup_rule, "Add a rule to the devices allowed"),
            Flag::checked_list("gpus", "gpu-request", device_values::gpus, "GPUs to add ('all' for all of them)"),
            Flag::list("tmpfs", "Mount a tmpfs"),
            Flag::list("volume", "Bind mount a directory or volume").short('v'),
            Flag::checked_list("mount", "mount", values::mount, "Mount a file system"),
            Flag::list("volumes-from", "Mount the volumes of other containers"),
            Flag::text("volume-driver", "Volume driver for the container"),
            Flag::list("storage-opt", "Options of the storage driver"),
            Flag::checked("shm-size", "bytes", values::bytes, "Size of /dev/shm"),
            Flag::switch("use-api-socket", "Mount the engine's socket into the container"),
            // Network.
            Flag::checked_list("add-host", "list", values::extra_host, "Add a host-to-IP mapping (host:ip)"),
            Flag::checked_list("dns", "list", values::address, "DNS servers"),
            Flag::list("dns-option", "DNS options"),
            Flag::list("dns-opt", "DNS options").hidden(),
            Flag::checked_list("dns-search", "list", values::domain, "DNS search domains"),
            Flag::list("expose", "Expose a port or a range of ports"),
            Flag::checked("ip", "ip", values::ip, "IPv4 address (e.g., 172.30.100.104)"),
            Flag::checked("ip6", "ip", values::ip, "IPv6 address (e.g., 2001:db8::33)"),
            Flag::checked_list("link", "list", values::link, "Link to another container"),
            Flag::list("link-local-ip", "Link-local addresses of the container"),
            Flag::text("mac-address", "MAC address of the container (e.g., 92:d0:c6:0a:29:33)"),
            Flag::checked_list("network", "network", networks::value, "Connect the container to a network"),
            Flag::checked_list("net", "network", networks::value, "Connect the container to a network").hidden(),
            Flag::list("network-alias", "Add a name for the container in its network"),
            Flag::list("net-alias", "Add a name for the container in its network").hidden(),
            Flag::list("publish", "Publish ports of the container on the host").short('p'),
            Flag::switch("publish-all", "Publish all exposed ports on random ports").short('P'),
            // Logs.
            Flag::text("log-driver", "Log driver for the container"),
            Flag::list("log-opt", "Options of the log driver"),
            // Health.
            Flag::text("health-cmd", "Command that checks health"),
            Flag::duration("health-interval", "Time between two checks (ms|s|m|h) (default 0s)"),
            Flag::int("health-retries", "Failures in a row that make a container unhealthy"),
            Flag::duration("health-start-interval", "Time between two checks while starting (ms|s|m|h) (default 0s)"),
            Flag::duration("health-start-period", "Time to start before failures count (ms|s|m|h) (default 0s)"),
            Flag::duration("health-timeout", "Time a check may take (ms|s|m|h) (default 0s)"),
            Flag::text("health-probe", "Probe without a process (http://[HOST]:PORT/PATH, tcp://[HOST]:PORT, file:///PATH)"),
            Flag::text("health-on-failure", "What to do when unhealthy (none|kill|restart|stop)"),
            Flag::switch("no-healthcheck", "Switch the image's HEALTHCHECK off"),
            // Resources.
            Flag::uint16("blkio-weight", "Block IO weight, between 10 and 1000, or 0 to switch off (default 0)"),
            Flag::checked_list("blkio-weight-device", "list", device_values::weight, "Block IO weight for a device")
                .shown_default("[]"),
            Flag::checked_list("device-read-bps", "list", device_values::bytes_rate, "Most bytes per second read from a device")
                .shown_default("[]"),
            Flag::checked_list("device-read-iops", "list", device_values::operations_rate, "Most reads per second from a device")
                .shown_default("[]"),
            Flag::checked_list("device-write-bps", "list", device_values::bytes_rate, "Most bytes per second written to a device")
                .shown_default("[]"),
            Flag::checked_list("device-write-iops", "list", device_values::operations_rate, "Most writes per second to a device")
                .shown_default("[]"),
            Flag::int("cpu-count", "CPU count (Windows only)").hidden().windows(),
            Flag::int("cpu-percent", "CPU percent (Windows only)").hidden().windows(),
            Flag::int("cpu-period", "Period of the CPU quota, in microseconds"),
            Flag::int("cpu-quota", "CPU time in each period, in microseconds"),
            Flag::int("cpu-rt-period", "Period of the real-time quota, in microseconds"),
            Flag::int("cpu-rt-runtime", "Real-time CPU time in each period, in microseconds"),
            Flag::int("cpu-shares", "CPU shares (relative weight)").short('c'),
            Flag::checked("cpus", "decimal", values::cpus, "Number of CPUs"),
            Flag::text("cpuset-cpus", "CPUs to run on (0-3, 0,1)"),
            Flag::text("cpuset-mems", "Memory nodes to use (0-3, 0,1)"),
            Flag::text("io-maxbandwidth", "Maximum IO bandwidth (Windows only)").hidden().windows(),
            Flag::uint64("io-maxiops", "Maximum IO operations (Windows only)").hidden().windows(),
            Flag::checked("kernel-memory", "bytes", values::bytes, "Kernel memory limit")
                .deprecated("and no longer supported by the kernel"),
            Flag::checked("memory", "bytes", values::bytes, "Memory limit").short('m'),
            Flag::checked("memory-reservation", "bytes", values::bytes, "Memory soft limit"),
            Flag::checked("memory-swap", "bytes", values::swap, "Limit of memory plus swap; '-1' for no limit"),
            Flag::int("memory-swappiness", "Swappiness of the container's memory (0 to 100)").default("-1"),
            Flag::switch("oom-kill-disable", "Do not kill the container when memory runs out"),
            Flag::int("oom-score-adj", "Preference of the OOM killer (-1000 to 1000)"),
            Flag::int("pids-limit", "Most processes in the container (-1 for no limit)"),
        ]
    }};
}
pub(crate) use container_flags;
