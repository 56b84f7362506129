//! What is saved, by us and by others, and loaded again; also what is damaged.

use super::*;

#[test]
fn saving_and_loading_again() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(one.path());
    let image = load(&store, &two_layers()).unwrap().remove(0);
    import(&store, "other:x", &[("f", "1")]);
    let unknown = store.images().save(&["two:1".into(), "none".into()], &[], std::io::sink());
    assert_eq!(unknown.unwrap_err().to_string(), "No such image: none:latest");
    let save = |store: &Store| {
        let mut bytes = Vec::new();
        store.images().save(&["two:1".into(), "other:x".into()], &[], &mut bytes).unwrap();
        bytes
    };
    let saved = save(&store);
    assert_eq!(saved, save(&store), "the same bytes each time");
    let other = open(two.path());
    let mut events = Vec::new();
    let loaded = other.images().load(&saved[..], &[], &mut |event| events.push(event)).unwrap();
    assert_eq!(loaded.len(), 2);
    assert_eq!(loaded[0].id, image.id);
    assert_eq!(loaded[0].manifest, image.manifest, "the manifest came along");
    assert!(events.contains(&LoadEvent::Tagged(Reference::parse("two:1").unwrap())));
    assert_eq!(events.iter().filter(|event| matches!(event, LoadEvent::Layer { .. })).count(), 3);
    assert_eq!(save(&other), saved);
    assert_clean(two.path());
}

#[test]
fn damaged_archives_leave_nothing() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let good = two_layers();
    let replaced = |from: &str, to: &str| {
        let at = good.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let mut bytes = good.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    let lower = tar(&[("a/", ""), ("a/gone", "1"), ("a/stays", "2"), ("d/", ""), ("d/old", "3")]);
    let wrong = format!("sha256:{}", "0".repeat(64));
    for (what, bytes, text) in [
        ("truncated", good[..good.len() / 2 + 100].to_vec(), "truncated"),
        ("no manifest", tar(&[("x", "y")]), "unrecognized image format"),
        ("wrong diff id", replaced(Digest::of(&lower).as_str(), &wrong), "digest mismatch"),
        ("missing layer", replaced("u/layer.tar\"]", "v/layer.tar\"]"), "v/layer.tar is missing"),
        ("bad json", replaced("[{\"Config\"", "[{\"Config:"), "manifest.json"),
        (
            "blob under a false name",
            tar(&[(&format!("blobs/sha256/{}", "0".repeat(64)), "x")]),
            "digest mismatch",
        ),
    ] {
        let error = load(&store, &bytes).unwrap_err().to_string();
        assert!(error.contains(text), "{what}: {error}");
        assert!(store.images().list().is_empty(), "{what}");
        assert_clean(root.path());
        assert_eq!(fs::read_dir(root.path().join("content/blobs/sha256")).unwrap().count(), 0, "{what}");
        assert_eq!(fs::read_dir(root.path().join("snapshots/overlay/layers")).unwrap().count(), 0, "{what}");
    }
    let truncated = tar(&[("f", &"x".repeat(5000))]);
    let error = store
        .images()
        .import(Cursor::new(truncated[..3000].to_vec()), &ImportOptions::default())
        .unwrap_err();
    assert!(error.to_string().contains("truncated"), "{error}");
    assert_clean(root.path());
}

#[test]
fn skopeo_and_we_read_each_other() {
    if Command::new("skopeo").arg("--version").output().is_err() {
        // Debian has it; elsewhere this is not our bug.
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let work = tempfile::tempdir().unwrap();
    let store = open(&root.path().join("data"));
    let image = load(&store, &two_layers()).unwrap().remove(0);
    let ours = work.path().join("ours.tar");
    store.images().save(&["two:1".into()], &[], File::create(&ours).unwrap()).unwrap();
    let skopeo = |from: &str, to: &str| {
        let output = Command::new("skopeo").args(["--insecure-policy", "copy", from, to]).output().unwrap();
        assert!(output.status.success(), "{from} -> {to}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let at = |name: &str| work.path().join(name).display().to_string();
    skopeo(&format!("docker-archive:{}", ours.display()), &format!("oci:{}:two", at("layout")));
    skopeo(&format!("oci:{}:two", at("layout")), &format!("oci-archive:{}:quay.io/me/two:2", at("oci.tar")));
    skopeo(&format!("oci:{}:two", at("layout")), &format!("docker-archive:{}:three:3", at("docker.tar")));
    for (file, name) in [("oci.tar", "quay.io/me/two:2"), ("docker.tar", "three:3")] {
        let other = open(&root.path().join(file));
        let loaded = load(&other, &fs::read(work.path().join(file)).unwrap()).unwrap().remove(0);
        assert_eq!(other.images().resolve(name).unwrap().id, loaded.id);
        let diff_ids =
            |image: &Image| image.layers.iter().map(|layer| layer.diff_id.clone()).collect::<Vec<_>>();
        assert_eq!(diff_ids(&loaded), diff_ids(&image), "{file}");
        assert_eq!(names_below(other.snapshots().open_image(&loaded).unwrap()), ["a", "d"]);
    }
}

/// What every start of a container pays: three directories, a link, and no record.

#[test]
fn a_link_entry_named_like_a_blob_does_no_harm() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let mut archive = TarWriter::new(Vec::new());
    let link = FileEntry {
        kind: Kind::Symlink,
        link: b"/etc/passwd".to_vec(),
        ..FileEntry::file("manifest.json", 0o644, 0)
    };
    archive.append(&link, std::io::empty()).unwrap();
    assert!(
        load(&store, &archive.finish().unwrap())
            .unwrap_err()
            .to_string()
            .contains("unrecognized image format")
    );
}
