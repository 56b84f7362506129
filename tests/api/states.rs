//! Every operation in every state, as Docker answers it: `docs/states.md` over HTTP. (`removing` lasts for no longer than a
//! rename; the table of `engine/src/container/state.rs` has it.)

use super::*;

/// States in the order of the table's columns.
const STATES: [&str; 6] = ["created", "running", "paused", "restarting", "exited", "dead"];

/// An operation, and per state what it answers: a status, and how the message ends. `ID` stands for the container's id and
/// `NAME` for what the request called it.
type Row = (&'static str, &'static str, [(u16, &'static str); 6]);

const NOT_RUNNING: (u16, &str) = (409, "container ID is not running");
const RESTARTING: (u16, &str) = (409, "Container ID is restarting, wait until the container is running");
const NOT_PAUSED: (u16, &str) = (500, "Container ID is not paused");
const NO_KILL: (u16, &str) = (409, "cannot kill container: NAME: container ID is not running");
const DONE: (u16, &str) = (204, "");
const SEEN: (u16, &str) = (200, "");
const SAME: (u16, &str) = (304, "");

const TABLE: &[Row] = &[
    ("GET", "json", [SEEN; 6]),
    ("GET", "top", [NOT_RUNNING, SEEN, SEEN, RESTARTING, NOT_RUNNING, NOT_RUNNING]),
    ("POST", "resize?h=10&w=20", [NOT_RUNNING, SEEN, SEEN, RESTARTING, NOT_RUNNING, NOT_RUNNING]),
    (
        "POST",
        "exec",
        [
            NOT_RUNNING,
            (201, ""),
            (409, "Container NAME is paused, unpause the container before exec"),
            RESTARTING,
            NOT_RUNNING,
            NOT_RUNNING,
        ],
    ),
    ("POST", "unpause", [NOT_PAUSED, NOT_PAUSED, DONE, NOT_PAUSED, NOT_PAUSED, NOT_PAUSED]),
    (
        "POST",
        "pause",
        [NOT_RUNNING, DONE, (409, "container ID is already paused"), RESTARTING, NOT_RUNNING, NOT_RUNNING],
    ),
    (
        "POST",
        "start",
        [
            DONE,
            SAME,
            (409, "cannot start a paused container, try unpause instead"),
            SAME,
            DONE,
            (409, "container is marked for removal and cannot be started"),
        ],
    ),
    ("POST", "kill?signal=WINCH", [NO_KILL, DONE, DONE, DONE, NO_KILL, NO_KILL]),
    ("POST", "kill", [NO_KILL, DONE, DONE, DONE, NO_KILL, NO_KILL]),
    ("POST", "stop?t=0", [SAME, DONE, DONE, DONE, SAME, SAME]),
    (
        "POST",
        "restart?t=0",
        [
            DONE,
            DONE,
            DONE,
            DONE,
            DONE,
            (500, "Cannot restart container NAME: container is marked for removal and cannot be started"),
        ],
    ),
    (
        "DELETE",
        "",
        [
            DONE,
            (
                409,
                "cannot remove container \"NAME\": container is running: stop the container before removing or force remove",
            ),
            (409, "cannot remove container \"NAME\": container is paused and must be unpaused first"),
            (
                409,
                "cannot remove container \"NAME\": container is restarting: stop the container before removing or force remove",
            ),
            DONE,
            DONE,
        ],
    ),
    ("DELETE", "?force=1", [DONE; 6]),
];

/// Holds a directory where it is: what is below cannot be renamed away, so a removal fails.
struct Pin(std::path::PathBuf);

impl Pin {
    fn new(path: &Path) -> Self {
        rustix::mount::mount_bind(path, path).expect("mount it onto itself");
        Self(path.into())
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

impl House {
    #[track_caller]
    fn status(&self, name: &str) -> String {
        self.get(&format!("/containers/{name}/json")).json()["State"]["Status"]
            .as_str()
            .expect("a word")
            .into()
    }

    /// Brings a container on its way into a state; some come there by themselves.
    fn send_to(&self, name: &str, state: &str) {
        let policy =
            json!({"HostConfig": {"RestartPolicy": {"Name": "always"}, "NetworkMode": "none"}, "Tty": true});
        match state {
            "restarting" => self.create(name, "exit 3", policy),
            "exited" => self.create(name, "exit 3", json!({"Tty": true})),
            _ => self.create(name, "sleep 1000", json!({"Tty": true})),
        };
        if !matches!(state, "created" | "dead") {
            self.start(name);
        }
        if state == "paused" {
            self.post(&format!("/containers/{name}/pause"), None, 204);
        }
    }

    /// Waits until it is there, for long enough to ask something.
    fn arrive(&self, name: &str, state: &str) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let seen = self.get(&format!("/containers/{name}/json")).json();
            let there = seen["State"]["Status"] == state;
            // Its seventh wait is one of six seconds.
            if there && (state != "restarting" || seen["RestartCount"].as_i64() >= Some(7)) {
                return;
            }
            assert!(Instant::now() < deadline, "{name} is {}", seen["State"]);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn every_operation_in_every_state() {
    let house = House::new();
    let name = |row: usize, state: &str| format!("{state}-{row}");
    for state in STATES {
        (0..TABLE.len()).for_each(|row| house.send_to(&name(row, state), state));
    }
    let data = house.engine.directory().join("data/containers");
    for (column, state) in STATES.into_iter().enumerate() {
        for (row, (method, operation, answers)) in TABLE.iter().enumerate() {
            let name = name(row, state);
            house.arrive(&name, if state == "dead" { "created" } else { state });
            let id = house.get(&format!("/containers/{name}/json")).json()["Id"]
                .as_str()
                .expect("an id")
                .to_owned();
            let mut pin = None;
            if state == "dead" {
                pin = Some(Pin::new(&data.join(&id)));
                let answer = house.ask("DELETE", &format!("/containers/{name}"), None);
                assert_eq!((answer.status, house.status(&name).as_str()), (500, "dead"), "{}", answer.text());
            }
            if *method == "DELETE" {
                drop(pin.take());
            }
            let path = match operation.strip_prefix('?') {
                None if operation.is_empty() => format!("/containers/{name}"),
                None => format!("/containers/{name}/{operation}"),
                Some(query) => format!("/containers/{name}?{query}"),
            };
            let body = (*operation == "exec").then(|| json!({"Cmd": ["true"]}));
            let answer = house.ask(method, &path, body.as_ref());
            let (status, message) = answers[column];
            let wanted = message.replace("ID", &id).replace("NAME", &name);
            let said = match answer.status {
                200..300 | 304 => String::new(),
                _ => answer.json()["message"].as_str().expect("a message").to_owned(),
            };
            assert_eq!((answer.status, said), (status, wanted), "{method} {path} while {state}");
        }
    }
    // What was called off between two tries stays down; only `start` and `restart` changed nothing or began anew.
    let down = TABLE.iter().position(|(_, operation, _)| operation.starts_with("kill?")).expect("a row");
    for row in [down, down + 1, down + 2] {
        assert_eq!(house.status(&name(row, "restarting")), "exited", "{}", TABLE[row].1);
    }
}
