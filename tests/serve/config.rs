//! `config.yml`: one file, and one directory, for Docker's registry and for ours.

use std::path::Path;
use std::process::Command;

use testkit::Output;

use crate::kit::{Served, binary, digest_of, good, layout, put, skopeo, tar_of};

#[test]
fn a_file_and_a_directory_of_dockers_registry_are_taken_over_and_given_back() {
    let directory = testkit::directory();
    let home = directory.path();
    let configuration = format!(
        "version: 0.1\nlog:\n  fields:\n    service: registry\nstorage:\n  cache:\n    blobdescriptor: inmemory\n  \
         filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:{{port}}\n  headers:\n    \
         X-Content-Type-Options: [nosniff]\nhealth:\n  storagedriver:\n    enabled: true\n    interval: 10s\n    threshold: 3\n",
        home.join("data").display()
    );
    let dockers = Path::new("docker-registry");
    let (old, new) = (home.join("old"), home.join("new"));
    let before = layout(&old, &tar_of("a", b"before"));
    let after = layout(&new, &tar_of("b", b"after"));
    {
        let theirs = Served::start(dockers, &home.join("theirs"), &configuration);
        put(home, &old, &format!("{}/team/app:1", theirs.host()));
    }
    {
        let ours = Served::start(binary(), &home.join("ours"), &configuration);
        let host = ours.host();
        assert_eq!(digest_of(home, &format!("{host}/team/app:1")), before.as_str());
        assert_eq!(ours.ask("GET", "/readyz", b"").0, 200);
        put(home, &new, &format!("{host}/team/app:2"));
        // Each line has the field of the file.
        assert!(ours.log().lines().any(|line| line.contains("\"service\":\"registry\"")), "{}", ours.log());
        good(skopeo(home, &["delete", "--tls-verify=false", &format!("docker://{host}/team/app:1")]));
    }
    // With Docker's command line; what is young stays unless one says otherwise.
    let file = home.join("ours/config.yml");
    let collect = |args: &[&str]| {
        let mut command = Command::new(binary());
        good(Output::of(command.args(["registry", "garbage-collect"]).arg(&file).args(args)))
    };
    assert!(collect(&["--dry-run", "--delete-untagged"]).starts_with("0 blobs"));
    let would = collect(&["--dry-run", "--grace", "0s", "-m"]);
    assert!(would.lines().any(|line| line == before.as_str()), "{would}");
    assert!(!would.contains(after.hex()), "{would}");
    collect(&["--grace", "0s", "-m", "-q"]);
    let theirs = Served::start(dockers, &home.join("theirs"), &configuration);
    assert_eq!(digest_of(home, &format!("{}/team/app:2", theirs.host())), after.as_str());
}

#[test]
fn what_cannot_be_honoured_ends_the_start_with_its_name() {
    let directory = testkit::directory();
    let file = directory.path().join("config.yml");
    std::fs::write(&file, "version: 0.1\nstorage:\n  gcs:\n    bucket: b\n").unwrap();
    let refused = Output::of(Command::new(binary()).args(["registry", "serve"]).arg(&file));
    let expected = "config.yml:3: storage.gcs is not supported: ";
    assert!(refused.status == 1 && refused.stderr.contains(expected), "{refused:?}");
    let missing = Output::of(Command::new(binary()).args(["registry", "serve", "/nowhere/config.yml"]));
    assert!(missing.stderr.contains("read the configuration /nowhere/config.yml: "), "{missing:?}");
    let mut command = Command::new(binary());
    command.args(["registry", "garbage-collect"]).env("REGISTRY_HTTP_DRAINTIMEOUT", "soon");
    let refused = Output::of(&mut command);
    assert!(refused.stderr.contains("REGISTRY_HTTP_DRAINTIMEOUT: http.draintimeout: soon"), "{refused:?}");
}
