//! What is written into which file, and what is made of what the files say: on directories that look like
//! cgroups, for the controllers and devices that a test machine seldom has.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use cgroups::{Cgroup, CgroupPath, Layout, Machine, Meter, Version};
use oci::runtime::{
    BlockIo, Cpu, HugepageLimit, InterfacePriority, Memory, Network, Pids, Rdma, Resources, ThrottleDevice,
    WeightDevice,
};
use tempfile::TempDir;

struct Fake {
    root: TempDir,
    machine: Arc<Machine>,
}

impl Fake {
    fn v2(controllers: &str) -> Fake {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.controllers"), controllers).unwrap();
        let table = format!("30 1 0:27 / {} rw - cgroup2 cgroup2 rw\n", root.path().display());
        Fake { machine: Arc::new(Machine::from_tables(&table, "0::/\n").unwrap()), root }
    }

    fn v1(hierarchies: &[&str]) -> Fake {
        let root = tempfile::tempdir().unwrap();
        let mut table = String::new();
        for (i, controllers) in hierarchies.iter().enumerate() {
            let point = root.path().join(controllers.trim_start_matches("name="));
            fs::create_dir(&point).unwrap();
            table.push_str(&format!(
                "{i} 1 0:{i} / {} rw - cgroup cgroup rw,{controllers}\n",
                point.display()
            ));
        }
        Fake { machine: Arc::new(Machine::from_tables(&table, "").unwrap()), root }
    }

    /// The group `/docker/c` with these files (below the hierarchy's directory in v1).
    fn group(&self, files: &[(&str, &str)]) -> Cgroup {
        for hierarchy in self.machine.hierarchies() {
            fs::create_dir_all(hierarchy.mount_point().join("docker/c")).unwrap();
        }
        for (file, text) in files {
            fs::write(self.path(file), text).unwrap();
        }
        let path = CgroupPath::resolve(Some("/docker/c"), "", false).unwrap();
        Cgroup::open(self.machine.clone(), &path).unwrap()
    }

    fn path(&self, file: &str) -> PathBuf {
        match file.split_once('/') {
            Some((hierarchy, file)) => self.root.path().join(hierarchy).join("docker/c").join(file),
            None => self.root.path().join("docker/c").join(file),
        }
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }
}

fn throttle(rate: u64) -> Vec<ThrottleDevice> {
    vec![ThrottleDevice { major: 8, minor: 16, rate }]
}

fn block_io() -> Resources {
    let weight_device = WeightDevice { major: 8, minor: 16, weight: Some(300), leaf_weight: None };
    Resources {
        block_io: Some(BlockIo {
            weight: Some(500),
            weight_device: vec![weight_device],
            throttle_read_bps_device: throttle(1_048_576),
            throttle_write_iops_device: throttle(100),
            ..BlockIo::default()
        }),
        ..Resources::default()
    }
}

#[test]
fn v2_limits_and_their_files() {
    let fake = Fake::v2("cpuset cpu io memory hugetlb pids rdma misc");
    assert_eq!(fake.machine.layout(), Layout::Unified);
    let files = [
        "memory.max",
        "memory.low",
        "memory.swap.max",
        "memory.high",
        "cpu.weight",
        "cpu.max",
        "cpuset.cpus",
        "cpuset.mems",
        "pids.max",
        "hugetlb.2MB.max",
        "hugetlb.2MB.rsvd.max",
        "rdma.max",
        "misc.max",
    ];
    let cgroup = fake.group(&files.map(|f| (f, "")));
    cgroup
        .update(&Resources {
            memory: Some(Memory {
                limit: Some(100),
                swap: Some(300),
                reservation: Some(50),
                kernel: Some(7),
                swappiness: Some(10),
                ..Memory::default()
            }),
            cpu: Some(Cpu {
                shares: Some(1024),
                quota: Some(-1),
                cpus: "0-1".into(),
                mems: "0".into(),
                ..Cpu::default()
            }),
            pids: Some(Pids { limit: Some(0) }),
            hugepage_limits: vec![HugepageLimit { page_size: "2MB".into(), limit: 4 << 20 }],
            rdma: [("mlx0".to_owned(), Rdma { hca_handles: Some(3), hca_objects: Some(9) })].into(),
            unified: [("memory.high", "90"), ("misc.max", "sev 5")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            ..Resources::default()
        })
        .unwrap();
    assert_eq!(
        files.map(|f| fake.read(f)),
        [
            "100",
            "50",
            "200",
            "90",
            "100",
            "max 100000",
            "0-1",
            "0",
            "1",
            "4194304",
            "4194304",
            "mlx0 hca_handle=3 hca_object=9",
            "sev 5"
        ]
    );
}

#[test]
fn v2_weights_go_to_bfq_where_it_is() {
    let without = Fake::v2("io");
    without.group(&[("io.max", ""), ("io.weight", "")]).update(&block_io()).unwrap();
    // Two commands, each from the start of a plain file: the second covers the first.
    assert!(without.read("io.weight").starts_with("8:16 2930"), "{}", without.read("io.weight"));
    assert!(without.read("io.max").starts_with("8:16 rbps=1048576"));

    let with = Fake::v2("io");
    with.group(&[("io.max", ""), ("io.weight", "untouched"), ("io.bfq.weight", "default 100\n")])
        .update(&block_io())
        .unwrap();
    assert!(with.read("io.bfq.weight").starts_with("8:16 300"));
    assert_eq!(with.read("io.weight"), "untouched");
}

#[test]
fn v1_limits_and_their_files() {
    let fake = Fake::v1(&["blkio", "net_cls,net_prio", "memory", "hugetlb"]);
    assert_eq!(fake.machine.layout(), Layout::Legacy);
    let files = [
        "blkio/blkio.bfq.weight",
        "blkio/blkio.throttle.read_bps_device",
        "blkio/blkio.throttle.write_iops_device",
        "net_cls,net_prio/net_cls.classid",
        "net_cls,net_prio/net_prio.ifpriomap",
        "memory/memory.soft_limit_in_bytes",
        "memory/memory.swappiness",
        "memory/memory.oom_control",
        "hugetlb/hugetlb.1GB.limit_in_bytes",
    ];
    let cgroup = fake.group(&files.map(|f| (f, "")));
    fs::write(fake.path("blkio/blkio.bfq.weight_device"), "").unwrap();
    cgroup
        .update(&Resources {
            memory: Some(Memory {
                reservation: Some(50),
                swappiness: Some(10),
                disable_oom_killer: Some(true),
                ..Memory::default()
            }),
            network: Some(Network {
                class_id: Some(0x10_0001),
                priorities: vec![InterfacePriority { name: "lo".into(), priority: 5 }],
            }),
            hugepage_limits: vec![HugepageLimit { page_size: "1GB".into(), limit: 1 << 30 }],
            ..block_io()
        })
        .unwrap();
    assert_eq!(
        files.map(|f| fake.read(f)),
        ["500", "8:16 1048576", "8:16 100", "1048577", "lo 5", "50", "10", "1", "1073741824"]
    );
    assert_eq!(fake.read("blkio/blkio.bfq.weight_device"), "8:16 300");
}

#[test]
fn a_missing_controller_is_named() {
    let fake = Fake::v1(&["memory"]);
    let cgroup = fake.group(&[]);
    let pids = |limit| Resources { pids: Some(Pids { limit: Some(limit) }), ..Resources::default() };
    let error = cgroup.update(&pids(5)).unwrap_err().to_string();
    assert_eq!(
        error,
        "the limit of 5 processes needs the cgroup controller pids, which this machine does not offer"
    );
    cgroup.update(&pids(-1)).unwrap();
    let swappiness = Memory { swappiness: Some(101), ..Memory::default() };
    let error = cgroup
        .update(&Resources { memory: Some(swappiness), ..Resources::default() })
        .unwrap_err()
        .to_string();
    assert_eq!(error, "invalid memory swappiness value: 101 (valid range is 0-100)");
}

#[test]
fn v2_counters() {
    let fake = Fake::v2("cpu io memory pids");
    let cgroup = fake.group(&[
        (
            "cpu.stat",
            "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 4\nnr_throttled 2\nthrottled_usec 9\n",
        ),
        ("memory.current", "4096\n"),
        ("memory.peak", "8192\n"),
        ("memory.max", "max\n"),
        ("memory.swap.current", "100\n"),
        ("memory.swap.max", "0\n"),
        ("memory.stat", "anon 1\nfile 77\ninactive_file 5\n"),
        ("memory.events", "low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\n"),
        ("pids.current", "2\n"),
        ("pids.max", "max\n"),
        ("io.stat", "8:0 rbytes=180224 wbytes=1 rios=3 wios=0 dbytes=0 dios=0\n"),
    ]);
    let stats = cgroup.stats().unwrap();
    assert_eq!((stats.cpu.usage_ns, stats.cpu.user_ns, stats.cpu.kernel_ns), (30_000, 20_000, 10_000));
    assert_eq!((stats.cpu.throttling.periods, stats.cpu.throttling.throttled_time_ns), (4, 9_000));
    let memory = &stats.memory;
    assert_eq!((memory.usage.usage, memory.usage.max_usage, memory.usage.limit), (4096, 8192, u64::MAX));
    assert_eq!((memory.swap.usage, memory.cache, memory.usage.failures), (4196, 77, 2));
    assert_eq!(memory.stats["inactive_file"], 5);
    assert_eq!((stats.pids.current, stats.pids.limit), (2, 0));
    assert_eq!(stats.blkio.service_bytes[0].value, 180_224);
    assert_eq!(stats.blkio.serviced[0].op, "Read");
    assert_eq!(cgroup.oom_kills().unwrap(), 1);

    let (mut meter, mut buffer) = (Meter::open(&cgroup).unwrap(), Vec::new());
    assert_eq!(meter.version(), Version::V2);
    let read = meter.read(&mut buffer).unwrap();
    assert_eq!((&read.cpu, &read.pids, &read.blkio), (&stats.cpu, &stats.pids, &stats.blkio));
    assert_eq!((read.memory.usage, read.memory.limit, read.memory.failures), (4096, u64::MAX, 2));
    assert_eq!(*read.memory_stat, Vec::from_iter(stats.memory.stats.clone()));
    // The same open files, read again; limits when they are said to be new.
    for (file, text) in [
        ("memory.current", "5000\n"),
        ("memory.max", "9000\n"),
        ("memory.events", "low 0\noom 3\n"),
        ("pids.max", "7\n"),
    ] {
        fs::write(fake.path(file), text).unwrap();
    }
    let now = meter.read(&mut buffer).unwrap();
    assert_eq!((now.memory.usage, now.memory.limit, now.memory.failures), (5000, u64::MAX, 3));
    assert!(Arc::ptr_eq(&now.memory_stat, &read.memory_stat), "it says what it said");
    meter.renew();
    let now = meter.read(&mut buffer).unwrap();
    assert_eq!((now.memory.limit, now.pids.limit), (9000, 7));
    // Somebody else's are seen some readings later.
    fs::write(fake.path("pids.max"), "8\n").unwrap();
    let later = (0..16).map(|_| meter.read(&mut buffer).unwrap().pids.limit);
    assert_eq!(later.collect::<Vec<_>>(), [vec![7; 15], vec![8]].concat());
}

#[test]
fn v1_counters() {
    let fake = Fake::v1(&["cpu,cpuacct", "blkio", "memory"]);
    let cgroup = fake.group(&[
        ("cpu,cpuacct/cpu.stat", "nr_periods 4\nnr_throttled 2\nthrottled_time 9\n"),
        ("cpu,cpuacct/cpuacct.usage", "30\n"),
        ("cpu,cpuacct/cpuacct.usage_percpu", "10 20 \n"),
        ("cpu,cpuacct/cpuacct.usage_all", "cpu user system\n0 4 6\n1 15 5\n"),
        ("blkio/blkio.bfq.io_serviced_recursive", ""),
        ("blkio/blkio.throttle.io_serviced_recursive", "8:0 Read 3\n8:0 Total 3\nTotal 3\n"),
        ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
    ]);
    let stats = cgroup.stats().unwrap();
    assert_eq!((stats.cpu.usage_ns, stats.cpu.user_ns, stats.cpu.kernel_ns), (30, 19, 11));
    assert_eq!(stats.cpu.per_cpu_ns, [10, 20]);
    assert_eq!(stats.cpu.throttling.throttled_time_ns, 9);
    assert_eq!(stats.blkio.serviced.len(), 2);
    assert_eq!(stats.memory.usage.limit, 9_223_372_036_854_771_712);
    assert_eq!(cgroup.oom_kills().unwrap(), 2);

    for (file, text) in [
        ("memory/memory.stat", "cache 12288\ntotal_inactive_file 4096\n"),
        ("memory/memory.usage_in_bytes", "20480\n"),
        ("memory/memory.max_usage_in_bytes", "40960\n"),
        ("memory/memory.failcnt", "3\n"),
    ] {
        fs::write(fake.path(file), text).unwrap();
    }
    let mut meter = Meter::open(&cgroup).unwrap();
    assert_eq!(meter.version(), Version::V1);
    let read = meter.read(&mut Vec::new()).unwrap();
    assert_eq!((read.cpu.usage_ns, read.cpu.user_ns, read.cpu.kernel_ns), (30, 19, 11));
    assert_eq!((&read.cpu.per_cpu_ns, &read.cpu.throttling), (&stats.cpu.per_cpu_ns, &stats.cpu.throttling));
    assert_eq!(read.blkio, stats.blkio);
    let memory = &read.memory;
    assert_eq!((memory.usage, memory.max_usage, memory.failures), (20480, 40960, 3));
    assert_eq!(memory.limit, 9_223_372_036_854_771_712);
    assert_eq!(*read.memory_stat, [("cache".into(), 12288), ("total_inactive_file".into(), 4096)]);

    // Lines come and go with settings of the kernel; a disk gets another scheduler.
    fs::write(fake.path("memory/memory.stat"), "unevictable 5\ncache 7\n").unwrap();
    let read = meter.read(&mut Vec::new()).unwrap();
    assert_eq!(*read.memory_stat, [("cache".into(), 7), ("unevictable".into(), 5)]);
    fs::write(fake.path("memory/memory.stat"), "unevictable 6\ncache 8\n").unwrap();
    let read = meter.read(&mut Vec::new()).unwrap();
    assert_eq!(*read.memory_stat, [("cache".into(), 8), ("unevictable".into(), 6)]);
    fs::write(fake.path("blkio/blkio.bfq.io_serviced_recursive"), "8:0 Write 5\nTotal 5\n").unwrap();
    let later = (0..16).map(|_| meter.read(&mut Vec::new()).unwrap().blkio.serviced);
    assert_eq!(later.last().unwrap()[0].op, "Write");
}

#[test]
fn v1_counts_what_limits_do_while_there_are_some() {
    let fake = Fake::v1(&["cpu,cpuacct", "memory"]);
    let cgroup = fake.group(&[
        ("cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
        ("cpu,cpuacct/cpu.stat", "nr_periods 4\nnr_throttled 2\nthrottled_time 9\n"),
        ("memory/memory.stat", "cache 1\nhierarchical_memory_limit 9223372036854771712\n"),
        ("memory/memory.usage_in_bytes", "20480\n"),
        ("memory/memory.max_usage_in_bytes", "40960\n"),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ("memory/memory.failcnt", "3\n"),
    ]);
    let mut meter = Meter::open(&cgroup).unwrap();
    let mut read = || {
        let read = meter.read(&mut Vec::new()).unwrap();
        (read.cpu.throttling.periods, read.memory.limit, read.memory.failures)
    };
    assert_eq!(read(), (4, 9_223_372_036_854_771_712, 3));
    // Nothing of this can be: there is no limit that could be in the way.
    fs::write(fake.path("cpu,cpuacct/cpu.stat"), "nr_periods 5\n").unwrap();
    fs::write(fake.path("memory/memory.failcnt"), "4\n").unwrap();
    assert_eq!(read(), (4, 9_223_372_036_854_771_712, 3));
    // A limit on memory shows by itself, and is counted from then on.
    let stat = "cache 1\nhierarchical_memory_limit 8192\n";
    fs::write(fake.path("memory/memory.stat"), stat).unwrap();
    fs::write(fake.path("memory/memory.limit_in_bytes"), "8192\n").unwrap();
    assert_eq!(read(), (4, 8192, 4));
    fs::write(fake.path("memory/memory.failcnt"), "5\n").unwrap();
    assert_eq!(read(), (4, 8192, 5));
    fs::write(fake.path("cpu,cpuacct/cpu.cfs_quota_us"), "50000\n").unwrap();
    meter.renew();
    assert_eq!(meter.read(&mut Vec::new()).unwrap().cpu.throttling.periods, 5);
    fs::write(fake.path("cpu,cpuacct/cpu.stat"), "nr_periods 6\n").unwrap();
    assert_eq!(meter.read(&mut Vec::new()).unwrap().cpu.throttling.periods, 6);
}

#[test]
fn v1_asks_for_bytes_when_something_was_read_or_written() {
    let fake = Fake::v1(&["blkio"]);
    let operations = "blkio/blkio.throttle.io_serviced_recursive";
    let bytes = "blkio/blkio.throttle.io_service_bytes_recursive";
    let cgroup = fake.group(&[(operations, "8:0 Read 3\nTotal 3\n"), (bytes, "8:0 Read 4096\nTotal 4096\n")]);
    let mut meter = Meter::open(&cgroup).unwrap();
    let mut read = || {
        let blkio = meter.read(&mut Vec::new()).unwrap().blkio;
        (blkio.serviced[0].value, blkio.service_bytes[0].value)
    };
    assert_eq!(read(), (3, 4096));
    fs::write(fake.path(bytes), "8:0 Read 8192\nTotal 8192\n").unwrap();
    assert_eq!(read(), (3, 4096), "in the middle of an operation");
    fs::write(fake.path(operations), "8:0 Read 4\nTotal 4\n").unwrap();
    assert_eq!(read(), (4, 8192));
    assert_eq!(read(), (4, 8192));
}

#[test]
fn what_a_container_mounts() {
    let fake = Fake::v1(&["cpu,cpuacct", "memory", "name=systemd"]);
    let mounts = fake.group(&[]).mounts();
    let names: Vec<_> =
        mounts.iter().map(|m| (m.name.as_str(), m.options.as_str(), m.links.join(" "))).collect();
    assert_eq!(
        names,
        [
            ("cpu,cpuacct", "cpu,cpuacct", "cpu cpuacct".to_owned()),
            ("memory", "memory", String::new()),
            ("systemd", "name=systemd", String::new()),
        ]
    );
    assert_eq!(mounts[1].source, fake.root.path().join("memory/docker/c"));

    let unified = Fake::v2("memory");
    let mounts = unified.group(&[]).mounts();
    assert_eq!((mounts.len(), mounts[0].version, mounts[0].name.as_str()), (1, Version::V2, ""));
}
