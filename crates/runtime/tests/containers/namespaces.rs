//! New namespaces, what is set in them, and joining existing ones.

use std::os::unix::fs::MetadataExt;

use serde_json::json;

use crate::bundle::{Bundle, namespace_of, status_of, until};

#[test]
fn a_user_namespace_has_its_ids_inside_and_the_mapped_ones_outside() {
    let mut bundle = Bundle::sh("user", "echo made > /made; echo x > /dev/null && exec sleep 1000");
    bundle.user_namespace();
    bundle.spec["process"]["user"] = json!({"uid": 0, "gid": 0, "additionalGids": [7]});
    let pid = bundle.start();
    assert_eq!(status_of(pid, "Uid"), "100000 100000 100000 100000");
    assert_eq!(status_of(pid, "Groups"), "100007");
    assert_ne!(namespace_of(pid, "user"), namespace_of("self", "user"));
    let map = std::fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "100000", "65536"]);
    // `exec` comes in as root of the namespace, and what it makes belongs to that.
    assert_eq!(bundle.exec("id -u; cat /made; touch /later; stat -Lc %u /later /proc/self"), "0\nmade\n0\n0");
    for name in ["made", "later"] {
        let owner = std::fs::metadata(bundle.rootfs().join(name)).unwrap();
        assert_eq!((owner.uid(), owner.gid()), (100_000, 100_000), "{name}");
    }
    let ids = bundle.good(&["exec", "--user", "1000:1001", &bundle.id, "sh", "-c", "id -u; id -g"]);
    assert_eq!(ids, "1000\n1001");
}

#[test]
fn mappings_and_user_namespace_come_together() {
    let mut bundle = Bundle::new("unmapped");
    bundle.namespace("user", None);
    assert!(bundle.refused().contains("no user or group mappings found"));
    let mut bundle = Bundle::new("mapped");
    bundle.spec["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
    assert!(bundle.refused().contains("without a user namespace"));
}

#[test]
fn clocks_run_ahead_in_a_time_namespace() {
    let uptime = || {
        let text = std::fs::read_to_string("/proc/uptime").unwrap();
        text.split('.').next().unwrap().parse::<u64>().unwrap()
    };
    let mut bundle = Bundle::sh("time", "cut -d. -f1 /proc/uptime; readlink /proc/self/ns/time");
    bundle.namespace("time", None);
    bundle.spec["linux"]["timeOffsets"] =
        json!({"boottime": {"secs": 864_000, "nanosecs": 5}, "monotonic": {"secs": 1000}});
    let before = uptime();
    let said = bundle.says();
    let (inside, namespace) = said.split_once('\n').unwrap();
    let inside: u64 = inside.parse().unwrap();
    assert!((before + 864_000..=uptime() + 864_001).contains(&inside), "{before} {inside}");
    assert_ne!(namespace, namespace_of("self", "time"));

    bundle.spec["linux"]["timeOffsets"] = json!({"realtime": {"secs": 1}});
    assert!(bundle.refused().contains(r#"unknown clock "realtime""#));
    bundle.without_namespace("time");
    assert!(bundle.refused().contains("time namespace"));
    bundle.namespace("time", Some("/proc/self/ns/time"));
    assert!(bundle.refused().contains("both namespace path and time offsets"));
}

/// A process that ends with the test.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn every_kind_of_namespace_can_be_joined_by_path() {
    let mut first = Bundle::sh("first", "exec sleep 1000");
    first.namespace("time", None);
    let pid = first.start();
    // A mount namespace has to have the bundle in it, and who joins it changes its root: one for each.
    let mounts = || {
        let made = std::process::Command::new("unshare").args(["-m", "sleep", "1000"]).spawn().unwrap();
        let made = Ended(made);
        until("it has unshared", || namespace_of(made.0.id(), "mnt") != namespace_of("self", "mnt"));
        made
    };
    let of = |name: &str, place: &Ended| match name {
        "mnt" => place.0.id().to_string(),
        _ => pid.to_string(),
    };
    let kinds = [
        ("network", "net"),
        ("ipc", "ipc"),
        ("pid", "pid"),
        ("uts", "uts"),
        ("mount", "mnt"),
        ("cgroup", "cgroup"),
        ("time", "time"),
    ];
    let script = "for n in net ipc pid uts mnt cgroup time; do readlink /proc/self/ns/$n; done";
    for (kind, name) in kinds {
        let mut bundle = Bundle::sh(&format!("joins-{name}"), script);
        bundle.namespace("time", None);
        let place = mounts();
        bundle.namespace(kind, Some(&format!("/proc/{}/ns/{name}", of(name, &place))));
        let said = bundle.says();
        let mut inside = kinds.iter().zip(said.lines());
        assert!(
            inside.all(|((_, n), inside)| (inside == namespace_of(of(n, &place), n)) == (*n == name)),
            "{name}: {said}"
        );
    }
    // All of them at once; its root file system is its own even so.
    let mut bundle = Bundle::sh("joins-all", &format!("{script}; cat /own"));
    std::fs::write(bundle.rootfs().join("own"), "its own").unwrap();
    let place = mounts();
    for (kind, name) in kinds {
        bundle.namespace(kind, Some(&format!("/proc/{}/ns/{name}", of(name, &place))));
    }
    let wanted: Vec<String> = kinds.iter().map(|(_, name)| namespace_of(of(name, &place), name)).collect();
    let said = bundle.says();
    assert_eq!(said, format!("{}\nits own", wanted.join("\n")));
}

#[test]
fn a_user_namespace_can_be_joined() {
    let mut first = Bundle::sh("owner", "exec sleep 1000");
    first.user_namespace();
    let pid = first.start();
    let path = |name: &str| format!("/proc/{pid}/ns/{name}");

    let mut bundle = Bundle::sh("guest", "readlink /proc/self/ns/user; readlink /proc/self/ns/net; id -u");
    bundle.user_namespace();
    bundle.spec["linux"].as_object_mut().unwrap().retain(|key, _| key == "namespaces");
    bundle.namespace("user", Some(&path("user")));
    bundle.namespace("network", Some(&path("net")));
    let wanted = format!("{}\n{}\n0", namespace_of(pid, "user"), namespace_of(pid, "net"));
    assert_eq!(bundle.says(), wanted);

    // Engines name the mappings too; then they have to be that namespace's.
    bundle.spec["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    bundle.spec["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    assert_eq!(bundle.says(), wanted);
    bundle.spec["linux"]["uidMappings"][0]["hostID"] = json!(5);
    assert!(bundle.refused().contains("both namespace path and non-matching mapping specified"));
}

#[test]
fn a_new_user_namespace_goes_with_a_network_of_the_host() {
    let holder = Bundle::sh("holder", "exec sleep 1000");
    let pid = holder.start();
    let mut bundle = Bundle::sh("in-net", "readlink /proc/self/ns/net; id -u; readlink /proc/self/ns/user");
    bundle.user_namespace();
    bundle.namespace("network", Some(&format!("/proc/{pid}/ns/net")));
    let said = bundle.says();
    assert!(said.starts_with(&format!("{}\n0\n", namespace_of(pid, "net"))), "{said}");
    assert!(!said.ends_with(&namespace_of("self", "user")), "{said}");
}

#[test]
fn what_cannot_be_joined_is_named() {
    let mut bundle = Bundle::new("nowhere");
    bundle.namespace("network", Some("/nowhere"));
    let text = bundle.refused();
    assert!(text.contains("network") && text.contains("/nowhere"), "{text}");
    bundle.namespace("network", Some("/proc/self/ns/ipc"));
    assert!(bundle.refused().contains("join the network namespace"));
    bundle.namespace("network", None);
    bundle.spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "network"}));
    assert!(bundle.refused().contains("duplicate namespace"));
}

#[test]
fn names_are_set_in_a_namespace_only() {
    let mut bundle = Bundle::sh("names", "hostname; cat /proc/sys/kernel/domainname");
    bundle.spec["hostname"] = json!("inside");
    bundle.spec["domainname"] = json!("example.org");
    assert_eq!(bundle.says(), "inside\nexample.org");
    let before = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    bundle.without_namespace("uts");
    assert!(bundle.refused().contains("unable to set hostname without a private UTS namespace"));
    bundle.spec["hostname"] = json!("");
    assert!(bundle.refused().contains("unable to set domainname without a private UTS namespace"));
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), before);
}

#[test]
fn a_new_network_has_its_loopback_up() {
    let bundle = Bundle::sh("lo", "ip -o link show; ping -c 1 -W 5 127.0.0.1 > /dev/null && echo reached");
    let said = bundle.says();
    assert!(said.contains("lo: <LOOPBACK,UP") && said.ends_with("reached"), "{said}");
}

#[test]
fn sysctls_of_the_containers_namespaces_are_set() {
    let mut bundle = Bundle::sh(
        "sysctl",
        "cd /proc/sys; cat net/ipv4/ip_forward kernel/msgmax fs/mqueue/msg_max net/ipv4/conf/lo/forwarding \
         kernel/domainname",
    );
    bundle.spec["linux"]["sysctl"] = json!({
        "net.ipv4.ip_forward": "1",
        "kernel.msgmax": "4096",
        "fs.mqueue.msg_max": "7",
        "net/ipv4/conf/lo/forwarding": "0",
        "kernel.domainname": "example.org",
    });
    assert_eq!(bundle.says(), "1\n4096\n7\n0\nexample.org");

    bundle.script("cat /proc/sys/user/max_net_namespaces");
    bundle.spec["linux"]["sysctl"] = json!({"user.max_net_namespaces": "3"});
    let text = bundle.refused();
    assert!(text.contains("not allowed without a user namespace"), "{text}");
    bundle.user_namespace();
    assert_eq!(bundle.says(), "3");
}

#[test]
fn sysctls_of_the_host_are_refused() {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/sys/{name}")).unwrap();
    let before = (read("kernel/panic"), read("net/ipv4/ip_default_ttl"), read("kernel/msgmax"));
    let refusal = |key: &str, shared: Option<(&str, Option<&str>)>| {
        let mut bundle = Bundle::new("hosts-sysctl");
        match shared {
            Some((kind, Some(path))) => bundle.namespace(kind, Some(path)),
            Some((kind, None)) => bundle.without_namespace(kind),
            None => {}
        }
        bundle.spec["linux"]["sysctl"] = json!({key: "77"});
        bundle.refused()
    };
    for (key, shared, words) in [
        ("kernel.panic", None, "is not in a separate kernel namespace"),
        ("kernel/panic", None, "is not in a separate kernel namespace"),
        ("../kernel.panic", None, "is not in a separate kernel namespace"),
        ("net.ipv4.ip_default_ttl", Some(("network", None)), "not allowed in host network namespace"),
        (
            "net.ipv4.ip_default_ttl",
            Some(("network", Some("/proc/self/ns/net"))),
            "not allowed in host network namespace",
        ),
        ("kernel.msgmax", Some(("ipc", None)), "is not allowed in the hosts ipc namespace"),
        (
            "fs.mqueue.msg_max",
            Some(("ipc", Some("/proc/self/ns/ipc"))),
            "is not allowed in the hosts ipc namespace",
        ),
        ("kernel.hostname", None, r#"is not allowed as it conflicts with the OCI "hostname" field"#),
        ("kernel.domainname", Some(("uts", None)), "is not in a separate kernel namespace"),
    ] {
        let text = refusal(key, shared);
        assert!(text.contains(words), "{key}: {text}");
    }
    assert_eq!((read("kernel/panic"), read("net/ipv4/ip_default_ttl"), read("kernel/msgmax")), before);
}
