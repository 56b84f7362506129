//! The other storage driver, information.

use crate::House;

#[test]
fn vfs_does_everything() {
    let house = House::with(&["--storage-driver=vfs"]);
    assert_eq!(house.ok(&["info", "--format", "{{.Driver}}"]), "vfs");
    house.ok(&["run", "-d", "--name", "ca", "bb", "sh", "-c", "echo x > /file; sleep 1000"]);
    house.ok(&["exec", "ca", "sh", "-c", "until [ -e /file ]; do sleep 0.05; done; rm /etc/passwd"]);
    house.ok(&["restart", "-t", "0", "ca"]);
    assert_eq!(
        house.ok(&["exec", "ca", "sh", "-c", "ls /etc"]).lines().filter(|line| *line == "passwd").count(),
        0
    );
    assert!(house.sh(&[], "cat /etc/passwd").contains("root"), "the image has changed");
    house.ok(&["rm", "-f", "ca"]);
    house.ok(&["rmi", "bb"]);
    assert_eq!(house.ok(&["images", "-q"]), "");
}

#[test]
fn a_container_knows_the_manifest_of_its_image() {
    let house = House::new();
    house.ok(&["create", "--name", "ca", "bb", "true"]);
    let of_image = house.ok(&[
        "image",
        "inspect",
        "-f",
        "{{with .Descriptor}}{{.Digest}} {{.MediaType}} {{.Size}}{{end}} {{.Os}}/{{.Architecture}}",
        "bb",
    ]);
    let asked = "{{with .ImageManifestDescriptor}}{{.Digest}} {{.MediaType}} {{.Size}} \
                 {{.platform.os}}/{{.platform.architecture}}{{end}}";
    assert_eq!(house.inspect("ca", asked), of_image);
    assert!(of_image.ends_with(&house.ok(&["ps", "-a", "--format", " {{.Platform}}"])), "{of_image}");
    // The image may go before the container.
    house.ok(&["rmi", "-f", "bb"]);
    assert_eq!(house.inspect("ca", asked), of_image);
}

#[test]
fn info_and_version_are_true() {
    let house = House::with(&["--label=a=b"]);
    house.ok(&["run", "-d", "--name", "ca", "bb", "sleep", "1000"]);
    house.ok(&["create", "bb", "true"]);
    let got = house.ok(&["info", "--format", "{{.Containers}} {{.ContainersRunning}} {{.ContainersStopped}} {{.Images}} {{.Driver}} {{.Labels}} {{.LiveRestoreEnabled}} {{.LoggingDriver}}"]);
    assert_eq!(got, "2 1 1 1 overlay2 [a=b] true json-file");
    let status = house.ok(&["info", "--format", "{{json .DriverStatus}}"]);
    assert!(status.contains("Backing Filesystem") && !status.contains("<unknown>"), "{status}");
    let components =
        house.ok(&["version", "--format", "{{range .Server.Components}}{{.Name}} {{.Version}};{{end}}"]);
    assert!(components.contains(&format!("Wharf {};", env!("CARGO_PKG_VERSION"))), "{components}");
    let commit = house.ok(&["version", "--format", "{{.Server.GitCommit}}"]);
    assert!(!commit.is_empty() && commit != "wharf", "{commit}");
}
