//! The store on a real file system, as root: one suite for both drivers, archives of others, faults.

mod archives;
mod snapshots;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Cursor, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use archive::{FileEntry, Kind, TarWriter};
use oci::{Digest, Reference};
use store::builtin::Builtin;
use store::{Access, Deleted, DriverKind, Error, Image, ImageUse, ImportOptions, LoadEvent, Root, Store};

fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    for (name, data) in files {
        match name.strip_suffix('/') {
            Some(_) => tar.append(&FileEntry::directory(name, 0o755), std::io::empty()).unwrap(),
            None => tar.append(&FileEntry::file(name, 0o644, data.len() as u64), data.as_bytes()).unwrap(),
        }
    }
    tar.finish().unwrap()
}

fn open(root: &Path) -> Store {
    let store = Store::open(root).unwrap();
    assert!(store.warnings().is_empty(), "{:?}", store.warnings());
    store
}

fn import(store: &Store, name: &str, files: &[(&str, &str)]) -> Arc<Image> {
    let options = ImportOptions {
        reference: Some(Reference::parse(name).unwrap()),
        created: Some("2024-01-01T00:00:00Z".into()),
        ..ImportOptions::default()
    };
    store.images().import(Cursor::new(tar(files)), &options).unwrap()
}

/// A docker-archive of two layers, the upper of which hides and replaces.
fn two_layers() -> Vec<u8> {
    let lower = tar(&[("a/", ""), ("a/gone", "1"), ("a/stays", "2"), ("d/", ""), ("d/old", "3")]);
    let upper = tar(&[("a/", ""), ("a/.wh.gone", ""), ("d/", ""), ("d/.wh..wh..opq", ""), ("d/new", "4")]);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Cmd":["x"]}},"rootfs":{{"type":"layers","diff_ids":["{}","{}"]}}}}"#,
        Digest::of(&lower),
        Digest::of(&upper)
    );
    let manifest = r#"[{"Config":"c.json","RepoTags":["two:1"],"Layers":["l/layer.tar","u/layer.tar"]}]"#;
    let mut all = TarWriter::new(Vec::new());
    for (name, bytes) in [
        ("l/layer.tar", &lower[..]),
        ("c.json", config.as_bytes()),
        ("u/layer.tar", &upper),
        ("manifest.json", manifest.as_bytes()),
    ] {
        all.append(&FileEntry::file(name, 0o644, bytes.len() as u64), bytes).unwrap();
    }
    all.finish().unwrap()
}

fn load(store: &Store, bytes: &[u8]) -> store::Result<Vec<Arc<Image>>> {
    store.images().load(bytes, &[], &mut |_| {})
}

fn names_below(fd: impl AsFd) -> Vec<String> {
    let mut names: Vec<String> = rustix::fs::Dir::read_from(fd)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name != "." && name != "..")
        .collect();
    names.sort();
    names
}

fn open_below(fd: impl AsFd, path: &str) -> File {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::openat(fd, path, flags, rustix::fs::Mode::empty()).unwrap().into()
}

/// Nothing half-made is left below the data root.
fn assert_clean(root: &Path) {
    for dir in ["content/ingest", "snapshots/overlay/tmp"] {
        let left: Vec<_> = fs::read_dir(root.join(dir)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn import_keeps_config_and_survives_reopening() {
    let root = tempfile::tempdir().unwrap();
    let plain = tar(&[("etc/", ""), ("etc/passwd", "root:x:0:0::/:/bin/sh\n")]);
    let options = ImportOptions {
        reference: Some(Reference::parse("me/app:1").unwrap()),
        changes: vec!["CMD [\"/bin/sh\"]".into(), "ENV A=b".into()],
        message: Some("hello".into()),
        ..ImportOptions::default()
    };
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&plain).unwrap();
    let id = {
        let store = open(root.path());
        let mut ids = Vec::new();
        for bytes in [plain.clone(), gzip.finish().unwrap(), zstd, xz.finish().unwrap()] {
            let image = store.images().import(Cursor::new(bytes), &options).unwrap();
            assert_eq!(image.layers[0].diff_id, Digest::of(&plain));
            assert_eq!(image.size, 22);
            ids.push(image.id.clone());
        }
        assert_clean(root.path());
        assert_eq!(
            fs::read_dir(root.path().join("snapshots/overlay/layers")).unwrap().count(),
            1,
            "one chain id, one layer"
        );
        ids.pop().unwrap()
    };
    let store = open(root.path());
    let image = store.images().resolve("me/app:1").unwrap();
    assert_eq!(image.id, id);
    assert_eq!(image.config.config.cmd.as_ref().unwrap(), &["/bin/sh"]);
    assert_eq!(image.config.history[0].comment.as_deref(), Some("hello"));
    assert_eq!(store.images().names(&id), [Reference::parse("me/app:1").unwrap()]);
}

#[test]
fn resolving() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let a = import(&store, "a", &[("a", "a")]);
    let images = store.images();
    for text in
        ["a", "a:latest", "docker.io/library/a", a.id.as_str(), a.id.hex(), a.id.short(), a.manifest.as_str()]
    {
        assert_eq!(images.resolve(text).unwrap().id, a.id, "{text}");
    }
    assert_eq!(images.resolve("b").unwrap_err().to_string(), "No such image: b:latest");
    assert_eq!(images.resolve("b:2").unwrap_err().to_string(), "No such image: b:2");
    assert!(images.resolve("A").unwrap_err().to_string().contains("must be lowercase"));
    let mut n = 0;
    // Seventeen ids cannot differ in their first digit.
    while images.list().len() < 17 {
        import(&store, "many", &[("n", &n.to_string())]);
        n += 1;
    }
    let ambiguous = "0123456789abcdef"
        .chars()
        .find(|c| images.list().iter().filter(|image| image.id.hex().starts_with(*c)).count() > 1)
        .unwrap();
    let error = images.resolve(&format!("sha256:{ambiguous}")).unwrap_err();
    assert!(error.to_string().starts_with("multiple IDs found with provided prefix: "), "{error}");
    assert_eq!(images.names(&images.resolve("many").unwrap().id).len(), 1, "the name moved to the newest");
}

#[test]
fn deleting_as_docker_does() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let images = store.images();
    let image = import(&store, "a:1", &[("a", "a")]);
    images.tag(&image.id, &Reference::parse("a:2").unwrap()).unwrap();
    images.tag(&image.id, &Reference::parse("b").unwrap()).unwrap();
    let nobody = |_: &Digest| Vec::new();
    let short = image.id.short();
    let error = images.delete(short, false, true, &nobody).unwrap_err().to_string();
    let expected = format!(
        "conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
    );
    assert_eq!(error, expected);
    assert_eq!(images.delete("a:2", false, true, &nobody).unwrap(), [Deleted::Untagged("a:2".into())]);
    images.delete("b", false, true, &nobody).unwrap();
    let container = "0123456789abcdef".repeat(4);
    let used = |running| {
        let container = container.clone();
        move |_: &Digest| vec![ImageUse { container: container.clone(), running }]
    };
    let error = images.delete("a:1", false, true, &used(false)).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "conflict: unable to remove repository reference \"a:1\" (must force) - container 0123456789ab is using its referenced image {short}"
        )
    );
    let error = images.delete(short, false, true, &used(false)).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "conflict: unable to delete {short} (must be forced) - image is being used by stopped container 0123456789ab"
        )
    );
    let error = images.delete(short, true, true, &used(true)).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "conflict: unable to delete {short} (cannot be forced) - image is being used by running container 0123456789ab"
        )
    );
    let deleted = images.delete("a:1", false, true, &nobody).unwrap();
    assert_eq!(
        deleted,
        [
            Deleted::Untagged("a:1".into()),
            Deleted::Image(image.id.clone()),
            Deleted::Layer(image.layers[0].chain_id.clone())
        ]
    );
    assert!(images.list().is_empty());
    assert_eq!(
        fs::read_dir(root.path().join("content/blobs/sha256")).unwrap().count(),
        0,
        "all blobs are gone"
    );
    assert_eq!(fs::read_dir(root.path().join("snapshots/overlay/layers")).unwrap().count(), 0);
}

#[test]
fn a_container_keeps_its_layers() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let image = load(&store, &two_layers()).unwrap().remove(0);
    store.snapshots().prepare("c", &image).unwrap();
    let used = |_: &Digest| vec![ImageUse { container: "c".into(), running: false }];
    store.images().delete("two:1", true, true, &used).unwrap();
    let view = store.snapshots().open_root("c", Access::Read).unwrap();
    assert_eq!(names_below(&view), ["a", "d"]);
    drop(view);
    drop(store);
    let store = open(root.path());
    store.images().collect().unwrap();
    assert_eq!(names_below(store.snapshots().open_root("c", Access::Read).unwrap()), ["a", "d"]);
    store.snapshots().remove("c").unwrap();
    assert_eq!(store.images().collect().unwrap().len(), 2);
}

#[test]
fn eight_at_once() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let bytes = two_layers();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (store, bytes) = (&store, &bytes);
            scope.spawn(move || {
                for round in 0..5 {
                    let image = load(store, bytes).unwrap().remove(0);
                    let container = format!("c{thread}-{round}");
                    store.snapshots().prepare(&container, &image).unwrap();
                    store.images().collect().unwrap();
                    let view = store.snapshots().open_root(&container, Access::Read).unwrap();
                    assert_eq!(names_below(view), ["a", "d"]);
                    store.snapshots().remove(&container).unwrap();
                }
            });
        }
    });
    assert_eq!(store.images().list().len(), 1);
    assert_eq!(fs::read_dir(root.path().join("snapshots/overlay/layers")).unwrap().count(), 2);
    assert_clean(root.path());
}

#[test]
fn the_second_engine_is_told_about_the_first() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let error = Store::open(root.path()).unwrap_err().to_string();
    let path = fs::canonicalize(root.path()).unwrap();
    assert_eq!(
        error,
        format!("data root {} is in use by another engine (pid {})", path.display(), std::process::id())
    );
    drop(store);
    open(root.path());
}

#[test]
fn a_layer_of_an_earlier_boot_that_was_not_synced_is_unpacked_again() {
    let root = tempfile::tempdir().unwrap();
    let image = {
        let store = open(root.path());
        import(&store, "a", &[("file", "content")])
    };
    // What a machine leaves that stopped before the background sync: an old boot id, and an empty file.
    let database = rusqlite::Connection::open(root.path().join("wharf.db")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut value: serde_json::Value = loop {
        let select = "SELECT value FROM records WHERE namespace = 'layers.overlay'";
        let value: String = database.query_row(select, [], |row| row.get(0)).unwrap();
        let value: serde_json::Value = serde_json::from_str(&value).unwrap();
        // The background sync has passed.
        if value.get("unsynced_since_boot").is_none() {
            break value;
        }
        assert!(Instant::now() < deadline, "never synced");
        std::thread::yield_now();
    };
    value["unsynced_since_boot"] = "another".into();
    database
        .execute("UPDATE records SET value = ?1 WHERE namespace = 'layers.overlay'", [value.to_string()])
        .unwrap();
    drop(database);
    let layers = root.path().join("snapshots/overlay/layers");
    let layer = fs::read_dir(&layers).unwrap().next().unwrap().unwrap().path();
    fs::write(layer.join("file"), "").unwrap();
    let store = Store::open(root.path()).unwrap();
    assert_eq!(store.warnings().len(), 1);
    let Root::Overlay { lower, .. } = store.snapshots().prepare("c", &image).unwrap() else { panic!() };
    assert_eq!(fs::read_to_string(lower[0].join("file")).unwrap(), "content");
}

#[test]
fn built_in_images_are_made_from_a_binary() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let builtin = |name: &str| Builtin::of(&Reference::parse(name).unwrap());
    assert_eq!(builtin("hello-world"), Some(Builtin::HelloWorld));
    assert_eq!(builtin("registry:3"), Some(Builtin::Registry));
    for other in ["hello-world:linux", "registry:2.8.3", "x.example/registry", "me/registry"] {
        assert_eq!(builtin(other), None, "{other}");
    }
    let make_as = |builtin: Builtin, name: &str| {
        let name = Reference::parse(name).unwrap().or_latest();
        builtin.make(store.images(), name, File::open("/bin/true").unwrap()).unwrap()
    };
    let make = || make_as(Builtin::HelloWorld, "hello-world");
    let image = make();
    assert_eq!(make().id, image.id);
    assert_eq!(store.images().resolve("hello-world").unwrap().id, image.id);
    let view = store.snapshots().open_image(&image).unwrap();
    assert_eq!(names_below(&view), ["hello"]);
    assert_eq!(
        open_below(&view, "hello").metadata().unwrap().len(),
        fs::metadata("/bin/true").unwrap().len()
    );
    let registry = make_as(Builtin::Registry, "registry");
    assert_eq!(make_as(Builtin::Registry, "registry:2").id, registry.id);
    let view = store.snapshots().open_image(&registry).unwrap();
    assert_eq!(names_below(&view), ["bin", "entrypoint.sh", "etc", "tmp", "var"]);
}

#[test]
fn a_full_disk_is_an_error_and_nothing_else() {
    // The small disk is mounted in a mount namespace of its own, which ends with the process.
    let dir = tempfile::tempdir().unwrap();
    let script =
        r#"mount -t tmpfs -o size=4m none "$SMALL_DISK" && exec "$0" --exact on_a_small_disk --ignored"#;
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .env("SMALL_DISK", dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "started by a_full_disk_is_an_error_and_nothing_else"]
fn on_a_small_disk() {
    let root = std::path::PathBuf::from(std::env::var_os("SMALL_DISK").unwrap());
    let store = open(&root);
    import(&store, "small", &[("a", "a")]);
    let big = "x".repeat(6 << 20);
    let error =
        store.images().import(Cursor::new(tar(&[("big", &big)])), &ImportOptions::default()).unwrap_err();
    assert!(error.to_string().contains("No space left on device"), "{error}");
    assert_clean(&root);
    assert_eq!(store.images().list().len(), 1);
    import(&store, "another", &[("b", "b")]);
}

#[test]
fn preparing_makes_little_and_writes_no_record() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    load(&store, &two_layers()).unwrap();
    let database = || {
        let of =
            |name: &str| fs::metadata(root.path().join(name)).map(|metadata| metadata.len()).unwrap_or(0);
        (of("wharf.db"), of("wharf.db-wal"))
    };
    let layers = || fs::read_dir(root.path().join("snapshots/overlay/layers")).unwrap().count();
    let image = store.images().resolve("two:1").unwrap();
    // The layers' own records may still be on their way, behind the background sync.
    let deadline = Instant::now() + Duration::from_secs(30);
    let name = (0..)
        .map(|n| format!("c{n}"))
        .find(|name| {
            let before = (database(), layers());
            store.snapshots().prepare(name, &image).unwrap();
            let same = (database(), layers()) == before;
            assert!(same || Instant::now() < deadline, "each of them changes the database");
            same
        })
        .unwrap();
    let made = root.path().join("snapshots/overlay/containers").join(name);
    let mut names: Vec<_> =
        fs::read_dir(made).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["top", "upper", "work"]);
}

/// Gone from its place at once, and from the disk soon; at the latest when the data root is opened again.
#[test]
fn what_is_discarded_is_out_of_the_way() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let image = load(&store, &two_layers()).unwrap().remove(0);
    let other = root.path().join("containers/c");
    fs::create_dir_all(other.join("below")).unwrap();
    store.snapshots().prepare("c", &image).unwrap();
    let nowhere = root.path().join("nowhere");
    store.snapshots().discard("c", &[other.clone(), nowhere.clone()]).unwrap();
    assert!(!other.exists() && store.snapshots().list().is_empty());
    store.snapshots().discard("c", &[other, nowhere]).unwrap();
    let staging = root.path().join("snapshots/overlay/tmp");
    let deadline = Instant::now() + Duration::from_secs(60);
    while fs::read_dir(&staging).unwrap().count() > 0 {
        assert!(Instant::now() < deadline, "it stays in {}", staging.display());
        std::thread::sleep(Duration::from_millis(2));
    }
    store.snapshots().prepare("c", &image).unwrap();
}
