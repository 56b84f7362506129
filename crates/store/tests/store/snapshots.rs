//! What containers and images have on disk, with each driver, and how much of it they may have.

use super::*;

/// The suite that every driver passes.
fn snapshots_of(driver: DriverKind, root: &Path) {
    let store = Store::open_with(root, driver).unwrap();
    let image = load(&store, &two_layers()).unwrap().remove(0);
    let snapshots = store.snapshots();
    let plan = snapshots.prepare("c1", &image).unwrap();
    assert_eq!(snapshots.prepare("c1", &image).unwrap(), plan, "repeating it is fine");
    match &plan {
        Root::Overlay { lower, .. } => {
            assert_eq!(driver, DriverKind::Overlay);
            assert_eq!(lower.len(), 2);
            assert!(lower[0].join("d/new").exists(), "top first");
        }
        Root::Directory(_) => assert_ne!(driver, DriverKind::Overlay),
    }
    let view = snapshots.open_root("c1", Access::Read).unwrap();
    assert_eq!(names_below(&view), ["a", "d"]);
    assert_eq!(names_below(open_below(&view, "a")), ["stays"]);
    assert_eq!(names_below(open_below(&view, "d")), ["new"]);
    drop(view);
    let view = snapshots.open_root("c1", Access::Write).unwrap();
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CREATE;
    let file = rustix::fs::openat(&view, "mine", flags, rustix::fs::Mode::RWXU).unwrap();
    File::from(file).write_all(b"12345").unwrap();
    drop(view);
    let image_view = snapshots.open_image(&image).unwrap();
    assert_eq!(names_below(&image_view), ["a", "d"], "an image sees nothing of its containers");
    drop(image_view);
    if driver == DriverKind::Overlay {
        assert_eq!(snapshots.usage("c1").unwrap().bytes, 5);
    }
    drop(store);
    let store = Store::open_with(root, driver).unwrap();
    assert_eq!(store.snapshots().list(), ["c1"]);
    assert_eq!(store.snapshots().root("c1").unwrap(), plan);
    let view = store.snapshots().open_root("c1", Access::Read).unwrap();
    let mut text = String::new();
    open_below(&view, "mine").read_to_string(&mut text).unwrap();
    assert_eq!(text, "12345");
    drop(view);
    let changed: Vec<String> =
        store.snapshots().changes("c1").unwrap().iter().map(|change| format!("{change:?}")).collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
    store.snapshots().remove("c1").unwrap();
    store.snapshots().remove("c1").unwrap();
    assert!(matches!(store.snapshots().root("c1"), Err(Error::NoSuchSnapshot(_))));
    assert!(store.snapshots().prepare("../c", &image).is_err());
    store.images().delete("two:1", true, true, &|_| Vec::new()).unwrap();
    let place =
        root.join("snapshots").join(if driver == DriverKind::Overlay { "overlay" } else { driver.name() });
    for dir in ["layers", "containers", "tmp"] {
        let left = || fs::read_dir(place.join(dir)).unwrap().count();
        let deadline = Instant::now() + Duration::from_secs(10);
        while left() > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(left(), 0, "{dir}");
    }
}

#[test]
fn snapshot_suite() {
    for driver in [DriverKind::Overlay, DriverKind::Vfs] {
        let root = tempfile::tempdir().unwrap();
        snapshots_of(driver, root.path());
    }
}

/// On a real btrfs, in a file on a loop device, in a mount namespace of the test's own.
#[test]
fn snapshot_suite_on_btrfs() {
    let dir = tempfile::tempdir().unwrap();
    let (image, root) = (dir.path().join("disk"), dir.path().join("root"));
    File::create(&image).unwrap().set_len(512 << 20).unwrap();
    fs::create_dir(&root).unwrap();
    run("mkfs.btrfs", &["-q", image.to_str().unwrap()]);
    let error = Store::open_with(&dir.path().join("elsewhere"), DriverKind::Btrfs).unwrap_err().to_string();
    assert!(error.contains("is not on a btrfs file system"), "{error}");
    std::thread::scope(|scope| {
        let test = scope.spawn(|| {
            let flags = sys::process::CloneFlags::NEWNS | sys::process::CloneFlags::FS;
            sys::process::unshare(flags).unwrap();
            run("mount", &["--make-rprivate", "/"]);
            run("mount", &["-o", "loop", image.to_str().unwrap(), root.to_str().unwrap()]);
            snapshots_of(DriverKind::Btrfs, &root);
            nested_subvolumes_go_too(&root);
            limits_are_of_what_is_written(&root);
            unmount(&root);
        });
        test.join().unwrap();
    });
}

/// A container with the right to may make subvolumes of its own, and these are no reason to stay.
fn nested_subvolumes_go_too(root: &Path) {
    let store = Store::open_with(root, DriverKind::Btrfs).unwrap();
    let image = load(&store, &two_layers()).unwrap().remove(0);
    drop(store);
    let store = Store::open_with(root, None).unwrap();
    assert_eq!(store.snapshots().driver_name(), "btrfs", "the driver that has the layers");
    store.snapshots().prepare("c", &image).unwrap();
    let inside = store.snapshots().open_root("c", Access::Write).unwrap();
    sys::btrfs::create(inside.as_fd(), OsStr::new("theirs")).unwrap();
    drop(inside);
    store.snapshots().remove("c").unwrap();
    assert_eq!(fs::read_dir(root.join("snapshots/btrfs/containers")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(root.join("snapshots/btrfs/tmp")).unwrap().count(), 0);
}

/// What a container shares with its layers does not count, and what is renamed keeps its limit.
fn limits_are_of_what_is_written(root: &Path) {
    let store = Store::open_with(root, None).unwrap();
    let image = load(&store, &two_layers()).unwrap().remove(0);
    store.snapshots().prepare_limited("limited", &image, Some(4 << 20)).unwrap();
    let inside = store.snapshots().open_root("limited", Access::Write).unwrap();
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC;
    let fill = |directory: std::os::fd::BorrowedFd<'_>, mib: usize| {
        let file = rustix::fs::openat(directory, "fill", flags, rustix::fs::Mode::RWXU).unwrap();
        File::from(file).write_all(&vec![7; mib << 20])
    };
    fill(inside.as_fd(), 1).unwrap();
    assert_eq!(fill(inside.as_fd(), 8).unwrap_err().kind(), std::io::ErrorKind::QuotaExceeded);
    drop(inside);
    store.snapshots().remove("limited").unwrap();

    let (begun, data) = (root.join("begun"), root.join("data"));
    store.quotas().create(&begun, 0o755, 4 << 20).unwrap();
    assert!(store.quotas().create(&begun, 0o755, 4 << 20).is_err() && begun.exists(), "it is somebody's");
    fs::rename(&begun, &data).unwrap();
    let inside = File::open(&data).unwrap();
    assert!(fill(inside.as_fd(), 8).is_err());
    store.quotas().renew(&data, 16 << 20).unwrap();
    fill(inside.as_fd(), 8).unwrap();
}

/// A store's thread may still be about to sync what was made last.
fn unmount(root: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !Command::new("umount").arg(root).status().unwrap().success() {
        assert!(Instant::now() < deadline, "{} is busy", root.display());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_is_unpacked_is_spread_over_the_disk_where_the_file_system_can() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path());
    let staging = File::open(directory.path().join("snapshots/overlay/tmp")).unwrap();
    let is_ext4 = rustix::fs::fstatfs(&staging).unwrap().f_type == 0xef53;
    let flags = rustix::fs::ioctl_getflags(&staging).unwrap_or(rustix::fs::IFlags::empty());
    assert_eq!(flags.contains(rustix::fs::IFlags::TOPDIR), is_ext4);
}
