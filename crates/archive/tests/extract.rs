//! Extraction and packing against a real file system, as root: what archives may do, and what they may not.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use archive::{
    Decoder, Error, Extracted, Extractor, FileEntry, Kind, Limits, Mode, PackOptions, TarWriter, pack,
};

struct Tar(TarWriter<Vec<u8>>);

impl Tar {
    fn new() -> Tar {
        Tar(TarWriter::new(Vec::new()))
    }

    fn file(mut self, name: &str, data: &str) -> Tar {
        self.0.append(&FileEntry::file(name, 0o644, data.len() as u64), data.as_bytes()).unwrap();
        self
    }

    fn dir(self, name: &str) -> Tar {
        self.raw(FileEntry::directory(name, 0o755))
    }

    fn link(self, kind: Kind, name: &str, target: &str) -> Tar {
        self.raw(FileEntry { kind, link: target.into(), ..FileEntry::file(name, 0o777, 0) })
    }

    fn raw(mut self, entry: FileEntry) -> Tar {
        self.0.append(&entry, std::io::empty()).unwrap();
        self
    }

    fn bytes(self) -> Vec<u8> {
        self.0.finish().unwrap()
    }

    fn into(self, root: &Path, mode: Mode) -> Result<Extracted, Error> {
        Extractor::open(root, mode)?.extract(Cursor::new(self.bytes()))
    }
}

/// A directory `root` inside of another, so that what gets out of it is seen.
fn cage() -> (tempfile::TempDir, std::path::PathBuf) {
    let outside = tempfile::tempdir().unwrap();
    let root = outside.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(outside.path().join("victim"), "safe").unwrap();
    (outside, root)
}

fn assert_untouched(outside: &tempfile::TempDir) {
    let mut names: Vec<_> =
        fs::read_dir(outside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["root", "victim"]);
    assert_eq!(fs::read_to_string(outside.path().join("victim")).unwrap(), "safe");
    assert_eq!(fs::metadata(outside.path().join("victim")).unwrap().nlink(), 1);
}

#[test]
fn names_cannot_leave_the_root() {
    for name in ["../victim", "a/../../victim", "/../victim", "..", "a/../.."] {
        let (outside, root) = cage();
        let error = Tar::new().file(name, "evil").into(&root, Mode::Overlay).unwrap_err();
        assert!(matches!(error, Error::Escape(_)), "{name}: {error}");
        assert!(error.to_string().contains("points outside of the root directory"), "{error}");
        assert_untouched(&outside);
    }
}

#[test]
fn absolute_names_mean_the_root() {
    let (outside, root) = cage();
    Tar::new().dir("/").file("/etc/wharf-test", "x").into(&root, Mode::Overlay).unwrap();
    assert!(root.join("etc/wharf-test").exists());
    assert!(!Path::new("/etc/wharf-test").exists());
    assert_untouched(&outside);
}

#[test]
fn symbolic_links_lead_nowhere_outside() {
    for target in ["..", "../..", "/../..", "/"] {
        let (outside, root) = cage();
        let tar = Tar::new().link(Kind::Symlink, "out", target).file("out/victim", "evil");
        tar.into(&root, Mode::Overlay).unwrap();
        // `..` of the root is the root.
        assert_eq!(fs::read_to_string(root.join("victim")).unwrap(), "evil");
        assert_untouched(&outside);
    }
    let (outside, root) = cage();
    let tar = Tar::new().link(Kind::Symlink, "out", "/proc/self/root").file("out/victim", "evil");
    assert!(tar.into(&root, Mode::Overlay).is_err());
    let tar = Tar::new().link(Kind::Symlink, "victim", "../victim").file("victim", "evil");
    tar.into(&root, Mode::Overlay).unwrap();
    assert_eq!(fs::read_to_string(root.join("victim")).unwrap(), "evil");
    assert_untouched(&outside);
}

#[test]
fn a_merged_directory_is_followed() {
    let (_outside, root) = cage();
    let tar = Tar::new().dir("usr/bin").link(Kind::Symlink, "bin", "usr/bin").file("bin/ls", "x");
    tar.into(&root, Mode::Overlay).unwrap();
    assert_eq!(fs::read_to_string(root.join("usr/bin/ls")).unwrap(), "x");
}

#[test]
fn hard_links_stay_inside_and_follow_nothing() {
    let (outside, root) = cage();
    let error = Tar::new().link(Kind::Hardlink, "a", "../victim").into(&root, Mode::Overlay).unwrap_err();
    assert!(matches!(error, Error::Escape(_)), "{error}");
    let error = Tar::new()
        .link(Kind::Symlink, "out", "..")
        .link(Kind::Hardlink, "b", "out/victim")
        .into(&root, Mode::Overlay)
        .unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
    // A hard link to a symbolic link is one more name of that link.
    Tar::new()
        .link(Kind::Symlink, "s", "../victim")
        .link(Kind::Hardlink, "t", "s")
        .into(&root, Mode::Overlay)
        .unwrap();
    assert!(root.join("t").is_symlink());
    Tar::new().file("x", "1").link(Kind::Hardlink, "d/y", "x").into(&root, Mode::Overlay).unwrap();
    assert_eq!(fs::metadata(root.join("x")).unwrap().nlink(), 2);
    Tar::new().link(Kind::Hardlink, "x", "d/y").into(&root, Mode::Overlay).unwrap();
    assert_eq!(fs::read_to_string(root.join("x")).unwrap(), "1");
    assert_untouched(&outside);
}

#[test]
fn damaged_archives_are_refused() {
    let good = Tar::new().file("a", &"x".repeat(2000)).bytes();
    let extract = |bytes: &[u8]| {
        let (_outside, root) = cage();
        Extractor::open(&root, Mode::Overlay).unwrap().extract(bytes)
    };
    extract(&good).unwrap();
    assert!(matches!(extract(&good[..100]), Err(Error::Truncated(_))));
    let error = extract(&good[..1000]).unwrap_err();
    assert_eq!(error.to_string(), "archive is truncated within \"a\"");
    let mut broken = good.clone();
    broken[0] ^= 1;
    assert_eq!(extract(&broken).unwrap_err().to_string(), "invalid tar header: checksum mismatch");
    assert!(extract(b"this is no tar, but it is longer than nothing").is_err());
    assert_eq!(extract(b"").unwrap(), Extracted::default());
}

#[test]
fn an_announced_length_is_not_believed() {
    // A long name of 1 TiB, and a PAX header of 64 GiB.
    for kind in [tar::EntryType::GNULongName, tar::EntryType::XHeader] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(1 << 36);
        header.set_cksum();
        let (_outside, root) = cage();
        let endless = Cursor::new(header.as_bytes().to_vec()).chain(std::io::repeat(b'a'));
        let error = Extractor::open(&root, Mode::Overlay).unwrap().extract(endless).unwrap_err();
        assert!(matches!(error, Error::Limit { .. }), "{error}");
    }
}

#[test]
fn limits_hold() {
    let limits = Limits { bytes_max: 10, entries_max: 3, depth_max: 4 };
    let extract = |tar: Tar| {
        let (_outside, root) = cage();
        Extractor::open(&root, Mode::Overlay).unwrap().with_limits(limits).extract(Cursor::new(tar.bytes()))
    };
    assert!(extract(Tar::new().file("a", "0123456789")).is_ok());
    let error = extract(Tar::new().file("a", "012345").file("b", "01234")).unwrap_err();
    assert_eq!(error.to_string(), "archive exceeds the limit of 10 bytes");
    assert!(matches!(extract(Tar::new().dir("a").dir("b").dir("c").dir("d")), Err(Error::Limit { .. })));
    assert!(matches!(extract(Tar::new().dir("a/b/c/d/e")), Err(Error::Limit { .. })));
}

#[test]
fn metadata_is_set() {
    let (_outside, root) = cage();
    let mut suid = FileEntry {
        uid: 7,
        gid: 8,
        mtime: (1_000_000_000, 123_456_789),
        ..FileEntry::file("suid", 0o4755, 0)
    };
    suid.xattrs.push(("user.colour".into(), b"red".to_vec()));
    suid.xattrs.push(("trusted.overlay.redirect".into(), b"/etc".to_vec()));
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    suid.xattrs.push(("security.capability".into(), capability.to_vec()));
    let dir = FileEntry { mtime: (5, 6), uid: 3_000_000_000, ..FileEntry::directory("d", 0o1777) };
    let null = FileEntry { kind: Kind::Char, device: (1, 3), ..FileEntry::file("null", 0o666, 0) };
    let fifo = FileEntry { kind: Kind::Fifo, ..FileEntry::file("fifo", 0o622, 0) };
    let long = "n".repeat(200);
    Tar::new()
        .raw(suid)
        .raw(dir)
        .file("d/inside", "x")
        .raw(null)
        .raw(fifo)
        .file(&format!("{long}/{long}"), "x")
        .link(Kind::Symlink, "s", &format!("/{long}"))
        .into(&root, Mode::Overlay)
        .unwrap();
    let suid = fs::metadata(root.join("suid")).unwrap();
    assert_eq!((suid.mode() & 0o7777, suid.uid(), suid.gid()), (0o4755, 7, 8));
    assert_eq!((suid.mtime(), suid.mtime_nsec()), (1_000_000_000, 123_456_789));
    let mut value = [0; 64];
    let mut xattr = |key: &str| {
        rustix::fs::lgetxattr(root.join("suid"), key, &mut value[..]).map(|n| value[..n].to_vec()).ok()
    };
    assert_eq!(xattr("user.colour").unwrap(), b"red");
    assert_eq!(xattr("security.capability").unwrap(), capability);
    assert_eq!(xattr("trusted.overlay.redirect"), None);
    let dir = fs::metadata(root.join("d")).unwrap();
    assert_eq!((dir.mtime(), dir.mtime_nsec(), dir.mode() & 0o7777), (5, 6, 0o1777));
    assert_eq!(dir.uid(), 3_000_000_000);
    let null = fs::metadata(root.join("null")).unwrap();
    assert!(null.file_type().is_char_device());
    assert_eq!((null.rdev(), null.mode() & 0o777), (rustix::fs::makedev(1, 3), 0o666));
    assert!(fs::metadata(root.join("fifo")).unwrap().file_type().is_fifo());
    assert!(root.join(&long).join(&long).exists());
    assert_eq!(fs::read_link(root.join("s")).unwrap().to_str().unwrap(), format!("/{long}"));
}

#[test]
fn whiteouts_for_overlay() {
    let (_outside, root) = cage();
    Tar::new()
        .file("a/.wh.gone", "")
        .file("b/.wh..wh..opq", "")
        .file("b/new", "x")
        .file(".wh..wh.plnk", "")
        .file("c/.wh.both", "")
        .file("c/both/inside", "x")
        .into(&root, Mode::Overlay)
        .unwrap();
    let gone = fs::symlink_metadata(root.join("a/gone")).unwrap();
    assert!(gone.file_type().is_char_device());
    assert_eq!(gone.rdev(), 0);
    let opaque = |name: &str| {
        let mut value = [0; 4];
        rustix::fs::lgetxattr(root.join(name), "trusted.overlay.opaque", &mut value[..])
            .map(|n| value[..n].to_vec())
            .ok()
    };
    assert_eq!(opaque("b").unwrap(), b"y");
    assert_eq!(opaque("a"), None);
    assert!(root.join("c/both/inside").exists());
    assert!(!root.join(".wh..wh.plnk").exists());
    for name in [".wh.", ".wh..", ".wh..."] {
        let (outside, root) = cage();
        assert!(Tar::new().file(name, "").into(&root, Mode::Overlay).is_err(), "{name}");
        assert!(Tar::new().file(name, "").into(&root, Mode::Apply).is_err(), "{name}");
        assert_untouched(&outside);
    }
}

#[test]
fn whiteouts_applied() {
    let (_outside, root) = cage();
    let lower = Tar::new()
        .file("a/gone", "")
        .file("a/stays", "")
        .file("b/old/deep", "")
        .file("b/old2", "")
        .file("tree/x/y", "");
    lower.into(&root, Mode::Apply).unwrap();
    Tar::new()
        .file("b/new", "x")
        .file("b/.wh..wh..opq", "")
        .file("a/.wh.gone", "")
        .file(".wh.tree", "")
        .into(&root, Mode::Apply)
        .unwrap();
    assert!(!root.join("a/gone").exists() && root.join("a/stays").exists());
    assert!(root.join("b/new").exists() && !root.join("b/old").exists() && !root.join("b/old2").exists());
    assert!(!root.join("tree").exists());
}

#[test]
fn overlay_whiteouts_come_back_out_of_a_pack() {
    let (outside, root) = cage();
    Tar::new()
        .file("a/.wh.gone", "")
        .file("b/.wh..wh..opq", "")
        .file("b/new", "x")
        .into(&root, Mode::Overlay)
        .unwrap();
    let mut tar = Vec::new();
    pack(&root, &mut tar, PackOptions { mode: Mode::Overlay, root_entry: false, ..PackOptions::default() })
        .unwrap();
    let mut entries = archive::Entries::new(&tar[..]);
    let mut names = Vec::new();
    while let Some(entry) = entries.next().unwrap() {
        names.push(String::from_utf8(entry.name).unwrap());
    }
    assert_eq!(names, ["a/", "a/.wh.gone", "b/", "b/.wh..wh..opq", "b/new"]);
    drop(outside);
}

#[test]
fn a_tree_survives_packing_and_unpacking() {
    let (_outside, root) = cage();
    fs::create_dir_all(root.join("d/e")).unwrap();
    fs::write(root.join("d/e/f"), vec![7; 100_000]).unwrap();
    fs::hard_link(root.join("d/e/f"), root.join("d/g")).unwrap();
    symlink("../nowhere", root.join("d/s")).unwrap();
    fs::set_permissions(root.join("d"), fs::Permissions::from_mode(0o2750)).unwrap();
    rustix::fs::setxattr(root.join("d"), "user.k", b"v", rustix::fs::XattrFlags::empty()).unwrap();
    let packed = |dir: &Path| {
        let mut tar = Vec::new();
        pack(dir, &mut tar, PackOptions::default()).unwrap();
        tar
    };
    let first = packed(&root);
    let (_outside, copy) = cage();
    Extractor::open(&copy, Mode::Verbatim).unwrap().extract(&first[..]).unwrap();
    assert_eq!(packed(&copy), first);
    assert_eq!(fs::metadata(copy.join("d/g")).unwrap().nlink(), 2);
}

/// The access list of user 1234, who may read, as the kernel writes it (linux/posix_acl_xattr.h).
const ACL: &[u8] = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\xd2\x04\0\0\x04\0\x04\0\xff\xff\xff\xff\x10\0\x04\0\xff\xff\xff\xff \0\x04\0\xff\xff\xff\xff";

#[test]
fn a_faithful_pack_keeps_holes_and_access_lists_and_gnu_tar_reads_it() {
    use std::os::unix::fs::FileExt as _;
    const MIB: u64 = 1 << 20;
    let (_outside, root) = cage();
    let file = |name: &str, pieces: &[(u64, &[u8])], size: u64| {
        let file = fs::File::create(root.join(name)).unwrap();
        pieces.iter().for_each(|(at, data)| file.write_all_at(data, *at).unwrap());
        file.set_len(size).unwrap();
    };
    file("begins", &[(0, b"head"), (30 * MIB, b"middle")], 40 * MIB);
    file("ends", &[(64 * MIB, &[9; 5000])], 64 * MIB + 5000);
    file("empty", &[], 10 * MIB);
    file("dense", &[(0, &[1; 50_000])], 50_000);
    rustix::fs::setxattr(root.join("dense"), "system.posix_acl_access", ACL, rustix::fs::XattrFlags::empty())
        .unwrap();
    let options = PackOptions { faithful: true, ..PackOptions::default() };
    let mut tar = Vec::new();
    pack(&root, &mut tar, options).unwrap();
    assert!(tar.len() < 200_000, "{} bytes for what has 60 KB", tar.len());
    let (_outside, ours) = cage();
    Extractor::open(&ours, Mode::Verbatim).unwrap().extract(&tar[..]).unwrap();
    let (outside, theirs) = cage();
    fs::write(outside.path().join("tar"), &tar).unwrap();
    let mut gnu = std::process::Command::new("tar");
    gnu.arg("-xpf").arg(outside.path().join("tar")).arg("-C").arg(&theirs);
    assert!(gnu.status().unwrap().success());
    for name in ["begins", "ends", "empty", "dense"] {
        let blocks = |root: &Path| fs::metadata(root.join(name)).unwrap().blocks();
        for copy in [&ours, &theirs] {
            let mut compare = std::process::Command::new("cmp");
            assert!(compare.arg(root.join(name)).arg(copy.join(name)).status().unwrap().success(), "{name}");
            assert!(
                blocks(copy) <= blocks(&root) + 32,
                "{name}: {} blocks of {}",
                blocks(copy),
                blocks(&root)
            );
        }
    }
    let mut value = [0; 64];
    let n = rustix::fs::getxattr(ours.join("dense"), "system.posix_acl_access", &mut value[..]).unwrap();
    assert_eq!(&value[..n], ACL);
}

#[test]
fn gnu_tar_understands_us_and_we_understand_it() {
    let (_outside, source) = cage();
    let long = "l".repeat(150);
    fs::create_dir(source.join(&long)).unwrap();
    fs::write(source.join(&long).join("f"), "x").unwrap();
    let sparse = fs::File::create(source.join("sparse")).unwrap();
    sparse.set_len(8 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"middle", 3 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", (8 << 20) - 3).unwrap();
    for format in ["gnu", "pax"] {
        let tar = std::process::Command::new("tar")
            .args(["--sparse", "--format", format, "-C"])
            .arg(&source)
            .args(["-cf", "-", "."])
            .output()
            .unwrap();
        assert!(tar.status.success());
        assert!(tar.stdout.len() < 1 << 20, "{format}: GNU tar found no holes");
        let (_outside, root) = cage();
        Extractor::open(&root, Mode::Overlay).unwrap().extract(&tar.stdout[..]).unwrap();
        assert_eq!(
            fs::read(root.join("sparse")).unwrap(),
            fs::read(source.join("sparse")).unwrap(),
            "{format}"
        );
        assert!(fs::metadata(root.join("sparse")).unwrap().blocks() < 1000, "{format}: holes were filled");
        assert!(root.join(&long).join("f").exists(), "{format}");
    }
    let mut ours = Vec::new();
    pack(&source, &mut ours, PackOptions::default()).unwrap();
    let mut list = std::process::Command::new("tar")
        .args(["-tf", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = list.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&ours));
    let output = list.wait_with_output().unwrap();
    drop(writer.join());
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains(&format!("{long}/f\n")));
}

#[test]
fn every_compression_is_recognised() {
    let plain = Tar::new().file("a", "hello").bytes();
    let mut gzip = Vec::new();
    // Two members, as pigz writes.
    for half in plain.chunks(700) {
        let mut encoder = flate2::write::GzEncoder::new(&mut gzip, flate2::Compression::fast());
        encoder.write_all(half).unwrap();
        encoder.finish().unwrap();
    }
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&plain).unwrap();
    let file = cage().0.path().with_extension("plain");
    fs::write(&file, &plain).unwrap();
    let packed = std::process::Command::new("bzip2").arg("-c").arg(&file).output();
    let bzip2 = packed.expect("run bzip2 (Debian: bzip2)").stdout;
    // Two streams, as pbzip2 writes them.
    let twice = bzip2.repeat(2);
    fs::remove_file(file).unwrap();
    for (name, bytes) in [
        ("plain", plain.clone()),
        ("gzip", gzip),
        ("zstd", zstd),
        ("xz", xz.finish().unwrap()),
        ("bzip2", bzip2),
    ] {
        let mut out = Vec::new();
        Decoder::new(&bytes[..]).unwrap().read_to_end(&mut out).unwrap();
        assert_eq!(out, plain, "{name}");
        if name != "plain" {
            let (_outside, root) = cage();
            let cut = &bytes[..bytes.len() / 2];
            let outcome = Decoder::new(cut)
                .and_then(|decoder| Extractor::open(&root, Mode::Overlay).unwrap().extract(decoder));
            assert!(
                matches!(outcome, Err(Error::Truncated(_) | Error::Decompress(_))),
                "{name}: {outcome:?}"
            );
        }
    }
    let mut out = Vec::new();
    Decoder::new(&twice[..]).unwrap().read_to_end(&mut out).unwrap();
    assert!(out == plain.repeat(2));
    assert_eq!(
        Decoder::new(&b"PK\x03\x04zip"[..]).unwrap_err().to_string(),
        "zip compression is not supported"
    );
}
