//! Every operation that is built, with every status that Docker's definition names: the answer is as defined, field by
//! field. What is not shown here has its reason in [`NOT_SHOWN`]; what is not built says so.

use super::definition::Definition;
use super::registry::Registry;
use super::*;
use std::collections::BTreeSet;

/// What there is of the API. All else in the definition answers 501, but for what [`outside`] says.
const BUILT: &[&str] = &[
    "GET /_ping",
    "HEAD /_ping",
    "GET /version",
    "GET /info",
    "GET /events",
    "GET /system/df",
    "GET /containers/json",
    "POST /containers/create",
    "POST /containers/prune",
    "GET /containers/{id}/json",
    "GET /containers/{id}/top",
    "GET /containers/{id}/logs",
    "GET /containers/{id}/stats",
    "POST /containers/{id}/start",
    "POST /containers/{id}/stop",
    "POST /containers/{id}/restart",
    "POST /containers/{id}/kill",
    "POST /containers/{id}/wait",
    "POST /containers/{id}/attach",
    "GET /containers/{id}/attach/ws",
    "POST /containers/{id}/resize",
    "POST /containers/{id}/rename",
    "POST /containers/{id}/update",
    "POST /containers/{id}/pause",
    "POST /containers/{id}/unpause",
    "DELETE /containers/{id}",
    "GET /containers/{id}/changes",
    "GET /containers/{id}/export",
    "POST /commit",
    "HEAD /containers/{id}/archive",
    "GET /containers/{id}/archive",
    "PUT /containers/{id}/archive",
    "POST /containers/{id}/exec",
    "POST /exec/{id}/start",
    "POST /exec/{id}/resize",
    "GET /exec/{id}/json",
    "GET /images/json",
    "GET /images/get",
    "GET /images/search",
    "POST /images/create",
    "POST /images/load",
    "POST /images/prune",
    "GET /images/{name}/json",
    "GET /images/{name}/history",
    "GET /images/{name}/get",
    "GET /images/{name}/attestations",
    "POST /images/{name}/tag",
    "POST /images/{name}/push",
    "POST /auth",
    "GET /distribution/{name}/json",
    "DELETE /images/{name}",
    "GET /volumes",
    "POST /volumes/create",
    "GET /volumes/{name}",
    "PUT /volumes/{name}",
    "DELETE /volumes/{name}",
    "POST /volumes/prune",
    "GET /networks",
    "POST /networks/create",
    "GET /networks/{id}",
    "DELETE /networks/{id}",
    "POST /networks/{id}/connect",
    "POST /networks/{id}/disconnect",
    "POST /networks/prune",
    "POST /build/prune",
    "GET /plugins",
];

/// Statuses of the definition that no case below shows, and why. 500 stands for all that is broken in the engine or
/// below it: one place writes it for every operation (`unpause` shows it); `tests/faults` breaks things.
const NOT_SHOWN: &[(&str, u16, &str)] = &[
    (
        "PUT /volumes/{name}",
        200,
        "only a Swarm's volumes are changed, which is what every status but 503 is about",
    ),
    (
        "POST /networks/{id}/disconnect",
        403,
        "of a Swarm's networks; nobody is kept from leaving one of this machine",
    ),
    ("PUT /volumes/{name}", 400, "as 200"),
    ("PUT /volumes/{name}", 404, "as 200"),
    ("GET /images/{name}/attestations", 501, "of stores that do not keep indexes"),
    ("POST /images/{name}/tag", 409, "no name of an image is taken: a tag moves"),
    ("GET /containers/{id}/attach/ws", 200, "nothing to say there: a WebSocket, or a refusal"),
    (
        "PUT /containers/{id}/archive",
        403,
        "Docker itself answers 400 where the root or a volume is read-only",
    ),
    (
        "DELETE /containers/{id}",
        400,
        "nothing in the request can be wrong; links, which can, are not built yet",
    ),
    ("POST /images/{name}/push", 404, "told in the stream, as Docker does"),
    ("POST /auth", 204, "the answer has a body, as Docker's"),
];

/// What an engine answers that is in no Swarm and has no managed plugins, where that is no 501: the status, and the message
/// of every operation.
fn outside(operation: &str) -> Option<(u16, &'static str)> {
    let (method, path) = operation.split_once(' ')?;
    let noun = path.split('/').nth(1)?;
    match (method, noun, path) {
        (_, "swarm", "/swarm/init" | "/swarm/join") => None,
        (_, "swarm", "/swarm/leave") => Some((503, "This node is not part of a swarm")),
        (_, "swarm" | "nodes" | "services" | "tasks" | "secrets" | "configs", _) => Some((
            503,
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to \
             swarm and try again.",
        )),
        (_, "plugins", path) if path.contains("{name}") => Some((404, "plugin \"x\" not found")),
        _ => None,
    }
}

struct Contract {
    house: House,
    definition: Definition,
    shown: BTreeSet<(String, u16)>,
    complaints: Vec<String>,
}

impl Contract {
    fn new() -> Self {
        Self {
            house: House::new(),
            definition: Definition::read(),
            shown: BTreeSet::new(),
            complaints: Vec::new(),
        }
    }

    /// Asks, as `path` says for `operation`; the answer must have this status.
    #[track_caller]
    fn show(&mut self, status: u16, operation: &str, path: &str, body: Option<Value>) -> Answer {
        let method = operation.split(' ').next().expect("a method");
        let answer = self.house.ask(method, &path.replace('"', "%22"), body.as_ref());
        self.note(status, operation, &answer);
        answer
    }

    #[track_caller]
    fn note(&mut self, status: u16, operation: &str, answer: &Answer) {
        assert_eq!(answer.status, status, "{operation}: {}", answer.text());
        self.shown.insert((operation.to_owned(), status));
        if operation.starts_with("HEAD ") {
            assert!(answer.body.is_empty(), "{operation}: {}", answer.text());
            return;
        }
        let kind = answer.header("content-type").unwrap_or_default();
        let media_type = kind.split(';').next().unwrap_or_default();
        if !self.definition.is_json(operation, status) {
            if !answer.body.is_empty() && !self.definition.produces(operation).contains(&media_type) {
                self.complaints.push(format!("{operation} {status}: {kind}"));
            }
            return;
        }
        if status >= 400 && media_type != "application/json" {
            self.complaints.push(format!("{operation} {status}: {kind}"));
        }
        if operation == "GET /events" && status == 200 {
            for line in answer.text().lines() {
                let event = serde_json::from_str(line).expect("an event");
                self.complaints.extend(self.definition.complaints(operation, status, &event));
            }
            return;
        }
        let found = self.definition.complaints(operation, status, &answer.json());
        self.complaints.extend(found.into_iter().map(|complaint| format!("{status} {complaint}")));
    }

    fn system(&mut self) {
        self.show(200, "GET /_ping", "/_ping", None);
        self.show(200, "HEAD /_ping", "/_ping", None);
        self.show(200, "GET /version", "/version", None);
        self.show(200, "GET /info", "/info", None);
        self.show(200, "GET /system/df", "/system/df", None);
        self.show(200, "GET /system/df", "/system/df?verbose=1", None);
        self.show(200, "GET /events", "/events?since=0&until=1.5", None);
        self.show(400, "GET /events", "/events?since=x", None);
    }

    fn images(&mut self) {
        let tar = std::fs::read(self.house.engine.directory().join("busybox.tar")).unwrap_or_default();
        let import = "/images/create?fromSrc=-&repo=second&changes=LABEL%20a=b&changes=EXPOSE%2080&changes=VOLUME%20/v";
        let upload = |path: &str, body: &[u8]| {
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            [head.as_bytes(), body].concat()
        };
        let answer = parse(&self.house.raw(&upload(import, &tar)));
        self.note(200, "POST /images/create", &answer);
        self.show(200, "GET /images/json", "/images/json?all=1", None);
        self.show(200, "GET /images/json", "/images/json?manifests=1&shared-size=1&digests=1", None);
        for name in ["bb", "second"] {
            self.show(200, "GET /images/{name}/json", &format!("/images/{name}/json"), None);
        }
        self.show(200, "GET /images/{name}/json", "/images/bb/json?manifests=1", None);
        self.show(404, "GET /images/{name}/json", "/images/nope/json", None);
        self.show(200, "GET /images/{name}/history", "/images/bb/history", None);
        self.show(404, "GET /images/{name}/history", "/images/nope/history", None);
        let attested = "GET /images/{name}/attestations";
        self.show(200, attested, "/images/bb/attestations?statement=1", None);
        self.show(400, attested, "/images/bb/attestations?platform=x", None);
        self.show(404, attested, "/images/nope/attestations", None);
        let saved = self.show(200, "GET /images/{name}/get", "/images/bb/get", None);
        self.show(200, "GET /images/get", "/images/get?names=bb&names=second", None);
        let answer = parse(&self.house.raw(&upload("/images/load", &saved.body)));
        self.note(200, "POST /images/load", &answer);
        self.show(201, "POST /images/{name}/tag", "/images/second/tag?repo=third&tag=one", None);
        self.show(400, "POST /images/{name}/tag", "/images/second/tag?repo=Bad", None);
        self.show(404, "POST /images/{name}/tag", "/images/nope/tag?repo=third", None);
        self.show(404, "DELETE /images/{name}", "/images/nope", None);
        self.show(200, "DELETE /images/{name}", "/images/third:one", None);
        self.show(200, "DELETE /images/{name}", "/images/second", None);
        let answer = parse(&self.house.raw(&upload("/images/create?fromSrc=-&changes=LABEL%20a=b", &tar)));
        self.note(200, "POST /images/create", &answer);
        self.show(200, "POST /build/prune", "/build/prune?filters={\"until\":[\"24h\"]}", None);
        self.show(200, "POST /images/prune", "/images/prune", None);
        self.show(200, "POST /images/prune", "/images/prune?filters={\"until\":[\"24h\"]}", None);
    }

    /// With a registry of our own, and one that wants to know who asks.
    fn registries(&mut self) {
        let directory = self.house.engine.directory().to_owned();
        let open = Registry::start(&directory, false);
        let guarded = Registry::start(&directory, true);
        let (here, there) = (format!("{}/team/bb", open.host), format!("{}/bb", guarded.host));
        for name in [&here, &there] {
            let path = format!("/images/bb/tag?repo={name}&tag=1");
            self.show(201, "POST /images/{name}/tag", &path, None);
        }
        self.show(200, "POST /images/{name}/push", &format!("/images/{here}/push?tag=1"), None);
        self.show(200, "GET /images/search", &format!("/images/search?term={}/bb", open.host), None);
        let found = self.house.get(&format!("/images/search?term={}/bb&limit=5", open.host));
        assert_eq!(found.json()[0]["name"], "team/bb", "{}", found.text());

        let distribution = "GET /distribution/{name}/json";
        let told = self.show(200, distribution, &format!("/distribution/{here}:1/json"), None).json();
        let known = self.house.get("/images/bb/json").json();
        assert_eq!(told["Descriptor"]["digest"], known["Descriptor"]["digest"], "{told}");
        assert_eq!(told["Platforms"], json!([{"architecture": "amd64", "os": "linux"}]), "{told}");
        self.show(401, distribution, &format!("/distribution/{there}:1/json"), None);
        let pull = format!("/images/create?fromImage={here}&tag=nosuch");
        self.show(404, "POST /images/create", &pull, None);

        let login = |password: &str| {
            Some(json!({"username": "me", "password": password, "serveraddress": guarded.host}))
        };
        self.show(200, "POST /auth", "/auth", login("secret"));
        self.show(401, "POST /auth", "/auth", login("wrong"));
        // What Docker's definition does not have.
        let tags = self.house.get(&format!("/distribution/{here}/tags"));
        assert_eq!(tags.json(), json!({"Name": here, "Tags": ["1"]}));
        let manifest = self.house.get(&format!("/distribution/{here}:1/manifest")).json();
        assert_eq!(manifest["Descriptor"], told["Descriptor"]);
        let put = self.house.ask("PUT", &format!("/distribution/{here}:2/manifest"), Some(&manifest));
        assert_eq!((put.status, &put.json()["Descriptor"]), (201, &told["Descriptor"]), "{}", put.text());
        for name in [&here, &there] {
            self.show(200, "DELETE /images/{name}", &format!("/images/{name}:1"), None);
        }
    }

    fn networks(&mut self) {
        let create = "POST /networks/create";
        let full = json!({"Name": "kept", "Driver": "bridge", "Labels": {"l": "v"}, "Options": {"o": "p"},
            "IPAM": {"Config": [{"Subnet": "10.6.0.0/24", "AuxiliaryAddresses": {"a": "10.6.0.7"}}]}});
        self.show(201, create, "/networks/create", Some(full));
        self.show(201, create, "/networks/create", Some(json!({"Name": "plain", "Internal": true})));
        self.show(400, create, "/networks/create", Some(json!({"Name": ""})));
        self.show(403, create, "/networks/create", Some(json!({"Name": "bridge"})));
        self.show(404, create, "/networks/create", Some(json!({"Name": "n", "Driver": "nope"})));
        self.show(200, "GET /networks", "/networks", None);
        self.show(200, "GET /networks", "/networks?filters={\"label\":[\"l=v\"]}", None);
        for name in ["kept", "bridge", "host", "none"] {
            self.show(200, "GET /networks/{id}", &format!("/networks/{name}"), None);
        }
        self.show(404, "GET /networks/{id}", "/networks/nope", None);
        let member = json!({"Image": "bb", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "kept"},
            "NetworkingConfig": {"EndpointsConfig": {"kept": {"Aliases": ["m"], "IPAMConfig": {"IPv4Address": "10.6.0.9"}}}}});
        self.show(201, "POST /containers/create", "/containers/create?name=member", Some(member));
        self.show(204, "POST /containers/{id}/start", "/containers/member/start", None);
        self.show(200, "GET /containers/{id}/json", "/containers/member/json", None);
        self.show(200, "GET /networks/{id}", "/networks/kept", None);
        self.show(403, "DELETE /networks/{id}", "/networks/kept", None);
        let connect = "POST /networks/{id}/connect";
        let with =
            |container: &str| Some(json!({"Container": container, "EndpointConfig": {"GwPriority": 1}}));
        self.show(200, connect, "/networks/plain/connect", with("member"));
        self.show(400, connect, "/networks/host/connect", with("member"));
        self.show(403, connect, "/networks/plain/connect", with("member"));
        self.show(404, connect, "/networks/plain/connect", with("nope"));
        let disconnect = "POST /networks/{id}/disconnect";
        self.show(200, disconnect, "/networks/plain/disconnect", with("member"));
        self.show(404, disconnect, "/networks/nope/disconnect", with("member"));
        self.show(204, "DELETE /containers/{id}", "/containers/member?force=1", None);
        self.show(204, "DELETE /networks/{id}", "/networks/kept", None);
        self.show(404, "DELETE /networks/{id}", "/networks/kept", None);
        self.show(200, "POST /networks/prune", "/networks/prune", None);
        self.show(200, "POST /networks/prune", "/networks/prune", None);
    }

    fn volumes(&mut self) {
        let create = "POST /volumes/create";
        let full = json!({"Name": "kept", "Driver": "local", "Labels": {"l": "v"}, "DriverOpts": {}});
        self.show(201, create, "/volumes/create", Some(full));
        self.show(201, create, "/volumes/create", Some(json!({})));
        self.show(200, "GET /volumes", "/volumes", None);
        self.show(200, "GET /volumes", "/volumes?filters={\"label\":[\"l=v\"]}", None);
        self.show(200, "GET /volumes/{name}", "/volumes/kept", None);
        self.show(404, "GET /volumes/{name}", "/volumes/nope", None);
        self.show(503, "PUT /volumes/{name}", "/volumes/kept?version=1", Some(json!({"Spec": {}})));
        let user = json!({"Image": "bb", "Cmd": ["true"], "HostConfig": {"Binds": ["kept:/k"]}});
        self.show(201, "POST /containers/create", "/containers/create?name=user", Some(user));
        self.show(200, "GET /system/df", "/system/df?verbose=1", None);
        self.show(409, "DELETE /volumes/{name}", "/volumes/kept", None);
        self.show(204, "DELETE /containers/{id}", "/containers/user", None);
        self.show(204, "DELETE /volumes/{name}", "/volumes/kept", None);
        self.show(404, "DELETE /volumes/{name}", "/volumes/kept", None);
        self.show(200, "POST /volumes/prune", "/volumes/prune", None);
        self.show(200, "POST /volumes/prune", "/volumes/prune", None);
    }

    /// `one` runs, `two` was never started, `gone` has ended.
    fn containers(&mut self) {
        let create = |name: &str| format!("/containers/create?name={name}");
        let full = json!({
            "Image": "bb", "Cmd": ["sh", "-c", "sleep 1000"], "Env": ["A=b"], "Labels": {"l": "v"}, "Tty": true,
            "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/data": {}}, "StopSignal": "KILL", "StopTimeout": 3,
            "HostConfig": {
                "NetworkMode": "none", "Memory": 67_108_864, "Binds": ["/tmp:/tmp:ro"], "CapAdd": ["NET_ADMIN"],
                "Tmpfs": {"/t": "size=1m"}, "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}],
                "Mounts": [{"Type": "tmpfs", "Target": "/m"}], "Init": true, "Annotations": {"x": "y"},
                "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}, "Sysctls": {"net.ipv4.ip_forward": "1"},
            },
        });
        self.show(201, "POST /containers/create", &create("one"), Some(full));
        self.show(
            201,
            "POST /containers/create",
            &create("two"),
            Some(json!({"Image": "bb", "Cmd": ["true"]})),
        );
        let lines = json!({
            "Image": "bb", "Cmd": ["sh", "-c", "echo a; exit 3"], "HostConfig": {"NetworkMode": "none"},
        });
        self.show(201, "POST /containers/create", &create("gone"), Some(lines));
        self.show(400, "POST /containers/create", &create(".."), Some(json!({"Image": "bb"})));
        self.show(404, "POST /containers/create", &create("lost"), Some(json!({"Image": "nope"})));
        self.show(
            409,
            "POST /containers/create",
            &create("one"),
            Some(json!({"Image": "bb", "Cmd": ["true"]})),
        );

        self.show(204, "POST /containers/{id}/start", "/containers/one/start", None);
        self.show(304, "POST /containers/{id}/start", "/containers/one/start", None);
        self.show(404, "POST /containers/{id}/start", "/containers/nope/start", None);
        self.show(204, "POST /containers/{id}/start", "/containers/gone/start", None);
        self.show(200, "POST /containers/{id}/wait", "/containers/gone/wait", None);
        self.show(400, "POST /containers/{id}/wait", "/containers/gone/wait?condition=never", None);
        self.show(404, "POST /containers/{id}/wait", "/containers/nope/wait", None);

        self.show(200, "GET /containers/json", "/containers/json?all=1&size=1", None);
        self.show(200, "GET /containers/json", "/containers/json", None);
        self.show(400, "GET /containers/json", "/containers/json?filters={\"status\":[\"x\"]}", None);
        for name in ["one", "two", "gone"] {
            let path = format!("/containers/{name}/json?size=1");
            self.show(200, "GET /containers/{id}/json", &path, None);
        }
        self.show(404, "GET /containers/{id}/json", "/containers/nope/json", None);
        self.show(200, "GET /containers/{id}/top", "/containers/one/top", None);
        self.show(404, "GET /containers/{id}/top", "/containers/nope/top", None);
        self.show(200, "GET /containers/{id}/logs", "/containers/gone/logs?stdout=1", None);
        self.show(404, "GET /containers/{id}/logs", "/containers/nope/logs?stdout=1", None);
        self.show(200, "POST /containers/{id}/resize", "/containers/one/resize?h=10&w=20", None);
        self.show(404, "POST /containers/{id}/resize", "/containers/nope/resize?h=10&w=20", None);
        const UPDATE: &str = "POST /containers/{id}/update";
        let change = |limit: i64| Some(json!({"PidsLimit": limit, "RestartPolicy": {"Name": "no"}}));
        self.show(200, UPDATE, "/containers/one/update", change(100));
        self.show(200, UPDATE, "/containers/two/update", change(-1));
        self.show(404, UPDATE, "/containers/nope/update", change(1));
        for path in ["/containers/one/stats?stream=0", "/containers/two/stats?stream=0&one-shot=1"] {
            self.show(200, "GET /containers/{id}/stats", path, None);
        }
        self.show(404, "GET /containers/{id}/stats", "/containers/nope/stats", None);
        self.attach();

        self.show(204, "POST /containers/{id}/pause", "/containers/one/pause", None);
        self.show(200, "GET /containers/{id}/json", "/containers/one/json", None);
        self.show(404, "POST /containers/{id}/pause", "/containers/nope/pause", None);
        self.show(204, "POST /containers/{id}/unpause", "/containers/one/unpause", None);
        self.show(404, "POST /containers/{id}/unpause", "/containers/nope/unpause", None);
        self.show(500, "POST /containers/{id}/unpause", "/containers/one/unpause", None);
        self.show(204, "POST /containers/{id}/rename", "/containers/two/rename?name=other", None);
        self.show(404, "POST /containers/{id}/rename", "/containers/nope/rename?name=x", None);
        self.show(409, "POST /containers/{id}/rename", "/containers/other/rename?name=one", None);
        self.exec();
        self.files();

        self.show(204, "POST /containers/{id}/restart", "/containers/one/restart?t=0", None);
        self.show(404, "POST /containers/{id}/restart", "/containers/nope/restart", None);
        self.show(409, "DELETE /containers/{id}", "/containers/one", None);
        self.show(204, "POST /containers/{id}/kill", "/containers/one/kill?signal=WINCH", None);
        self.show(404, "POST /containers/{id}/kill", "/containers/nope/kill", None);
        self.show(409, "POST /containers/{id}/kill", "/containers/other/kill", None);
        self.show(204, "POST /containers/{id}/stop", "/containers/one/stop?t=0", None);
        self.show(304, "POST /containers/{id}/stop", "/containers/one/stop", None);
        self.show(404, "POST /containers/{id}/stop", "/containers/nope/stop", None);
        self.show(409, "DELETE /images/{name}", "/images/bb", None);
        self.show(204, "DELETE /containers/{id}", "/containers/one?v=1", None);
        self.show(404, "DELETE /containers/{id}", "/containers/one", None);
        self.show(200, "POST /containers/prune", "/containers/prune", None);
        self.show(200, "POST /containers/prune", "/containers/prune", None);
    }

    fn attach(&mut self) {
        const OPERATION: &str = "POST /containers/{id}/attach";
        let path = "/containers/one/attach?logs=1&stdout=1";
        self.show(200, OPERATION, path, None);
        let request =
            format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
        let answer = hijack_unix(self.house.connect(), &request, b"");
        self.note(101, OPERATION, &answer);
        self.show(400, OPERATION, "/containers/one/attach?stream=1&detachKeys=shift-x", None);
        const SOCKET: &str = "GET /containers/{id}/attach/ws";
        let request = "GET /containers/one/attach/ws?logs=1&stdout=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
            Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let answer = hijack_unix(self.house.connect(), request, b"");
        self.note(101, SOCKET, &answer);
        self.show(400, SOCKET, "/containers/one/attach/ws?stream=1", None);
        self.show(404, SOCKET, "/containers/nope/attach/ws", None);
        self.show(404, OPERATION, "/containers/nope/attach?stream=1", None);
    }

    fn files(&mut self) {
        let archive = |name: &str, path: &str| format!("/containers/{name}/archive?path={path}");
        for method in ["HEAD", "GET", "PUT"] {
            let operation = format!("{method} /containers/{{id}}/archive");
            self.show(400, &operation, "/containers/one/archive", None);
            self.show(404, &operation, &archive("nope", "/etc"), None);
            self.show(404, &operation, &archive("one", "/etc/nope"), None);
        }
        for name in ["one", "other", "gone"] {
            let head = self.show(200, "HEAD /containers/{id}/archive", &archive(name, "/etc/passwd"), None);
            let path = archive(name, "/etc/passwd");
            let got = self.show(200, "GET /containers/{id}/archive", &path, None);
            assert!(got.body.len() >= 2048);
            let stat = "x-docker-container-path-stat";
            assert!(head.header(stat).is_some_and(|text| !text.is_empty()));
            assert_eq!(head.header(stat), got.header(stat));
            let head = format!(
                "PUT {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                archive(name, "/etc"),
                got.body.len()
            );
            let put = self.house.raw(&[head.as_bytes(), &got.body].concat());
            self.note(200, "PUT /containers/{id}/archive", &parse(&put));
        }
        self.show(200, "GET /containers/{id}/changes", "/containers/one/changes", None);
        self.show(404, "GET /containers/{id}/changes", "/containers/nope/changes", None);
        for name in ["one", "gone"] {
            let path = format!("/containers/{name}/export");
            let tar = self.show(200, "GET /containers/{id}/export", &path, None);
            assert!(tar.body.len() > 1 << 20);
        }
        self.show(404, "GET /containers/{id}/export", "/containers/nope/export", None);
        let commit =
            "/commit?container=one&repo=committed&comment=said&author=me&changes=CMD%20x&changes=ENV%20A=b";
        self.show(201, "POST /commit", commit, None);
        let body = json!({"Env": ["C=d"], "Labels": {"x": "y"}, "Cmd": ["true"]});
        self.show(201, "POST /commit", "/commit?container=other&pause=0", Some(body));
        self.show(404, "POST /commit", "/commit?container=nope", None);
        let image = self.show(200, "GET /images/{name}/json", "/images/committed/json", None).json();
        assert_eq!((&image["Comment"], &image["Author"]), (&json!("said"), &json!("me")));
        self.show(200, "GET /images/{name}/history", "/images/committed/history", None);
        let path = archive("one", "/etc/passwd");
        let answer = self.show(400, "PUT /containers/{id}/archive", &path, None);
        assert_eq!(answer.json()["message"], "extraction point is not a directory");
    }

    fn exec(&mut self) {
        let create = "POST /containers/{id}/exec";
        let sleep = json!({"Cmd": ["sleep", "1000"], "Tty": true, "User": "0", "Privileged": true});
        let answer = self.show(201, create, "/containers/one/exec", Some(sleep));
        let id = answer.json()["Id"].as_str().expect("an id").to_owned();
        self.show(404, create, "/containers/nope/exec", Some(json!({"Cmd": ["true"]})));
        self.show(409, create, "/containers/other/exec", Some(json!({"Cmd": ["true"]})));
        let path = |verb: &str| format!("/exec/{id}/{verb}");
        self.show(200, "GET /exec/{id}/json", &path("json"), None);
        self.show(200, "POST /exec/{id}/start", &path("start"), Some(json!({"Detach": true})));
        self.show(409, "POST /exec/{id}/start", &path("start"), Some(json!({"Detach": true})));
        self.show(404, "POST /exec/{id}/start", "/exec/nope/start", Some(json!({"Detach": true})));
        self.show(200, "GET /exec/{id}/json", &path("json"), None);
        self.show(404, "GET /exec/{id}/json", "/exec/nope/json", None);
        self.show(200, "POST /exec/{id}/resize", &path("resize?h=5&w=5"), None);
        self.show(400, "POST /exec/{id}/resize", &path("resize?h=x&w=5"), None);
        self.show(404, "POST /exec/{id}/resize", "/exec/nope/resize?h=5&w=5", None);
    }
}

#[test]
fn every_answer_is_as_docker_defines_it() {
    let mut contract = Contract::new();
    contract.system();
    contract.images();
    contract.registries();
    contract.containers();
    contract.volumes();
    contract.networks();
    assert_eq!(contract.show(200, "GET /plugins", "/plugins", None).json(), json!([]));
    contract.show(200, "GET /events", "/events?since=0&until=0000000001.9", None);
    contract.show(200, "GET /events", "/events?until=1&since=-5", None);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let path = format!("/events?since=0&until={}.{:09}", now.as_secs(), now.subsec_nanos());
    let events = contract.show(200, "GET /events", &path, None);
    assert!(events.text().lines().count() > 20, "{}", events.text());
    contract.system();

    for (operation, statuses) in contract.definition.operations() {
        if !BUILT.contains(&&*operation) {
            continue;
        }
        for status in statuses {
            let shown = contract.shown.contains(&(operation.clone(), status));
            let excused = status == 500 || NOT_SHOWN.iter().any(|(o, s, _)| *o == operation && *s == status);
            if shown && excused && status != 500 {
                contract.complaints.push(format!("{operation} {status}: shown and excused"));
            }
            if !shown && !excused {
                contract.complaints.push(format!("{operation} {status}: not shown"));
            }
        }
    }
    contract.complaints.sort();
    contract.complaints.dedup();
    assert!(contract.complaints.is_empty(), "{}", contract.complaints.join("\n"));
}

#[test]
fn what_is_not_built_says_so_by_name() {
    let house = House::new();
    let operations = Definition::read().operations();
    assert!(BUILT.iter().all(|built| operations.iter().any(|(operation, _)| operation == built)));
    let later: Vec<_> = operations.iter().filter(|(operation, _)| !BUILT.contains(&&**operation)).collect();
    assert_eq!(later.len() + BUILT.len(), operations.len());
    let (there, later): (Vec<_>, Vec<_>) =
        later.into_iter().partition(|(operation, _)| outside(operation).is_some());
    assert!(there.len() > 30);
    for (operation, _) in there {
        let (status, message) = outside(operation).expect("as chosen");
        let (method, pattern) = operation.split_once(' ').expect("a method and a path");
        let path = pattern.replace("{id}", "x").replace("{name}", "x");
        let answer = house.ask(method, &path, None);
        assert_eq!((answer.status, answer.json()), (status, json!({"message": message})), "{operation}");
    }
    for (operation, _) in later {
        let (method, pattern) = operation.split_once(' ').expect("a method and a path");
        let path = pattern.replace("{id}", "x").replace("{name}", "x");
        for version in ["", "/v1.41"] {
            let answer = house.ask(method, &format!("{version}{path}"), None);
            assert_eq!(answer.status, 501, "{operation}: {}", answer.text());
            if method == "HEAD" {
                continue;
            }
            let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
            let named = format!("{method} {}", pattern.split('{').next().unwrap_or_default());
            assert!(
                message.starts_with(&named) && message.ends_with(" is not supported yet"),
                "{operation}: {message}"
            );
        }
        // Nobody has these, with any method: Docker knows no 405.
        for (method, path) in [("PATCH", path.clone()), (method, format!("{path}/y/z"))] {
            let answer = house.ask(method, &path, None);
            let names_an_image = path.starts_with("/images/x") || path.starts_with("/plugins/x");
            if answer.status == 501 && names_an_image {
                continue;
            }
            assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text());
            if method != "HEAD" {
                assert_eq!(answer.json(), json!({"message": "page not found"}), "{method} {path}");
            }
        }
    }
}
