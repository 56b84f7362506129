//! What the engine tells of what it does.

use crate::House;

#[test]
fn every_action_with_dockers_attributes() {
    let house = House::new();
    house.ok(&["run", "-d", "--name", "ce", "--label", "a=b", "bb", "sleep", "1000"]);
    house.ok(&["exec", "ce", "true"]);
    house.ok(&["pause", "ce"]);
    house.ok(&["unpause", "ce"]);
    house.ok(&["rename", "ce", "cg"]);
    house.ok(&["top", "cg"]);
    house.ok(&["restart", "-t", "0", "cg"]);
    house.ok(&["kill", "cg"]);
    house.until("cg", "{{.State.Status}}", "exited");
    house.ok(&["rm", "cg"]);
    house.ok(&["tag", "bb", "cc:x"]);
    house.ok(&["rmi", "cc:x"]);
    let format = "{{.Type}} {{.Action}} {{json .Actor.Attributes}}";
    let all = house.events(&[], format);
    let actions: Vec<&str> = all
        .lines()
        .filter(|line| line.starts_with("container "))
        .map(|line| line["container ".len()..].split(" {").next().unwrap_or_default())
        .collect();
    let wanted = [
        "create",
        "start",
        "exec_create: true ",
        "exec_start: true ",
        "exec_die",
        "pause",
        "unpause",
        "rename",
        "top",
        "kill",
        "kill",
        "die",
        "stop",
        "start",
        "restart",
        "kill",
        "die",
        "destroy",
    ];
    assert_eq!(actions, wanted, "{all}");
    let line = |action: &str| all.lines().find(|line| line.contains(action)).expect("seen").to_owned();
    assert!(line("container create").contains(r#""a":"b","image":"bb","name":"ce""#), "{all}");
    assert!(
        line("container exec_die").contains(r#""execID":""#)
            && line("exec_die").contains(r#""exitCode":"0""#),
        "{all}"
    );
    assert!(line("container rename").contains(r#""oldName":"/ce""#), "{all}");
    assert!(line("container kill").contains(r#""signal":"15""#), "{all}");
    assert!(
        line("container die").contains(r#""execDuration":""#)
            && line("container die").contains(r#""exitCode":""#),
        "{all}"
    );
    let of = |kind: &str| all.lines().filter(|line| line.starts_with(kind)).count();
    assert_eq!((of("network connect"), of("network disconnect")), (2, 2), "{all}");
    assert!(line("network connect").contains(r#""name":"bridge","type":"bridge""#), "{all}");
    for action in ["image import", "image tag", "image untag"] {
        assert_eq!(of(action), 1, "{action}: {all}");
    }
}

#[test]
fn the_past_outlives_the_engine() {
    let mut house = House::new();
    house.ok(&["run", "--name", "one", "bb", "true"]);
    let before = house.events(&["--filter", "container=one"], "{{.Action}} {{.TimeNano}}");
    assert!(before.contains("create ") && before.contains("die "), "{before}");
    house.engine.kill();
    house.engine.run();
    house.ok(&["rm", "one"]);
    let after = house.events(&["--filter", "container=one"], "{{.Action}} {{.TimeNano}}");
    assert!(after.starts_with(&before), "{before}\n{after}");
    assert_eq!(
        after[before.len()..].lines().filter(|line| line.starts_with("destroy ")).count(),
        1,
        "{after}"
    );
    // One that is asked to stop has written all it has told.
    house.engine.terminate();
    let file = std::fs::read_to_string(house.engine.directory().join("data/events.jsonl")).expect("the file");
    assert!(file.ends_with('\n') && file.contains("\"destroy\""), "{file}");
    house.engine.run();
    assert_eq!(house.events(&["--filter", "container=one"], "{{.Action}} {{.TimeNano}}"), after);
}
