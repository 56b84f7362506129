//! A real root file system: Debian's, made by mmdebstrap once and kept below `target/cache`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use oci::Reference;
use store::{ImportOptions, Store};

fn rootfs() -> PathBuf {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/cache");
    let path = cache.join("debian.tar");
    if !path.exists() {
        fs::create_dir_all(&cache).unwrap();
        let half = cache.join(format!("debian.{}.tar", std::process::id()));
        let status =
            Command::new("mmdebstrap").args(["--quiet", "--variant=minbase", "bookworm"]).arg(&half).status();
        assert!(status.expect("mmdebstrap is needed (apt-get install mmdebstrap)").success());
        fs::rename(half, &path).unwrap();
    }
    path
}

/// What GNU tar makes of the same archive is what we make of it.
#[test]
fn debian_is_imported_as_gnu_tar_extracts_it() {
    let rootfs = rootfs();
    let root = tempfile::tempdir().unwrap();
    let theirs = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let options =
        ImportOptions { reference: Some(Reference::parse("debian").unwrap()), ..ImportOptions::default() };
    let image = store.images().import(File::open(&rootfs).unwrap(), &options).unwrap();
    let tar = Command::new("tar")
        .args(["--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf"])
        .arg(&rootfs)
        .arg("-C")
        .arg(theirs.path())
        .status()
        .unwrap();
    assert!(tar.success());
    store.snapshots().prepare("c", &image).unwrap();
    let layer = fs::canonicalize(root.path().join("snapshots/overlay/containers/c/top")).unwrap();
    let listing = |dir: &Path| {
        let format = "%P %y %m %U %G %l %n %s %TY-%Tm-%Td %TH:%TM:%TS\\n";
        let output =
            Command::new("find").arg(dir).args(["-not", "-type", "d", "-printf", format]).output().unwrap();
        assert!(output.status.success());
        let mut lines: Vec<String> =
            String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        // A directory's size and link count are the file system's business.
        let format = "%P %y %m %U %G %TY-%Tm-%Td %TH:%TM:%TS\\n";
        let output = Command::new("find").arg(dir).args(["-type", "d", "-printf", format]).output().unwrap();
        lines.extend(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned));
        lines.sort();
        lines
    };
    let (ours, expected) = (listing(&layer), listing(theirs.path()));
    assert!(ours.len() > 5000, "{}", ours.len());
    for (ours, expected) in ours.iter().zip(&expected) {
        assert_eq!(ours, expected);
    }
    assert_eq!(ours.len(), expected.len());
}
