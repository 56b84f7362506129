//! Devices by the names that their makers' files give them.

use crate::House;

#[test]
fn a_named_device_brings_what_it_needs() {
    let specs = tempfile::tempdir().expect("make a directory");
    let (one, two) = (specs.path().join("one"), specs.path().join("two"));
    for directory in [&one, &two] {
        std::fs::create_dir(directory).expect("make a directory");
    }
    std::fs::write(specs.path().join("library"), "of the driver\n").expect("write a file");
    let library = specs.path().join("library").display().to_string();
    let json = format!(
        r#"{{"cdiVersion": "0.6.0", "kind": "example.com/thing",
            "containerEdits": {{"env": ["THINGS=1"], "mounts": [{{"hostPath": "{library}", "containerPath": "/lib/thing", "options": ["ro", "bind"]}}]}},
            "devices": [{{"name": "a", "containerEdits": {{"deviceNodes": [{{"path": "/dev/thing", "hostPath": "/dev/full"}}]}}}}]}}"#
    );
    std::fs::write(one.join("thing.json"), json).expect("write a specification");
    let yaml = "cdiVersion: 0.6.0\nkind: example.com/other\ndevices:\n- name: b\n  containerEdits:\n    env: [OTHER=2]\n";
    std::fs::write(two.join("other.yaml"), yaml).expect("write a specification");
    let flags = [&one, &two].map(|directory| format!("--cdi-spec-dir={}", directory.display()));
    let house = House::with(&flags.each_ref().map(String::as_str));

    let line = "echo $THINGS$OTHER; stat -c %t:%T /dev/thing; cat /lib/thing; echo x > /dev/thing";
    let words = [
        "run",
        "--rm",
        "--device",
        "example.com/thing=a",
        "--device",
        "example.com/other=b",
        "bb",
        "sh",
        "-c",
        line,
    ];
    let got = house.run(&words);
    assert_eq!(got.stdout, "12\n1:7\nof the driver\n", "{got:?}");
    assert!(got.stderr.contains("No space left on device"), "it may be written to: {got:?}");
    let (_, text) = house.fails(&["run", "--rm", "--device", "example.com/thing=z", "bb", "true"]);
    assert!(
        text.contains("CDI device injection failed: unresolvable CDI devices example.com/thing=z"),
        "{text}"
    );
    let (_, text) = house.fails(&["run", "--rm", "--gpus", "all", "bb", "true"]);
    assert!(text.contains("could not select device driver \"\" with capabilities: [[gpu]]"), "{text}");
    let info = house.ok(&["info", "--format", "{{json .DiscoveredDevices}}"]);
    assert!(info.contains("example.com/thing=a") && info.contains("example.com/other=b"), "{info}");
}
