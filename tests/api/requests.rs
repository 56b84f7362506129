//! Method, path and body in; status, error text and keys out.

use super::*;

#[test]
fn every_refusal_has_docker_s_status_and_text() {
    let house = House::new();
    let id = house.create("one", "sleep 1000", json!({}));
    house.create("two", "true", json!({}));
    house.start("one");
    let no = json!({"message": "No such container: nope"});
    let table: &[(&str, &str, Option<Value>, u16, &str)] = &[
        ("GET", "/nope", None, 404, "page not found"),
        (
            "GET",
            "/v1.23/info",
            None,
            400,
            "client version 1.23 is too old. Minimum supported API version is 1.24",
        ),
        (
            "GET",
            "/v1.99/info",
            None,
            400,
            "client version 1.99 is too new. Maximum supported API version is 1.55",
        ),
        ("GET", "/containers/json?limit=x", None, 400, "strconv.Atoi: parsing \"x\": invalid syntax"),
        ("GET", "/containers/json?filters=%zz", None, 400, "invalid URL escape \"%zz\""),
        ("GET", "/containers/json?filters=nonsense", None, 400, "invalid filter"),
        ("GET", "/containers/json?filters={\"a\":[\"b\"]}", None, 400, "invalid filter 'a'"),
        (
            "GET",
            "/containers/json?filters={\"status\":[\"x\"]}",
            None,
            400,
            "invalid filter 'status=x': invalid value for state (x): must be one of created, running, paused, \
             restarting, removing, exited, dead",
        ),
        ("GET", "/containers/nope/json", None, 404, "No such container: nope"),
        ("GET", "/containers/nope/top", None, 404, "No such container: nope"),
        ("GET", "/containers/two/top", None, 409, " is not running"),
        ("GET", "/containers/one/logs", None, 400, "must specify at least one of 'stdout' or 'stderr'"),
        (
            "GET",
            "/containers/one/logs?stdout=1&since=x",
            None,
            400,
            "invalid value for \"since\": invalid timestamp \"x\": invalid seconds \"x\": invalid syntax",
        ),
        (
            "POST",
            "/containers/create",
            Some(json!({})),
            400,
            "config cannot be empty in order to create a container",
        ),
        ("POST", "/containers/create", Some(json!({"Image": "nope"})), 404, "No such image: nope:latest"),
        ("POST", "/containers/create", Some(json!({"Image": "bb", "Tty": "yes"})), 400, "invalid JSON"),
        (
            "POST",
            "/containers/create?name=..",
            Some(json!({"Image": "bb"})),
            400,
            "Invalid container name (..)",
        ),
        ("POST", "/containers/nope/start", None, 404, "No such container: nope"),
        ("POST", "/containers/one/start", None, 304, ""),
        ("POST", "/containers/two/stop", None, 304, ""),
        ("POST", "/containers/one/stop?t=x", None, 400, "strconv.Atoi: parsing \"x\": invalid syntax"),
        ("POST", "/containers/one/kill?signal=FOO", None, 400, "invalid signal: FOO"),
        ("POST", "/containers/two/kill", None, 409, "cannot kill container: two"),
        ("POST", "/containers/two/pause", None, 409, " is not running"),
        ("POST", "/containers/one/unpause", None, 500, " is not paused"),
        ("POST", "/containers/one/rename?name=", None, 400, "Neither old nor new names may be empty"),
        ("POST", "/containers/one/rename?name=two", None, 409, "is already in use by container"),
        ("POST", "/containers/one/resize?h=x&w=1", None, 400, "invalid resize height \"x\": invalid syntax"),
        ("POST", "/containers/two/resize?h=1&w=1", None, 409, " is not running"),
        // It has no terminal.
        ("POST", "/containers/one/resize?h=1&w=1", None, 200, ""),
        ("POST", "/containers/one/wait?condition=never", None, 400, "invalid condition: \"never\""),
        ("POST", "/containers/nope/attach?stream=1", None, 404, "No such container: nope"),
        ("POST", "/containers/one/attach?stream=1&detachKeys=shift-x", None, 400, "shift-x"),
        ("DELETE", "/containers/nope", None, 404, "No such container: nope"),
        ("DELETE", "/containers/one", None, 409, "stop the container before removing or force remove"),
        ("POST", "/containers/one/exec", Some(json!({"Cmd": []})), 400, "No exec command specified"),
        ("POST", "/containers/two/exec", Some(json!({"Cmd": ["true"]})), 409, " is not running"),
        ("POST", "/exec/nope/start", Some(json!({})), 404, "No such exec instance: nope"),
        ("GET", "/exec/nope/json", None, 404, "No such exec instance: nope"),
        ("GET", "/images/nope/json", None, 404, "No such image: nope:latest"),
        ("GET", "/images/json?filters={\"x\":[\"y\"]}", None, 400, "invalid filter 'x'"),
        (
            "GET",
            "/images/bb/json?platform={\"os\":\"linux\",\"architecture\":\"s390x\"}",
            None,
            404,
            "does not match the specified platform (linux/s390x)",
        ),
        ("GET", "/images/bb/history?platform=x", None, 400, "failed to parse platform: "),
        ("DELETE", "/images/nope", None, 404, "No such image: nope:latest"),
        ("POST", "/images/bb/tag?repo=Bad", None, 400, "lowercase"),
        (
            "POST",
            "/images/bb/tag?repo=a&tag=sha256:0000000000000000000000000000000000000000000000000000000000000000",
            None,
            400,
            "refusing to create a tag with a digest reference",
        ),
        ("GET", "/events?since=x", None, 400, "invalid value for 'since'"),
        ("GET", "/events?since=2&until=1", None, 400, "`since` time (2) cannot be after `until` time (1)"),
        ("GET", "/system/df?type=x", None, 400, "unknown object type: x"),
        ("POST", "/build", None, 501, "POST /build is not supported yet"),
        ("POST", "/plugins/pull?remote=x", None, 501, "POST /plugins/pull is not supported yet"),
        ("POST", "/swarm/init", None, 501, "POST /swarm/init is not supported yet"),
    ];
    for (method, path, body, status, text) in table {
        let answer = house.ask(method, path, body.as_ref());
        assert_eq!(answer.status, *status, "{method} {path}: {}", answer.text());
        if matches!(*status, 200 | 304) {
            assert!(answer.body.is_empty(), "{method} {path}: {}", answer.text());
            continue;
        }
        let message = match answer.header("content-type") {
            // Only clients that do not know JSON errors.
            Some("text/plain; charset=utf-8") if path.starts_with("/v1.23/") => answer.text(),
            _ => answer.json()["message"].as_str().expect("a message").to_owned(),
        };
        assert!(message.contains(text), "{method} {path}: {message}");
    }
    assert_eq!(house.get("/containers/nope/json").json(), no);
    let gone = house.post("/containers/one/unpause", None, 500).json();
    assert_eq!(gone["message"], format!("Container {id} is not paused"));
}

#[test]
fn the_answers_have_docker_s_keys() {
    let house = House::new();
    let id = house.create("one", "sleep 1000", json!({"Nonsense": {"of": "a newer client"}}));
    house.start("one");
    assert_eq!(house.get(&format!("/containers/{}/json", &id[..12])).json()["Id"], id.as_str());
    for (path, keys) in [
        ("/version", &["ApiVersion", "MinAPIVersion", "Version", "Os", "Arch", "Components"][..]),
        ("/info", &["ID", "Containers", "Driver", "ServerVersion", "CgroupVersion", "Runtimes"]),
        ("/containers/one/json", &["Id", "State", "HostConfig", "Config", "NetworkSettings", "GraphDriver"]),
        ("/containers/one/top", &["Titles", "Processes"]),
        ("/images/bb/json", &["Id", "RepoTags", "Config", "RootFS", "GraphDriver", "Size"]),
        ("/system/df", &["ImageUsage", "ContainerUsage"]),
    ] {
        let answer = house.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let value = answer.json();
        for key in keys {
            assert!(!value[key].is_null(), "{path} has no {key}: {value}");
        }
    }
    let directories = &house.get("/images/bb/json").json()["GraphDriver"]["Data"];
    assert!(Path::new(directories["UpperDir"].as_str().expect("a directory")).join("bin/busybox").exists());
    let ping = house.ask("HEAD", "/_ping", None);
    assert_eq!((ping.status, ping.body.len()), (200, 0));
    for (name, value) in [
        ("api-version", "1.55"),
        ("ostype", "linux"),
        ("docker-experimental", "false"),
        ("content-length", "0"),
    ] {
        assert_eq!(ping.header(name), Some(value), "{}", ping.head);
    }
}

#[test]
fn old_versions_have_their_shapes() {
    let house = House::new();
    house.create("one", "sleep 1000", json!({}));
    house.start("one");
    for version in 24..=55 {
        let answer = house.get(&format!("/v1.{version}/containers/one/json"));
        assert_eq!(answer.status, 200, "1.{version}");
        let shape = answer.json();
        assert_eq!(shape["NetworkSettings"].get("IPAddress").is_some(), version < 52, "1.{version}");
        let images = house.get(&format!("/v1.{version}/images/json")).json();
        assert_eq!(images[0].get("VirtualSize").is_some(), version < 44, "1.{version}");
    }
    let host = |version: u32, name: &str| {
        let body = json!({"Image": "bb", "Cmd": ["true"]});
        house.post(&format!("/v1.{version}/containers/create?name={name}"), Some(&body), 201);
        house.get(&format!("/containers/{name}/json")).json()["HostConfig"].clone()
    };
    assert_eq!(host(39, "old")["IpcMode"], "shareable");
    assert_eq!(host(55, "new")["IpcMode"], "private");
    // Before 1.30 the answer came when the container had ended.
    house.post("/containers/one/kill", None, 204);
    let answer = house.post("/v1.29/containers/one/wait", None, 200);
    assert_eq!(answer.json()["StatusCode"], 137);
}

#[test]
fn of_fifty_creates_with_one_name_one_wins() {
    let house = House::new();
    let body = json!({"Image": "bb", "Cmd": ["true"]});
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let create = || house.ask("POST", "/containers/create?name=same", Some(&body));
        let creates: Vec<_> = (0..50).map(|_| scope.spawn(create)).collect();
        creates.into_iter().map(|create| create.join().expect("an answer")).collect()
    });
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!((won.len(), lost.len()), (1, 49));
    let id = won[0].json()["Id"].as_str().expect("an id").to_owned();
    let text = format!(
        "Conflict. The container name \"/same\" is already in use by container \"{id}\". You have to remove (or \
         rename) that container to be able to reuse that name."
    );
    for answer in lost {
        assert_eq!((answer.status, answer.json()["message"].as_str()), (409, Some(text.as_str())));
    }
    // Among seventeen ids two begin alike.
    let mut ids = vec![id];
    ids.extend((0..16).map(|n| house.create(&format!("n{n}"), "true", json!({}))));
    let prefix =
        ids.iter().map(|id| &id[..1]).find(|p| ids.iter().filter(|id| id.starts_with(p)).count() > 1);
    let prefix = prefix.expect("seventeen ids, sixteen digits");
    let answer = house.get(&format!("/containers/{prefix}/json"));
    let text = format!("multiple IDs found with provided prefix: {prefix}");
    assert_eq!((answer.status, answer.json()["message"].as_str()), (400, Some(text.as_str())));
}
