//! Volumes of plugins, with a plugin of ours.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use testkit::Plugin;

use crate::{House, eventually};

/// An engine that looks for plugins in its own directory, and the plugin `plug` there.
struct Plugged {
    // Dropped first: what is removed then, a plugin has to remove.
    house: House,
    plugin: Plugin,
    place: TempDir,
}

impl Plugged {
    fn new() -> Self {
        let place = testkit::directory();
        let sockets = place.path().join("plugins");
        let house = House::with(&["--plugin-dir", &sockets.display().to_string()]);
        let plugin = Plugin::start(&sockets, "plug", &place.path().join("volumes"));
        Self { house, plugin, place }
    }

    /// Notes of mounts that are not taken back.
    fn notes(&self) -> usize {
        let notes = self.house.engine.directory().join("data/plugin-mounts");
        std::fs::read_dir(notes).map_or(0, |entries| entries.flatten().count())
    }

    fn all_unmounted(&self, volume: &str) {
        let done = eventually(|| self.plugin.mounts(volume) == 0 && self.notes() == 0);
        assert!(done, "{} mounts, {} notes", self.plugin.mounts(volume), self.notes());
    }
}

#[test]
fn a_plugins_volume_is_made_used_shown_and_removed() {
    let plugged = Plugged::new();
    let (house, plugin) = (&plugged.house, &plugged.plugin);
    let place = |name: &str| -> PathBuf { plugged.place.path().join("volumes").join(name) };
    let made = house.ok(&["volume", "create", "-d", "plug", "-o", "tier=fast", "--label", "a=b", "data"]);
    assert_eq!(made, "data");
    assert_eq!(plugin.volumes()["data"]["tier"], "fast");
    house.ok(&["volume", "create", "here"]);
    plugin.touch("others", true);
    let list = |filter: &[&str]| {
        house.ok(&[&["volume", "ls", "--format", "{{.Driver}} {{.Name}} {{.Scope}}"], filter].concat())
    };
    assert_eq!(list(&[]), "plug data global\nlocal here local\nplug others global");
    assert_eq!(list(&["-f", "driver=plug"]), "plug data global\nplug others global");
    assert_eq!(list(&["-f", "driver=plug", "-f", "label=a"]), "plug data global");
    let shown = "{{.Driver}} {{.Scope}} {{.CreatedAt}} {{json .Status}} {{json .Options}} {{json .Labels}}";
    assert_eq!(
        house.inspect("data", shown),
        r#"plug global 2026-01-02T03:04:05Z {"mounts":0} {"tier":"fast"} {"a":"b"}"#
    );
    assert_eq!(house.ok(&["info", "--format", "{{json .Plugins.Volume}}"]), r#"["local","plug"]"#);

    // Mounted while a container runs, once for each.
    house.ok(&[
        "run",
        "-d",
        "--name",
        "one",
        "-v",
        "data:/data",
        "bb",
        "sh",
        "-c",
        "echo x > /data/f; sleep 1000",
    ]);
    house.ok(&[
        "run",
        "-d",
        "--name",
        "two",
        "-v",
        "data:/other:ro",
        "-v",
        "data:/more",
        "bb",
        "sleep",
        "1000",
    ]);
    assert!(eventually(|| place("data").join("f").exists()));
    assert_eq!((plugin.mounts("data"), plugged.notes()), (2, 2));
    assert_eq!(house.ok(&["exec", "two", "cat", "/other/f", "/more/f"]), "x\nx");
    assert!(house.run(&["exec", "two", "touch", "/other/g"]).stderr.contains("Read-only"));
    let of = "{{range .Mounts}}{{.Driver}} {{.Source}} {{.Destination}};{{end}}";
    assert_eq!(house.inspect("one", of), format!("plug {} /data;", place("data").display()));
    assert_eq!(house.inspect("data", "{{.Mountpoint}}"), place("data").display().to_string());
    let id = house.inspect("one", "{{.Id}}");
    let (_, said) = house.fails(&["volume", "rm", "data"]);
    assert!(said.contains("remove data: volume is in use - [") && said.contains(&id), "{said}");
    house.ok(&["stop", "-t", "0", "one"]);
    assert_eq!((plugin.mounts("data"), plugged.notes()), (1, 1));
    house.ok(&["start", "one"]);
    house.ok(&["rm", "-f", "one", "two"]);
    assert_eq!((plugin.mounts("data"), plugged.notes()), (0, 0));
    let asked = plugin.asked();
    assert_eq!(asked.iter().filter(|asked| *asked == "Activate").count(), 1, "{asked:?}");

    // Named at `run`, filled with what the image has, and anonymous ones go with their container.
    let mount = "type=volume,src=new,dst=/etc,volume-driver=plug,volume-opt=tier=slow";
    assert!(house.sh(&["--mount", mount], "cat /etc/passwd").contains("nobody"));
    assert_eq!(plugin.volumes()["new"]["tier"], "slow");
    assert!(place("new").join("passwd").exists());
    house.sh(&["--volume-driver", "plug", "-v", "third:/t", "-v", "/anonymous"], "touch /t/f /anonymous/f");
    assert_eq!(plugin.volumes().len(), 4, "{:?}", plugin.volumes());
    plugged.all_unmounted("third");
    // One that only the plugin knows is found by its name alone.
    house.sh(&["-v", "others:/o"], "true");
    assert!(plugin.asked().iter().filter(|asked| *asked == "Mount").count() > 5);
    house.ok(&["volume", "prune", "-fa"]);
    assert_eq!(plugin.volumes().len(), 4, "only local ones are pruned");
    house.ok(&["volume", "rm", "data", "new", "third", "others"]);
    assert!(plugin.volumes().is_empty());
    let events =
        house.events(&["-f", "type=volume", "-f", "volume=data"], "{{.Action}} {{.Actor.Attributes.driver}}");
    assert!(
        events.starts_with("create plug\nmount plug\n") && events.ends_with("unmount plug\ndestroy plug"),
        "{events}"
    );
}

#[test]
fn what_a_plugin_does_not_do_is_told() {
    let plugged = Plugged::new();
    let house = &plugged.house;
    let told = |words: &[&str]| house.fails(words).1.trim_end().to_owned();
    assert_eq!(
        told(&["volume", "create", "-d", "foo", "data"]),
        "Error response from daemon: create data: error looking up volume plugin foo: plugin \"foo\" not found"
    );
    let run = told(&["run", "--rm", "--volume-driver", "foo", "-v", "data:/data", "bb", "true"]);
    let expected = "Error response from daemon: create data: error looking up volume plugin foo: plugin \"foo\" not found";
    assert!(run.contains(expected), "{run}");
    assert_eq!(
        told(&["volume", "create", "-d", "plug", "-o", "refuse=no space here", "data"]),
        "Error response from daemon: create data: no space here"
    );
    assert_eq!(
        told(&["volume", "inspect", "data"]).lines().last(),
        Some("Error response from daemon: get data: no such volume")
    );
    house.ok(&["volume", "create", "-d", "plug", "data"]);
    for (words, what) in
        [(&["volume", "export", "data"][..], "export"), (&["volume", "clone", "data"], "clone")]
    {
        let said = told(words);
        assert!(said.contains("its data is with the plugin plug"), "{what}: {said}");
    }
    // Somebody else removed it.
    house.ok(&["create", "--name", "one", "-v", "data:/data:nocopy", "bb", "true"]);
    plugged.plugin.touch("data", false);
    let said = told(&["start", "one"]);
    assert!(said.contains("error while mounting volume 'data': no volume data"), "{said}");
    assert!(
        told(&["create", "-v", "data:/d", "bb", "true"]).contains("the volume was not found in the driver")
    );
    house.ok(&["rm", "one"]);
    assert!(told(&["volume", "rm", "data"]).ends_with("get data: no such volume"));
    assert_eq!(plugged.notes(), 0);
}

#[test]
fn a_plugin_that_hangs_holds_nobody_up() {
    let plugged = Plugged::new();
    let (house, plugin) = (&plugged.house, &plugged.plugin);
    house.ok(&["volume", "create", "-d", "plug", "data"]);
    house.ok(&["volume", "create", "here"]);
    house.ok(&["run", "-d", "--name", "one", "-v", "data:/data", "bb", "sleep", "1000"]);
    house.ok(&["create", "--name", "waits", "-v", "data:/data:nocopy", "bb", "true"]);
    plugin.hang(&["List", "Mount", "Unmount"]);
    let mut start = house.engine.client("wharf");
    let mut start = start.args(["start", "-a", "waits"]).spawn().expect("start a client");
    assert!(eventually(|| plugin.asked().last().is_some_and(|asked| asked == "Mount")));

    let begun = Instant::now();
    let listed = house.run(&["volume", "ls", "--format", "{{.Driver}} {{.Name}}"]);
    assert_eq!(listed.stdout, "plug data\nlocal here\n");
    assert!(listed.stderr.contains("WARNING: list plug: it has not answered for 3 s"), "{listed:?}");
    house.sh(&["-v", "here:/h"], "true");
    assert_eq!(house.inspect("waits", "{{.State.Status}}"), "created");
    assert_eq!(house.ok(&["ps", "-aq"]).lines().count(), 2);
    // An end is an end, and what is left of it is done when the plugin wants to.
    house.ok(&["rm", "-f", "one"]);
    assert_eq!((plugin.mounts("data"), plugged.notes()), (1, 2));
    // The plugin's time would be minutes.
    assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
    assert!(start.try_wait().expect("look at the client").is_none(), "the start goes on waiting");
    plugin.hang(&[]);
    assert!(start.wait().expect("the client's end").success());
    plugged.all_unmounted("data");
    house.ok(&["rm", "waits"]);
    house.ok(&["volume", "rm", "data"]);
}

#[test]
fn a_plugin_that_dies_is_waited_for_or_done_without() {
    let plugged = Plugged::new();
    let (house, plugin) = (&plugged.house, &plugged.plugin);
    house.ok(&["volume", "create", "-d", "plug", "data"]);
    house.ok(&["run", "-d", "--name", "one", "-v", "data:/data", "bb", "sleep", "1000"]);
    house.ok(&["create", "--name", "late", "-v", "data:/data:nocopy", "bb", "true"]);
    // It dies between the mount and the end.
    plugin.end();
    house.ok(&["exec", "one", "touch", "/data/f"]);
    let listed = house.run(&["volume", "ls", "-q"]);
    assert_eq!(listed.stdout, "data\n");
    assert!(listed.stderr.contains("plugin \"plug\" cannot be reached at unix://"), "{listed:?}");
    let (_, said) = house.fails(&["volume", "rm", "data"]);
    assert!(said.contains("volume is in use"), "{said}");
    house.ok(&["rm", "-f", "one"]);
    assert_eq!((plugin.mounts("data"), plugged.notes()), (1, 1));
    // A start waits for a plugin that comes back.
    let mut start = house.engine.client("wharf");
    let mut start = start.args(["start", "-a", "late"]).spawn().expect("start a client");
    std::thread::sleep(Duration::from_millis(200));
    plugin.again();
    assert!(start.wait().expect("the client's end").success());
    plugged.all_unmounted("data");
    // One that never comes back is let go by force.
    house.ok(&["rm", "late"]);
    plugin.end();
    let (_, said) = house.fails(&["volume", "rm", "data"]);
    assert!(said.contains("error while checking if volume \"data\" exists in driver \"plug\""), "{said}");
    house.ok(&["volume", "rm", "-f", "data"]);
    assert_eq!(house.ok(&["volume", "ls", "-q"]), "");
}

#[test]
fn an_engine_that_is_killed_unmounts_at_its_next_boot() {
    let mut plugged = Plugged::new();
    plugged.house.ok(&["volume", "create", "-d", "plug", "--label", "a=b", "data"]);
    let runs = ["run", "-d", "--name", "runs", "-v", "data:/data", "bb", "sleep", "1000"];
    plugged.house.ok(&runs);
    let ends = [
        "run",
        "-d",
        "--name",
        "ends",
        "-v",
        "data:/data",
        "bb",
        "sh",
        "-c",
        "until test -e /data/end; do sleep 0.1; done",
    ];
    plugged.house.ok(&ends);
    plugged.house.ok(&["create", "--name", "starts", "-v", "data:/data:nocopy", "bb", "true"]);
    // One is about to start, one ends while there is no engine, one goes on.
    plugged.plugin.hang(&["Mount"]);
    let mut start = plugged.house.engine.client("wharf");
    let mut start =
        start.args(["start", "starts"]).stderr(std::process::Stdio::null()).spawn().expect("start a client");
    let plugin = &plugged.plugin;
    assert!(eventually(|| plugin.asked().last().is_some_and(|asked| asked == "Mount")));
    plugged.house.engine.kill();
    let _ = start.wait();
    plugged.plugin.hang(&[]);
    let plugin = &plugged.plugin;
    assert!(eventually(|| plugin.mounts("data") == 3), "{}", plugin.mounts("data"));
    let place = plugged.place.path().join("volumes/data");
    std::fs::write(place.join("end"), "").expect("end one of them");
    plugged.house.engine.run();
    assert!(eventually(|| (plugin.mounts("data"), plugged.notes()) == (1, 1)), "{}", plugin.mounts("data"));
    let house = &plugged.house;
    assert_eq!(house.inspect("data", "{{.Driver}} {{.Labels.a}}"), "plug b");
    assert_eq!(house.inspect("runs", "{{.State.Status}}"), "running");
    assert_eq!(house.inspect("starts", "{{.State.Status}}"), "created");
    house.ok(&["start", "-a", "starts"]);
    house.ok(&["rm", "-f", "runs", "ends", "starts"]);
    plugged.all_unmounted("data");
    house.ok(&["volume", "rm", "data"]);
}

#[test]
fn files_go_into_a_plugins_volume_of_a_stopped_container() {
    let plugged = Plugged::new();
    let (house, plugin) = (&plugged.house, &plugged.plugin);
    house.ok(&["volume", "create", "-d", "plug", "data"]);
    house.ok(&["create", "--name", "one", "-v", "data:/data:nocopy", "bb", "cat", "/data/note"]);
    let note = plugged.place.path().join("note");
    std::fs::write(&note, "kept\n").expect("write a note");
    house.ok(&["cp", &note.display().to_string(), "one:/data/note"]);
    let there = plugged.place.path().join("volumes/data/note");
    assert_eq!(std::fs::read_to_string(there).expect("it is with the plugin"), "kept\n");
    plugged.all_unmounted("data");
    assert_eq!(house.ok(&["start", "-a", "one"]), "kept");
    plugged.all_unmounted("data");
    let back = plugged.place.path().join("back");
    house.ok(&["cp", "one:/data/note", &back.display().to_string()]);
    assert_eq!(std::fs::read_to_string(&back).expect("it came back"), "kept\n");
    plugged.all_unmounted("data");
    // A plugin that does not answer holds the copy, and nobody else.
    plugin.hang(&["Mount"]);
    let mut copy = house.engine.client("wharf");
    let copy = copy.args(["cp", "one:/data/note", "-"]).stdout(std::process::Stdio::null());
    let mut copy = copy.spawn().expect("start a client");
    assert!(eventually(|| plugin.asked().last().is_some_and(|asked| asked == "Mount")));
    house.sh(&[], "true");
    assert_eq!(house.inspect("one", "{{.State.Status}}"), "exited");
    copy.kill().expect("end the client");
    copy.wait().expect("wait for it");
    plugin.hang(&[]);
    plugged.all_unmounted("data");
    house.ok(&["rm", "one"]);
    house.ok(&["volume", "rm", "data"]);
}
