//! Images that go while others come, are used, saved and committed: what somebody needs stays, whole.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use archive::{FileEntry, TarWriter};
use oci::{Digest, Reference};
use store::{CommitOptions, ImageUse, ImportOptions, Store};

fn tar(name: &str, text: &str) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    tar.append(&FileEntry::file(name, 0o644, text.len() as u64), text.as_bytes()).unwrap();
    tar.finish().unwrap()
}

fn import(store: &Store, name: &str, text: &str) -> Digest {
    let options =
        ImportOptions { reference: Some(Reference::parse(name).unwrap()), ..ImportOptions::default() };
    store.images().import(Cursor::new(tar("file", text)), &options).unwrap().id.clone()
}

#[test]
fn what_is_used_stays_and_the_rest_goes() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let text = "x".repeat(10_000);
    let ids: Vec<Digest> =
        (0..4).map(|n| import(&store, &format!("image{n}:1"), &format!("{n}{text}"))).collect();
    store.images().note_use(&ids[0]);
    let users = |id: &Digest| -> Vec<ImageUse> {
        let used = *id == ids[1];
        used.then(|| ImageUse { container: "c".into(), running: false }).into_iter().collect()
    };
    let plan = store.images().plan_garbage(1, &|_, id| !users(id).is_empty());
    // The first was used last, the second is in use.
    assert_eq!(plan.iter().map(|one| &one.id).collect::<Vec<_>>(), [&ids[2]]);
    assert!(plan[0].bytes > 20_000 && plan[0].bytes < 30_000, "blob and layer: {plan:?}");
    let all = store.images().plan_garbage(u64::MAX, &|_, id| !users(id).is_empty());
    assert_eq!(all.iter().map(|one| &one.id).collect::<Vec<_>>(), [&ids[2], &ids[3], &ids[0]]);
    assert_eq!(store.images().list().len(), 4, "a plan changes nothing");
    // Somebody leases one, and it is planned no more.
    let lease = store.content().lease();
    lease.hold(&ids[3]);
    assert!(store.images().remove_garbage(&ids[3], &users).unwrap().is_empty());
    assert!(!store.images().plan_garbage(u64::MAX, &|_, _| false).iter().any(|one| one.id == ids[3]));
    drop(lease);
    assert!(store.images().remove_garbage(&ids[1], &users).unwrap().is_empty());
    let before = store.images().footprint();
    assert_eq!(store.images().remove_garbage(&ids[2], &users).unwrap().len(), 2);
    store.images().collect().unwrap();
    assert_eq!(before - store.images().footprint(), plan[0].bytes);
    // When it was used is known to the next engine.
    store.images().keep_uses().unwrap();
    drop(store);
    let store = Store::open(directory.path()).unwrap();
    let plan = store.images().plan_garbage(1, &|_, _| false);
    assert_eq!(plan[0].id, ids[1]);
}

/// Containers note their use and look the image up, as the engine does; whoever finds it has it until the container is gone.
#[test]
fn nothing_that_is_used_goes_however_much_happens_at_once() {
    const WORKERS: usize = 4;
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let used: Mutex<HashMap<Digest, usize>> = Mutex::default();
    let users = |id: &Digest| -> Vec<ImageUse> {
        let used = used.lock().unwrap().contains_key(id);
        used.then(|| ImageUse { container: "c".into(), running: true }).into_iter().collect()
    };
    let (done, removed, kept) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let collecting = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                for one in store.images().plan_garbage(u64::MAX, &|_, id| !users(id).is_empty()) {
                    let lines = store.images().remove_garbage(&one.id, &users).unwrap();
                    removed.fetch_add(lines.len(), Ordering::SeqCst);
                }
                store.images().collect().unwrap();
            }
        });
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let (store, used, kept) = (&store, &used, &kept);
                scope.spawn(move || {
                    for round in 0..25 {
                        // Two workers bring in the same image each time.
                        let text = format!("{} {round}", worker / 2);
                        let name = format!("image{}:{round}", worker / 2);
                        let id = import(store, &name, &text);
                        *used.lock().unwrap().entry(id.clone()).or_default() += 1;
                        if let Some(image) = store.images().get(&id) {
                            let container = format!("c{worker}-{round}");
                            store.snapshots().prepare(&container, &image).unwrap();
                            let mut archive = Vec::new();
                            store.images().save(&[id.to_string()], &[], &mut archive).unwrap();
                            let options = CommitOptions::default();
                            store.images().commit_container(&container, &image, &options, || ()).unwrap();
                            for blob in [&image.id, &image.manifest, &image.layers[0].descriptor.digest] {
                                assert!(store.content().contains(blob), "{blob} of {name} is gone");
                            }
                            assert!(store.images().get(&id).is_some(), "{name} is gone");
                            let view = store.snapshots().open_root(&container, store::Access::Read).unwrap();
                            assert!(rustix::fs::statat(&view, "file", rustix::fs::AtFlags::empty()).is_ok());
                            drop(view);
                            store.snapshots().remove(&container).unwrap();
                            kept.fetch_add(1, Ordering::SeqCst);
                        }
                        let mut used = used.lock().unwrap();
                        let count = used.get_mut(&id).unwrap();
                        *count -= 1;
                        if *count == 0 {
                            used.remove(&id);
                        }
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
        collecting.join().unwrap();
    });
    assert!(removed.load(Ordering::SeqCst) > 0 && kept.load(Ordering::SeqCst) > 0);
    for one in store.images().plan_garbage(u64::MAX, &|_, _| false) {
        store.images().remove_garbage(&one.id, &users).unwrap();
    }
    store.images().collect().unwrap();
    assert_eq!(store.images().footprint(), 0);
    assert_eq!(std::fs::read_dir(directory.path().join("content/blobs/sha256")).unwrap().count(), 0);
}
