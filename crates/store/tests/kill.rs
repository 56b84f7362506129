//! `kill -9` in the middle of an import or load, at growing distances from its start: the next engine opens
//! the data root, nothing half-made is left, and what was acknowledged is there.

use std::fs;
use std::io::{BufRead, BufReader, Cursor, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use archive::{FileEntry, TarWriter};
use oci::Reference;
use store::{ImportOptions, Store};

fn tar(seed: u32) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    for n in 0..200 {
        let data = format!("{seed}-{n}-").repeat(500);
        tar.append(&FileEntry::file(&format!("d{}/f{n}", n % 10), 0o644, data.len() as u64), data.as_bytes())
            .unwrap();
    }
    tar.finish().unwrap()
}

/// Imports, saves and loads for ever; prints the name of each image once it is acknowledged.
#[test]
#[ignore = "started by killed_at_any_moment"]
fn worker() {
    let root = std::env::var_os("STORE_ROOT").unwrap();
    let first: u32 = std::env::var("STORE_SEED").unwrap().parse().unwrap();
    let store = Store::open(Path::new(&root)).unwrap();
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nready").unwrap();
    for seed in first..=u32::MAX {
        let name = Reference::parse(&format!("image:{seed}")).unwrap();
        let options = ImportOptions { reference: Some(name.clone()), ..ImportOptions::default() };
        let image = store.images().import(Cursor::new(tar(seed)), &options).unwrap();
        writeln!(out, "have {}", name.familiar()).unwrap();
        let mut saved = Vec::new();
        store.images().save(&[name.familiar()], &[], &mut saved).unwrap();
        store.images().delete(&name.familiar(), false, true, &|_| Vec::new()).unwrap();
        store.images().load(&saved[..], &[], &mut |_| {}).unwrap();
        writeln!(out, "loaded {}", name.familiar()).unwrap();
        store.snapshots().prepare(&format!("c{seed}"), &image).unwrap();
        store.snapshots().remove(&format!("c{seed}")).unwrap();
    }
}

#[test]
fn killed_at_any_moment() {
    let root = tempfile::tempdir().unwrap();
    for round in 0..40u32 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "worker", "--ignored", "--nocapture"])
            .env("STORE_ROOT", root.path())
            .env("STORE_SEED", (round * 1000).to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "ready"));
        // Not a synchronisation: the moment of the kill is what varies.
        std::thread::sleep(Duration::from_millis(u64::from(round) * 3));
        child.kill().unwrap();
        child.wait().unwrap();
        let acknowledged: Vec<String> = lines.map_while(Result::ok).collect();

        let store = Store::open(root.path()).unwrap();
        assert!(store.warnings().is_empty(), "round {round}: {:?}", store.warnings());
        for dir in ["content/ingest", "snapshots/overlay/tmp"] {
            assert_eq!(fs::read_dir(root.path().join(dir)).unwrap().count(), 0, "round {round}: {dir}");
        }
        // The last line says which image is there for certain; after "have" it may be on its way through rmi.
        let loaded = acknowledged.iter().filter_map(|line| line.strip_prefix("loaded "));
        for name in loaded {
            let image = store.images().resolve(name).unwrap_or_else(|error| panic!("round {round}: {error}"));
            assert!(store.snapshots().open_image(&image).is_ok(), "round {round}: {name}");
        }
        for image in store.images().list() {
            for layer in &image.layers {
                assert!(store.content().contains(&layer.descriptor.digest), "round {round}: {}", image.id);
            }
        }
        store.images().collect().unwrap();
        let layers = fs::read_dir(root.path().join("snapshots/overlay/layers")).unwrap().count();
        assert_eq!(layers, store.images().list().len(), "round {round}: one layer per image");
        let blobs = fs::read_dir(root.path().join("content/blobs/sha256")).unwrap().count();
        assert_eq!(blobs, 3 * store.images().list().len(), "round {round}: layer, config, manifest");
        for container in store.snapshots().list() {
            store.snapshots().remove(&container).unwrap();
        }
    }
}
