use super::*;

#[test]
fn nulls_unknown_fields_and_order_are_tolerated() {
    let text = r#"{
        "ociVersion": "1.0.2", "future": {"a": 1},
        "process": {"user": {"uid": 1, "gid": 2, "additionalGids": null}, "args": ["sh"], "cwd": "/", "env": null},
        "annotations": {"b": "2", "a": "1"},
        "linux": {"namespaces": [{"type": "pid"}, {"type": "network", "path": "/proc/1/ns/net"}],
                  "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": null, "action": "SCMP_ACT_ERRNO", "args": null}]},
                  "resources": {"blockIO": {"throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 9}]}}}
    }"#;
    let spec: Spec = serde_json::from_str(text).unwrap();
    let linux = spec.linux.as_ref().unwrap();
    assert_eq!(linux.namespaces[1].path, "/proc/1/ns/net");
    assert_eq!(
        linux.resources.as_ref().unwrap().block_io.as_ref().unwrap().throttle_read_iops_device[0].rate,
        9
    );
    let again = serde_json::to_string(&spec).unwrap();
    assert!(again.contains(r#""annotations":{"a":"1","b":"2"}"#), "{again}");
    assert!(!again.contains("additionalGids"), "{again}");
    assert_eq!(serde_json::from_str::<Spec>(&again).unwrap(), spec);
}

#[test]
fn names_follow_the_specification() {
    let spec: Spec = serde_json::from_value(serde_json::json!({
        "ociVersion": VERSION,
        "process": {"cwd": "/", "user": {"uid": 0, "gid": 0}, "execCPUAffinity": {"initial": "0", "final": "0-1"},
                    "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4}},
        "linux": {"timeOffsets": {"boottime": {"secs": -5, "nanosecs": 7}},
                  "resources": {"memory": {"disableOOMKiller": true, "kernelTCP": 5}, "network": {"classID": 3}}}
    }))
    .unwrap();
    let process = spec.process.unwrap();
    assert_eq!(process.exec_cpu_affinity.unwrap().final_, "0-1");
    let linux = spec.linux.unwrap();
    assert_eq!(linux.time_offsets["boottime"], TimeOffset { secs: -5, nanosecs: 7 });
    let resources = linux.resources.unwrap();
    assert_eq!(resources.memory.unwrap().disable_oom_killer, Some(true));
    assert_eq!(resources.network.unwrap().class_id, Some(3));
}
