//! What a container uses: the numbers of its cgroup and its network.

use super::*;
use std::io::{BufRead, BufReader};

/// Samples of a stream that is still running, as they come.
struct Samples(BufReader<UnixStream>);

impl Samples {
    fn of(house: &House, name: &str) -> Self {
        let mut stream = house.connect();
        let request = format!("GET /containers/{name}/stats HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("send");
        Self(BufReader::new(stream))
    }

    /// `None` at the end.
    fn next(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            let length = self.0.read_line(&mut line).expect("a line in time");
            match line.trim_end() {
                "0" => return None,
                _ if length == 0 => return None,
                text if text.starts_with('{') => return Some(serde_json::from_str(text).expect("JSON")),
                _ => {}
            }
        }
    }
}

fn one(house: &House, name: &str, query: &str) -> Value {
    let answer = house.get(&format!("/containers/{name}/stats?stream=false{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[track_caller]
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a number: {value}"))
}

#[test]
fn the_numbers_are_the_cgroup_s() {
    let house = House::new();
    let more = json!({"HostConfig": {"NetworkMode": "none", "Memory": 64 << 20, "PidsLimit": 77, "CpuPeriod": 10_000, "CpuQuota": 5_000}});
    let line = "dd if=/dev/zero of=/data bs=1M count=8; while :; do :; done";
    let id = house.create("one", line, more);
    house.start("one");
    let parent = house.engine.cgroup_parent();
    // On a machine with cgroups of version 2 only the sizes are compared, which have no other name there.
    let is_v1 = Path::new("/sys/fs/cgroup/memory").exists();
    let file = |controller: &str, name: &str| {
        let path = format!("/sys/fs/cgroup/{controller}/{parent}/{id}/{name}");
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
    };
    until("it was throttled", || {
        let sample = one(&house, "one", "&one-shot=true");
        number(&sample["cpu_stats"]["throttling_data"]["throttled_periods"]) > 3
            && number(&sample["memory_stats"]["usage"]) > 8 << 20
    });
    let used_before = if is_v1 { file("cpuacct", "cpuacct.usage").trim().parse().unwrap() } else { 0_u64 };
    let sample = one(&house, "one", "&one-shot=true");
    assert_eq!(
        (&sample["id"], &sample["name"], &sample["os_type"]),
        (&json!(id), &json!("/one"), &json!("linux"))
    );
    assert_eq!(number(&sample["memory_stats"]["limit"]), 64 << 20);
    assert_eq!(sample["pids_stats"], json!({"current": 1, "limit": 77}));
    assert_eq!(sample["preread"], "0001-01-01T00:00:00Z");
    assert_eq!(sample["precpu_stats"]["cpu_usage"]["total_usage"], 0);
    assert!(sample.get("networks").is_none(), "{sample}");
    let online = number(&sample["cpu_stats"]["online_cpus"]);
    assert!(online > 0 && number(&sample["cpu_stats"]["system_cpu_usage"]) > 0);
    if is_v1 {
        let usage = &sample["cpu_stats"]["cpu_usage"];
        let used_after: u64 = file("cpuacct", "cpuacct.usage").trim().parse().unwrap();
        let total = number(&usage["total_usage"]);
        assert!((used_before..=used_after).contains(&total), "{used_before} {total} {used_after}");
        let per_cpu = usage["percpu_usage"].as_array().expect("a list");
        assert_eq!(per_cpu.iter().map(number).sum::<u64>(), total);
        assert!(number(&usage["usage_in_usermode"]) + number(&usage["usage_in_kernelmode"]) > 0);
        let stat = file("memory", "memory.stat");
        for key in ["cache", "total_inactive_file", "hierarchical_memory_limit"] {
            let line = stat.lines().find_map(|line| line.strip_prefix(&format!("{key} "))).expect(key);
            assert_eq!(number(&sample["memory_stats"]["stats"][key]), line.parse::<u64>().unwrap(), "{key}");
        }
        assert_eq!(sample["blkio_stats"]["io_queue_recursive"], json!([]));
    }

    // Not asked to hurry: two of them, a second apart.
    let two = one(&house, "one", "");
    let grown = number(&two["cpu_stats"]["cpu_usage"]["total_usage"])
        - number(&two["precpu_stats"]["cpu_usage"]["total_usage"]);
    assert!(grown > 0 && two["preread"].as_str() < two["read"].as_str(), "{two}");
    house.ask("DELETE", "/containers/one?force=1", None);
}

#[test]
fn a_stream_goes_on_until_the_container_is_removed() {
    let house = House::new();
    house.create("one", "sleep 1000", json!({}));
    let mut samples = Samples::of(&house, "one");
    let nothing = samples.next().expect("zeros");
    assert_eq!((&nothing["read"], &nothing["memory_stats"]), (&json!("0001-01-01T00:00:00Z"), &json!({})));
    let shown = one(&house, "one", "");
    assert_eq!((&shown["name"], &shown["pids_stats"]), (&json!("/one"), &json!({})));
    house.start("one");
    let mut last = nothing;
    until("the sample of one that runs", || {
        let sample = samples.next().expect("a sample");
        assert_eq!(sample["precpu_stats"], last["cpu_stats"]);
        assert_eq!(sample["preread"], last["read"]);
        last = sample;
        last["pids_stats"]["current"] == 1
    });
    house.post("/containers/one/pause", None, 204);
    assert_eq!(samples.next().expect("a sample")["pids_stats"]["current"], 1);
    house.post("/containers/one/stop?t=0", None, 204);
    until("zeros", || samples.next().expect("a sample")["pids_stats"] == json!({}));
    assert_eq!(house.ask("DELETE", "/containers/one", None).status, 204);
    until("its end", || samples.next().is_none());
    assert_eq!(house.get("/containers/one/stats").status, 404);
}

#[test]
fn traffic_is_counted_by_interface() {
    let house = House::new();
    let bridge = json!({"HostConfig": {"NetworkMode": "bridge"}});
    house.create("one", "while :; do ping -c 1 -W 1 $(ip route | awk '/default/ {print $3}'); done", bridge);
    house.start("one");
    house.create("two", "sleep 1000", json!({"HostConfig": {"NetworkMode": "container:one"}}));
    house.start("two");
    house.create("three", "sleep 1000", json!({"HostConfig": {"NetworkMode": "host"}}));
    house.start("three");
    until("bytes", || number(&one(&house, "one", "&one-shot=1")["networks"]["eth0"]["tx_bytes"]) > 100);
    let sample = one(&house, "one", "&one-shot=1");
    let names: Vec<_> = sample["networks"].as_object().expect("interfaces").keys().collect();
    assert_eq!(names, ["eth0"]);
    let keys = [
        "rx_bytes",
        "rx_packets",
        "rx_errors",
        "rx_dropped",
        "tx_bytes",
        "tx_packets",
        "tx_errors",
        "tx_dropped",
    ];
    assert!(keys.iter().all(|key| sample["networks"]["eth0"][key].is_u64()), "{sample}");
    assert!(number(&one(&house, "two", "&one-shot=1")["networks"]["eth0"]["tx_bytes"]) > 100);
    assert!(one(&house, "three", "&one-shot=1").get("networks").is_none(), "the host's are not its own");
}
