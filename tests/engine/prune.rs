//! Removing what nothing uses.

use std::io::Write;
use std::process::Stdio;

use crate::House;

#[test]
fn containers_and_images_that_nothing_uses_go() {
    let house = House::new();
    house.ok(&["run", "-d", "--name", "runs", "bb", "sleep", "1000"]);
    house.ok(&["run", "--name", "ended", "-l", "keep=yes", "bb", "sh", "-c", "head -c 5000 /dev/zero > /x"]);
    house.ok(&["create", "--name", "made", "bb", "true"]);
    // Nobody agrees: nothing is done.
    let mut child = house.engine.client("wharf");
    let child = child.args(["container", "prune"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.expect("prune");
    child.stdin.take().expect("piped").write_all(b"n\n").expect("answer");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] "
    );
    assert!(output.status.success());
    assert_eq!(house.ok(&["ps", "-aq"]).lines().count(), 3);

    let made = house.inspect("made", "{{.Id}}");
    let said = house.ok(&["container", "prune", "-f", "--filter", "label!=keep"]);
    assert_eq!(said, format!("Deleted Containers:\n{made}\n\nTotal reclaimed space: 0B"));
    assert_eq!(house.ok(&["container", "prune", "-f", "--filter", "until=24h"]), "Total reclaimed space: 0B");
    let (_, error) = house.fails(&["container", "prune", "-f", "--filter", "bogus=1"]);
    assert_eq!(error, "Error response from daemon: invalid filter 'bogus'\n");

    // An image without a name, one without a use, and one that is used.
    house.import(&["LABEL a=b"]);
    let tar = house.directory.path().join("busybox.tar").display().to_string();
    house.ok(&["import", &tar, "unused:one"]);
    house.ok(&["rm", "-f", "runs"]);
    house.ok(&["run", "-d", "--name", "runs", "bb", "sleep", "1000"]);
    let said = house.ok(&["image", "prune", "-f"]);
    assert!(said.ends_with("Total reclaimed space: 0B"), "one container still has it: {said}");
    let ended = house.inspect("ended", "{{.Id}}");
    let said = house.ok(&["system", "prune", "-f"]);
    assert!(said.starts_with(&format!("Deleted Containers:\n{ended}\n\n")), "{said}");
    assert!(said.contains("Deleted Images:\ndeleted: sha256:"), "{said}");
    assert!(!said.contains("unused:one"), "{said}");
    let said = house.ok(&["image", "prune", "-a", "-f"]);
    assert!(said.contains("untagged: unused:one\ndeleted: sha256:"), "{said}");
    assert_eq!(house.ok(&["images", "--format", "{{.Repository}}:{{.Tag}}"]), "bb:latest");
    let seen = house.events(&["--filter", "event=prune"], "{{.Type}} {{json .Actor.Attributes}}");
    assert!(seen.lines().any(|line| line.starts_with("container {\"reclaimed\":\"5")), "{seen}");
    assert!(seen.lines().any(|line| line.starts_with("image {\"reclaimed\":\"")), "{seen}");
    let (_, error) = house.fails(&["system", "prune", "-f", "--filter", "bogus=1"]);
    assert!(error.contains("invalid filter 'bogus'"), "{error}");
}
