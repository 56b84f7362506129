//! The Go types of what is inspected, in the order of their members, as templates see and print them. Members that are not
//! here are as they are in JSON.

use gotemplate::Shape::{
    self, Any, Bool, Called, Duration, Keyed, List, Map, Number, Pointer, Struct, Text, Time,
};

use super::Kind;

pub(super) fn of(kind: Kind) -> &'static Shape {
    match kind {
        Kind::Container => &CONTAINER,
        Kind::Image => &IMAGE,
        Kind::Network => &NETWORK,
        Kind::Volume => &VOLUME,
        Kind::Other(_) => &Any,
    }
}

const TEXTS: Shape = List(&Text);
const OPTIONS: Shape = Map(&Text);
const SWITCH: Shape = Pointer(&Bool);
const MAYBE: Shape = Pointer(&Number);

const CONTAINER: Shape = Struct(&[
    ("ID", Text),
    ("Created", Text),
    ("Path", Text),
    ("Args", TEXTS),
    ("State", Pointer(&STATE)),
    ("Image", Text),
    ("ResolvConfPath", Text),
    ("HostnamePath", Text),
    ("HostsPath", Text),
    ("LogPath", Text),
    ("Name", Text),
    ("RestartCount", Number),
    ("Driver", Text),
    ("Platform", Text),
    ("MountLabel", Text),
    ("ProcessLabel", Text),
    ("AppArmorProfile", Text),
    ("ExecIDs", TEXTS),
    ("HostConfig", Pointer(&HOST_CONFIG)),
    ("GraphDriver", Pointer(&DRIVER)),
    ("Storage", Pointer(&Any)),
    ("SizeRw", MAYBE),
    ("SizeRootFs", MAYBE),
    ("Mounts", List(&MOUNT_POINT)),
    ("Config", Pointer(&CONFIG)),
    ("NetworkSettings", Pointer(&NETWORK_SETTINGS)),
    ("ImageManifestDescriptor", Pointer(&DESCRIPTOR)),
]);

const STATE: Shape = Struct(&[
    ("Status", Text),
    ("Running", Bool),
    ("Paused", Bool),
    ("Restarting", Bool),
    ("OOMKilled", Bool),
    ("Dead", Bool),
    ("Pid", Number),
    ("ExitCode", Number),
    ("Error", Text),
    ("StartedAt", Text),
    ("FinishedAt", Text),
    ("Health", Pointer(&Any)),
]);

const DRIVER: Shape = Struct(&[("Data", OPTIONS), ("Name", Text)]);

const HOST_CONFIG: Shape = Struct(&[
    ("Binds", TEXTS),
    ("ContainerIDFile", Text),
    ("LogConfig", Struct(&[("Type", Text), ("Config", OPTIONS)])),
    ("NetworkMode", Text),
    ("PortBindings", PORTS),
    ("RestartPolicy", Struct(&[("Name", Text), ("MaximumRetryCount", Number)])),
    ("AutoRemove", Bool),
    ("VolumeDriver", Text),
    ("VolumesFrom", TEXTS),
    ("ConsoleSize", List(&Number)),
    ("Annotations", OPTIONS),
    ("CapAdd", TEXTS),
    ("CapDrop", TEXTS),
    ("CgroupnsMode", Text),
    ("DNS", TEXTS),
    ("DNSOptions", TEXTS),
    ("DNSSearch", TEXTS),
    ("ExtraHosts", TEXTS),
    ("GroupAdd", TEXTS),
    ("IpcMode", Text),
    ("Cgroup", Text),
    ("Links", TEXTS),
    ("OomScoreAdj", Number),
    ("PidMode", Text),
    ("Privileged", Bool),
    ("PublishAllPorts", Bool),
    ("ReadonlyRootfs", Bool),
    ("SecurityOpt", TEXTS),
    ("StorageOpt", OPTIONS),
    ("Tmpfs", OPTIONS),
    ("UTSMode", Text),
    ("UsernsMode", Text),
    ("ShmSize", Number),
    ("Sysctls", OPTIONS),
    ("Runtime", Text),
    ("Isolation", Text),
    ("CPUShares", Number),
    ("Memory", Number),
    ("NanoCPUs", Number),
    ("CgroupParent", Text),
    ("BlkioWeight", Number),
    ("BlkioWeightDevice", List(&Any)),
    ("BlkioDeviceReadBps", List(&Any)),
    ("BlkioDeviceWriteBps", List(&Any)),
    ("BlkioDeviceReadIOps", List(&Any)),
    ("BlkioDeviceWriteIOps", List(&Any)),
    ("CPUPeriod", Number),
    ("CPUQuota", Number),
    ("CPURealtimePeriod", Number),
    ("CPURealtimeRuntime", Number),
    ("CpusetCpus", Text),
    ("CpusetMems", Text),
    ("Devices", List(&DEVICE)),
    ("DeviceCgroupRules", TEXTS),
    ("DeviceRequests", List(&REQUEST)),
    ("MemoryReservation", Number),
    ("MemorySwap", Number),
    ("MemorySwappiness", MAYBE),
    ("OomKillDisable", SWITCH),
    ("PidsLimit", MAYBE),
    ("Ulimits", List(&Any)),
    ("CPUCount", Number),
    ("CPUPercent", Number),
    ("IOMaximumIOps", Number),
    ("IOMaximumBandwidth", Number),
    ("Mounts", List(&Any)),
    ("MaskedPaths", TEXTS),
    ("ReadonlyPaths", TEXTS),
    ("Init", SWITCH),
]);

const PORTS: Shape = Keyed(&List(&Struct(&[("HostIP", Text), ("HostPort", Text)])));
const NOTHING: Shape = Struct(&[]);

const DEVICE: Shape = Struct(&[("PathOnHost", Text), ("PathInContainer", Text), ("CgroupPermissions", Text)]);

const REQUEST: Shape = Struct(&[
    ("Driver", Text),
    ("Count", Number),
    ("DeviceIDs", TEXTS),
    ("Capabilities", List(&TEXTS)),
    ("Options", OPTIONS),
]);

const MOUNT_POINT: Shape = Struct(&[
    ("Type", Text),
    ("Name", Text),
    ("Source", Text),
    ("Destination", Text),
    ("Driver", Text),
    ("Mode", Text),
    ("RW", Bool),
    ("Propagation", Text),
]);

const CONFIG: Shape = Struct(&[
    ("Hostname", Text),
    ("Domainname", Text),
    ("User", Text),
    ("AttachStdin", Bool),
    ("AttachStdout", Bool),
    ("AttachStderr", Bool),
    ("ExposedPorts", Keyed(&NOTHING)),
    ("Tty", Bool),
    ("OpenStdin", Bool),
    ("StdinOnce", Bool),
    ("Env", TEXTS),
    ("Cmd", TEXTS),
    ("Healthcheck", Pointer(&HEALTHCHECK)),
    ("ArgsEscaped", Bool),
    ("Image", Text),
    ("Volumes", Map(&NOTHING)),
    ("WorkingDir", Text),
    ("Entrypoint", TEXTS),
    ("NetworkDisabled", Bool),
    ("OnBuild", TEXTS),
    ("Labels", OPTIONS),
    ("StopSignal", Text),
    ("StopTimeout", MAYBE),
    ("Shell", TEXTS),
]);

const HEALTHCHECK: Shape = Struct(&[
    ("Test", TEXTS),
    ("Interval", Duration),
    ("Timeout", Duration),
    ("StartPeriod", Duration),
    ("StartInterval", Duration),
    ("Retries", Number),
]);

const DESCRIPTOR: Shape = Struct(&[
    ("MediaType", Text),
    ("Digest", Text),
    ("Size", Number),
    ("URLs", TEXTS),
    ("Annotations", OPTIONS),
    ("Data", List(&Any)),
    ("Platform", Pointer(&PLATFORM)),
    ("ArtifactType", Text),
]);

const PLATFORM: Shape = Struct(&[
    ("Architecture", Text),
    ("OS", Text),
    ("OSVersion", Called("os.version", &Text)),
    ("OSFeatures", Called("os.features", &TEXTS)),
    ("Variant", Text),
]);

const NETWORK_SETTINGS: Shape = Struct(&[
    ("SandboxID", Text),
    ("SandboxKey", Text),
    ("Ports", PORTS),
    ("Networks", Map(&Pointer(&ENDPOINT))),
]);

const ENDPOINT: Shape = Struct(&[
    ("IPAMConfig", Pointer(&Any)),
    ("Links", TEXTS),
    ("Aliases", TEXTS),
    ("DriverOpts", OPTIONS),
    ("GwPriority", Number),
    ("NetworkID", Text),
    ("EndpointID", Text),
    ("Gateway", Text),
    ("IPAddress", Text),
    ("MacAddress", Text),
    ("IPPrefixLen", Number),
    ("IPv6Gateway", Text),
    ("GlobalIPv6Address", Text),
    ("GlobalIPv6PrefixLen", Number),
    ("DNSNames", TEXTS),
]);

const IMAGE: Shape = Struct(&[
    ("ID", Text),
    ("RepoTags", TEXTS),
    ("RepoDigests", TEXTS),
    ("Comment", Text),
    ("Created", Text),
    ("Author", Text),
    ("Config", Pointer(&IMAGE_CONFIG)),
    ("Architecture", Text),
    ("Variant", Text),
    ("Os", Text),
    ("OsVersion", Text),
    ("Size", Number),
    ("GraphDriver", Pointer(&DRIVER)),
    ("RootFS", Struct(&[("Type", Text), ("Layers", TEXTS)])),
    ("Metadata", Struct(&[("LastTagTime", Time)])),
    ("Descriptor", Pointer(&DESCRIPTOR)),
    ("Manifests", List(&Any)),
    ("Identity", Pointer(&Any)),
]);

const IMAGE_CONFIG: Shape = Struct(&[
    ("User", Text),
    ("ExposedPorts", Map(&NOTHING)),
    ("Env", TEXTS),
    ("Entrypoint", TEXTS),
    ("Cmd", TEXTS),
    ("Volumes", Map(&NOTHING)),
    ("WorkingDir", Text),
    ("Labels", OPTIONS),
    ("StopSignal", Text),
    ("ArgsEscaped", Bool),
    ("Healthcheck", Pointer(&HEALTHCHECK)),
    ("OnBuild", TEXTS),
    ("Shell", TEXTS),
]);

const NETWORK: Shape = Struct(&[
    ("Name", Text),
    ("ID", Text),
    ("Created", Time),
    ("Scope", Text),
    ("Driver", Text),
    ("EnableIPv4", Bool),
    ("EnableIPv6", Bool),
    ("IPAM", IPAM),
    ("Internal", Bool),
    ("Attachable", Bool),
    ("Ingress", Bool),
    ("ConfigFrom", Struct(&[("Network", Text)])),
    ("ConfigOnly", Bool),
    ("Options", OPTIONS),
    ("Labels", OPTIONS),
    ("Peers", List(&Any)),
    ("Containers", Map(&ATTACHED)),
    ("Services", Map(&Any)),
    ("Status", Pointer(&Any)),
]);

const IPAM: Shape = Struct(&[("Driver", Text), ("Options", OPTIONS), ("Config", List(&POOL))]);

const POOL: Shape = Struct(&[
    ("Subnet", Text),
    ("IPRange", Text),
    ("Gateway", Text),
    ("AuxAddress", Called("AuxiliaryAddresses", &OPTIONS)),
]);

const ATTACHED: Shape = Struct(&[
    ("Name", Text),
    ("EndpointID", Text),
    ("MacAddress", Text),
    ("IPv4Address", Text),
    ("IPv6Address", Text),
]);

const VOLUME: Shape = Struct(&[
    ("ClusterVolume", Pointer(&Any)),
    ("CreatedAt", Text),
    ("Driver", Text),
    ("Labels", OPTIONS),
    ("Mountpoint", Text),
    ("Name", Text),
    ("Options", OPTIONS),
    ("Scope", Text),
    ("Status", Map(&Any)),
    ("UsageData", Pointer(&Any)),
]);
