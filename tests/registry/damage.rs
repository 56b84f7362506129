//! What a registry, a disk, or somebody else at work gets wrong: nothing half-made is listed, and what was good stays good.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;

use oci::{Digest, media_type};
use testkit::Engine;

use crate::kit::{Layout, Registry, binary, busybox_tar, engine, good, noise, tar_of};

#[test]
fn what_is_damaged_is_refused_and_what_was_kept_of_it_is_fetched_again() {
    let directory = testkit::directory();
    let registry = Registry::start();
    let tars = [busybox_tar(), tar_of(&[("big", &noise(5, 2 << 20))])];
    let image = Layout::make(&directory.path().join("image"), "amd64", &tars);
    registry.put(&image, "bb:1");
    let engine = engine(&directory.path().join("engine"));
    let name = format!("{}/bb:1", registry.host());
    let layer = &image.layers[1];
    let blob = registry.blob(layer);
    let whole = std::fs::read(&blob).unwrap();
    let refused = |expected: String| {
        let said = engine.wharf(&["pull", "-q", &name]);
        assert_eq!((said.status, said.stderr), (1, expected));
        assert_eq!(good(engine.wharf(&["images", "-aq"])), "", "half an image is listed");
    };

    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    std::fs::write(&blob, &flipped).unwrap();
    refused(format!("filesystem layer verification failed for digest {layer}\n"));

    let half = whole.len() / 2;
    std::fs::write(&blob, &whole[..half]).unwrap();
    let size = whole.len();
    refused(format!("{layer}: the registry has {half} bytes where the manifest says {size}\n"));

    // A copy to another registry notices as well, before that one is told that it is whole.
    std::fs::write(&blob, &flipped).unwrap();
    let other = Registry::start();
    let copied = engine.wharf(&["image", "copy", &name, &format!("{}/bb:1", other.host())]);
    assert!(copied.stderr.contains(&format!("verification failed for digest {layer}")), "{copied:?}");
    assert!(!other.blob(layer).exists());

    // Of a download that broke off there is something here, and it is wrong.
    std::fs::write(&blob, &whole).unwrap();
    let kept = engine.directory().join(format!("data/content/partial/sha256-{}", layer.hex()));
    std::fs::write(kept, noise(6, size / 3)).unwrap();
    good(engine.wharf(&["pull", "-q", &name]));
    good(engine.wharf(&["run", "--rm", &name, "test", "-s", "/big"]));
}

/// Puts a manifest under a tag and its digest, as no client would.
fn put(registry: &Registry, name: &str, kind: &str, body: &str) -> Digest {
    let digest = Digest::of(body.as_bytes());
    let (repository, tag) = name.split_once(':').unwrap();
    for what in [digest.as_str(), tag] {
        let mut stream = TcpStream::connect(("127.0.0.1", registry.port)).unwrap();
        let head = format!(
            "PUT /v2/{repository}/manifests/{what} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }
    digest
}

#[test]
fn indexes_without_end_and_things_that_are_no_images_are_refused() {
    let directory = testkit::directory();
    let registry = Registry::start();
    let image = Layout::make(&directory.path().join("image"), "amd64", &[busybox_tar()]);
    registry.put(&image, "odd:1");
    let engine = engine(&directory.path().join("engine"));
    let name = |tag: &str| format!("{}/odd:{tag}", registry.host());
    let platform = serde_json::json!({"architecture": "amd64", "os": "linux"});
    // An index cannot name itself, whose digest it would have to know; but one in one in one.
    let (mut inner, mut kind, mut size) = (image.manifest.clone(), media_type::OCI_MANIFEST, 400);
    for depth in 0..6 {
        let index = serde_json::json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_INDEX,
            "manifests": [{"mediaType": kind, "digest": inner, "size": size, "platform": platform}]
        });
        let text = index.to_string();
        inner = put(&registry, &format!("odd:deep{depth}"), media_type::OCI_INDEX, &text);
        (kind, size) = (media_type::OCI_INDEX, text.len());
    }
    let says = |args: &[&str], why: &str| {
        let said = engine.wharf(args);
        assert!(said.status == 1 && said.stderr.contains(why), "{args:?}: {said:?}");
        assert_eq!(good(engine.wharf(&["images", "-aq"])), "");
    };
    let other = Registry::start();
    let there = format!("{}/odd:1", other.host());
    says(&["pull", &name("deep5")], "indexes are nested too deeply");
    says(&["image", "copy", &name("deep5"), &there], "indexes are nested too deeply");

    // A chart, or whatever else is kept in registries.
    let size = std::fs::metadata(registry.blob(&image.config)).unwrap().len();
    let thing = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": image.config, "size": size},
        "layers": []
    });
    put(&registry, "odd:chart", media_type::OCI_MANIFEST, &thing.to_string());
    says(
        &["pull", &name("chart")],
        "Encountered remote \"application/vnd.cncf.helm.config.v1+json\"(unknown) when fetching",
    );
    // It may be copied all the same: nobody has to run it for that.
    good(engine.wharf(&["image", "copy", "-q", &name("chart"), &there]));
    // One level less is an image.
    good(engine.wharf(&["pull", "-q", &name("deep1")]));
}

#[test]
fn an_image_is_deleted_while_another_with_its_layers_comes() {
    let directory = testkit::directory();
    let registry = Registry::start();
    let (bottom, shared) = (busybox_tar(), tar_of(&[("shared", &noise(1, 2 << 20))]));
    for number in 0..6 {
        let own = tar_of(&[("own", format!("{number}\n").as_bytes())]);
        let place = directory.path().join(format!("image{number}"));
        let image = Layout::make(&place, "amd64", &[bottom.clone(), shared.clone(), own]);
        registry.put(&image, &format!("app:{number}"));
    }
    let engine = engine(&directory.path().join("engine"));
    let name = |number: usize| format!("{}/app:{number}", registry.host());
    good(engine.wharf(&["pull", "-q", &name(0)]));
    for number in 1..6 {
        std::thread::scope(|scope| {
            let pulling = scope.spawn(|| good(engine.wharf(&["pull", "-q", &name(number)])));
            good(engine.wharf(&["rmi", &name(number - 1)]));
            pulling.join().unwrap();
        });
        let own =
            good(engine.wharf(&["run", "--rm", &name(number), "sh", "-c", "test -s /shared && cat /own"]));
        assert_eq!(own, number.to_string());
    }
    // The same name comes and goes at once: it is there whole, or not at all.
    for _ in 0..5 {
        std::thread::scope(|scope| {
            scope.spawn(|| engine.wharf(&["rmi", "-f", &name(5)]));
            scope.spawn(|| good(engine.wharf(&["pull", "-q", &name(5)])));
        });
        if !good(engine.wharf(&["images", "-q", &name(5)])).is_empty() {
            assert_eq!(good(engine.wharf(&["run", "--rm", &name(5), "cat", "/own"])), "5");
        }
    }
}

#[test]
fn a_pull_that_does_not_fit_is_told_and_comes_when_there_is_space() {
    let directory = testkit::directory();
    let registry = Registry::start();
    let tars = [busybox_tar(), tar_of(&[("big", &noise(7, 40 << 20))])];
    let image = Layout::make(&directory.path().join("image"), "amd64", &tars);
    registry.put(&image, "bb:1");
    // The data root is a file system of its own, which only the engine sees.
    let script = directory.path().join("wharf");
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" != daemon ]; then exec {b} \"$@\"; fi\nmkdir -p $WHARF_TEST_DIRECTORY/data\nexec unshare -m sh -c \
         'mount -t tmpfs -o size=48m none $WHARF_TEST_DIRECTORY/data && exec {b} \"$@\"' sh \"$@\"\n",
        b = binary().display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let place = directory.path().join("engine");
    std::fs::create_dir_all(&place).unwrap();
    let engine = Engine::start(&script, &place);
    let name = format!("{}/bb:1", registry.host());
    for _ in 0..2 {
        let said = engine.wharf(&["pull", "-q", &name]);
        assert_eq!(said.status, 1, "{said:?}");
        assert!(said.stderr.to_lowercase().contains("no space left on device"), "{said:?}");
        assert_eq!(good(engine.wharf(&["images", "-aq"])), "");
    }
    let pid = engine.pid().unwrap().to_string();
    let data = place.canonicalize().unwrap().join("data");
    let grown = std::process::Command::new("nsenter")
        .args(["-t", &pid, "-m", "mount", "-o", "remount,size=256m"])
        .arg(data)
        .status();
    assert!(grown.unwrap().success());
    good(engine.wharf(&["pull", "-q", &name]));
    good(engine.wharf(&["run", "--rm", &name, "test", "-s", "/big"]));
}

/// What is in an index beside images stays where it is: it is neither run nor in the way.
#[test]
fn an_index_may_name_what_nobody_knows() {
    let directory = testkit::directory();
    let registry = Registry::start();
    let image = Layout::make(&directory.path().join("image"), "amd64", &[busybox_tar()]);
    registry.put(&image, "odd:1");
    let size = |digest: &Digest| std::fs::metadata(registry.blob(digest)).unwrap().len();
    let chart = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": image.config, "size": size(&image.config)},
        "layers": []
    });
    let chart = put(&registry, "odd:chart", media_type::OCI_MANIFEST, &chart.to_string());
    let platform = serde_json::json!({"architecture": "amd64", "os": "linux"});
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_INDEX,
        "manifests": [
            // First, and for this machine: but it is no manifest that anybody could run.
            {"mediaType": "application/vnd.example.thing+json", "digest": chart, "size": size(&chart), "platform": platform},
            {"mediaType": media_type::OCI_MANIFEST, "digest": chart, "size": size(&chart)},
            {"mediaType": media_type::OCI_MANIFEST, "digest": image.manifest, "size": size(&image.manifest), "platform": platform},
            // Said twice.
            {"mediaType": media_type::OCI_MANIFEST, "digest": image.manifest, "size": size(&image.manifest), "platform": platform}
        ]
    });
    let whole = put(&registry, "odd:all", media_type::OCI_INDEX, &index.to_string());
    let mut engine = engine(&directory.path().join("engine"));
    let name = format!("{}/odd:all", registry.host());
    good(engine.wharf(&["pull", "-q", &name]));
    let digest =
        |engine: &Engine| good(engine.wharf(&["image", "inspect", "-f", "{{.Descriptor.digest}}", &name]));
    assert_eq!(digest(&engine), whole.to_string());
    good(engine.wharf(&["run", "--rm", &name, "true"]));
    engine.kill();
    engine.run();
    assert_eq!(digest(&engine), whole.to_string());
    let archive = directory.path().join("odd.tar").display().to_string();
    good(engine.wharf(&["save", "-o", &archive, &name]));
    good(engine.wharf(&["rmi", &name]));
    good(engine.wharf(&["load", "-i", &archive]));
    assert_eq!(digest(&engine), whole.to_string());
    good(engine.wharf(&["run", "--rm", &name, "true"]));
}

/// Documents that are too large, in an archive that is small: told, and not read.
#[test]
fn documents_of_a_hundred_megabytes_are_refused() {
    let directory = testkit::directory();
    let engine = engine(&directory.path().join("engine"));
    let spaces = vec![b' '; 100 << 20];
    let place = directory.path().join("layout");
    let blobs = place.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(place.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let archive = directory.path().join("large.tar.gz").display().to_string();
    let says = |why: &str| {
        let packed =
            std::process::Command::new("tar").arg("-C").arg(&place).args(["-czf", &archive, "."]).status();
        assert!(packed.unwrap().success());
        let said = engine.wharf(&["load", "-i", &archive]);
        assert!(said.status == 1 && said.stderr.contains(why), "{said:?}");
        assert_eq!(good(engine.wharf(&["images", "-aq"])), "");
        let left = std::fs::read_dir(engine.directory().join("data/content/blobs/sha256")).unwrap().count();
        assert_eq!(left, 0);
    };
    std::fs::write(place.join("index.json"), &spaces).unwrap();
    says("index.json of 104857600 bytes is too large");
    let digest = Digest::of(&spaces);
    std::fs::write(blobs.join(digest.hex()), &spaces).unwrap();
    for kind in [media_type::OCI_INDEX, media_type::OCI_MANIFEST] {
        for annotations in
            [serde_json::json!({}), serde_json::json!({"io.containerd.image.name": "docker.io/library/a:1"})]
        {
            let index = serde_json::json!({
                "schemaVersion": 2,
                "manifests": [{"mediaType": kind, "digest": digest, "size": spaces.len(), "annotations": annotations}]
            });
            std::fs::write(place.join("index.json"), index.to_string()).unwrap();
            says("of 104857600 bytes is too large");
        }
    }
}

/// Parts of one index come and the whole goes, at once: it is there with what it says, or not at all.
#[test]
fn parts_of_an_index_come_while_it_is_removed() {
    let directory = testkit::directory();
    let registry = Registry::start();
    let layers =
        |word: &str| vec![busybox_tar(), tar_of(&[("arch", word.as_bytes()), ("big", &noise(9, 1 << 20))])];
    let platforms = [("arm64", layers("arm64")), ("amd64", layers("amd64"))];
    let (index, _) = Layout::make_attested(&directory.path().join("image"), &platforms);
    registry.put(&index, "multi:1");
    registry.put(&index, "multi:2");
    let engine = engine(&directory.path().join("engine"));
    let name = |tag: u32| format!("{}/multi:{tag}", registry.host());
    for round in 0..4 {
        std::thread::scope(|scope| {
            for (tag, platform) in [(1, "linux/amd64"), (1, "linux/arm64"), (2, "linux/arm64")] {
                let (engine, name) = (&engine, name(tag));
                scope.spawn(move || good(engine.wharf(&["pull", "-q", "--platform", platform, &name])));
            }
            // What is there by then goes.
            scope.spawn(|| engine.wharf(&["rmi", "-f", &name(1)]));
            scope.spawn(|| engine.wharf(&["image", "prune", "-af"]));
        });
        for tag in [1, 2] {
            let there = ["image", "inspect", "-f", "{{.Descriptor.digest}} {{.Architecture}}", &name(tag)];
            let seen = engine.wharf(&there);
            if seen.status == 0 {
                let (digest, architecture) = seen.stdout.trim_end().split_once(' ').unwrap();
                assert_eq!(digest, index.manifest.to_string(), "round {round}");
                assert_eq!(good(engine.wharf(&["run", "--rm", &name(tag), "cat", "/arch"])), architecture);
            }
        }
    }
    // All of it can be had again, and goes.
    good(engine.wharf(&["pull", "-q", "--platform", "linux/amd64", &name(1)]));
    good(engine.wharf(&["pull", "-q", "--platform", "linux/arm64", &name(1)]));
    assert_eq!(good(engine.wharf(&["run", "--rm", &name(1), "cat", "/arch"])), "amd64");
    good(engine.wharf(&["image", "prune", "-af"]));
    assert_eq!(good(engine.wharf(&["images", "-aq"])), "");
    let left = std::fs::read_dir(engine.directory().join("data/content/blobs/sha256")).unwrap().count();
    assert_eq!(left, 0);
}
