//! Properties: what is written is read, damage is an error and no more, names never lead out, and whiteouts do what a
//! simple model of layers says.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use archive::{Decoder, Entries, Extractor, FileEntry, Kind, Limits, Mode, PackOptions, TarWriter, pack};
use proptest::prelude::*;

/// Nothing is kept in the source tree: a failure prints its seed.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// A component of a path: any bytes a file name may have.
fn component() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("not in names", |byte| !matches!(byte, 0 | b'/'));
    prop_oneof![
        4 => "[a-z.]{1,3}".prop_map(String::into_bytes),
        1 => prop::collection::vec(byte, 1..255),
    ]
    .prop_filter("means something else", |name| {
        !matches!(name.as_slice(), b"." | b"..") && !name.starts_with(b".wh.")
    })
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(component(), 1..5).prop_map(|parts| parts.join(&b'/'))
}

fn time() -> impl Strategy<Value = (i64, u32)> {
    (-(1_i64 << 35)..(1 << 36), prop_oneof![Just(0), 0..1_000_000_000_u32])
}

fn entry() -> impl Strategy<Value = (FileEntry, Vec<u8>)> {
    let kind = prop_oneof![
        3 => Just(Kind::File),
        2 => Just(Kind::Directory),
        1 => Just(Kind::Symlink),
        1 => Just(Kind::Hardlink),
        1 => Just(Kind::Char),
        1 => Just(Kind::Fifo),
    ];
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
    let xattrs = prop::collection::btree_map("user\\.[a-z]{1,3}", bytes(40), 0..3);
    (kind, path(), 0..0o10000_u32, (any::<u32>(), any::<u32>()), time(), path(), xattrs, bytes(1500))
        .prop_map(|(kind, mut name, mode, (uid, gid), mtime, link, xattrs, data)| {
            if kind == Kind::Directory {
                name.push(b'/');
            }
            let data = if kind == Kind::File { data } else { Vec::new() };
            let entry = FileEntry {
                name,
                kind,
                size: data.len() as u64,
                mode,
                uid,
                gid,
                mtime,
                link: if matches!(kind, Kind::Symlink | Kind::Hardlink) { link } else { Vec::new() },
                device: if kind == Kind::Char { (1, 3) } else { (0, 0) },
                xattrs: xattrs.into_iter().collect(),
            };
            (entry, data)
        })
}

fn write(entries: &[(FileEntry, Vec<u8>)]) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    for (entry, data) in entries {
        tar.append(entry, &data[..]).unwrap();
    }
    tar.finish().unwrap()
}

/// One byte at a time: nothing may depend on how a stream is cut.
struct Slowly<'a>(&'a [u8]);

impl Read for Slowly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = buffer.len().min(1);
        self.0.read(&mut buffer[..n])
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_written_is_read(entries in prop::collection::vec(entry(), 0..6)) {
        let tar = write(&entries);
        let mut reader = Entries::new(Slowly(&tar));
        for (written, data) in &entries {
            let read = reader.next().unwrap().unwrap();
            prop_assert_eq!(&read.name, &written.name);
            prop_assert_eq!(read.kind, written.kind);
            prop_assert_eq!((read.size, read.mode), (written.size, written.mode));
            prop_assert_eq!((read.uid, read.gid), (written.uid, written.gid));
            prop_assert_eq!(read.mtime, written.mtime);
            prop_assert_eq!(&read.link, &written.link);
            prop_assert_eq!(read.device, written.device);
            prop_assert_eq!(&read.xattrs, &written.xattrs);
            let mut got = Vec::new();
            reader.read_to_end(&mut got).unwrap();
            prop_assert_eq!(&got, data);
        }
        prop_assert!(reader.next().unwrap().is_none());
    }

    /// Whatever is broken in an archive: an answer comes, nothing panics, and nothing is outside of the root.
    #[test]
    fn damage_is_an_error_and_no_more(
        entries in prop::collection::vec(entry(), 1..5),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        mode in prop_oneof![Just(Mode::Overlay), Just(Mode::Apply), Just(Mode::Verbatim)],
    ) {
        let mut tar = write(&entries);
        for (at, byte) in damage {
            let at = at.index(tar.len());
            tar[at] = byte;
            // With a good checksum the damage gets past the first test.
            let block = at / 512 * 512;
            tar[block + 148..block + 156].fill(b' ');
            let sum: u32 = tar[block..block + 512].iter().map(|&byte| u32::from(byte)).sum();
            tar[block + 148..block + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        tar.truncate(cut.index(tar.len()) + 1);
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        fs::create_dir(&root).unwrap();
        let limits = Limits { bytes_max: 1 << 20, ..Limits::default() };
        let _ = Extractor::open(&root, mode).unwrap().with_limits(limits).extract(&tar[..]);
        prop_assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    }

    #[test]
    fn names_never_lead_out(
        parts in prop::collection::vec(
            prop_oneof![Just("..".to_owned()), Just(".".to_owned()), Just(String::new()), "[ab]"], 1..12),
        links in prop::collection::vec(("[ab]", "(\\.\\./|/|[ab]/){0,6}[ab.]{1,2}"), 0..4),
        hard in any::<bool>(),
    ) {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::write(outside.path().join("a"), "safe").unwrap();
        fs::create_dir(outside.path().join("b")).unwrap();
        let name = parts.join("/");
        let special = |kind, name: &str, target: &str| {
            let link = target.as_bytes().to_vec();
            (FileEntry { kind, link, ..FileEntry::file(name, 0o777, 0) }, Vec::new())
        };
        // Each part may fail on its own: what counts is where things end up.
        let extract = |one: (FileEntry, Vec<u8>)| {
            let _ = Extractor::open(&root, Mode::Apply).unwrap().extract(&write(&[one])[..]);
        };
        links.iter().for_each(|(name, target)| extract(special(Kind::Symlink, name, target)));
        if hard {
            extract(special(Kind::Hardlink, "c", &name));
            extract((FileEntry::file("c", 0o644, 4), b"evil".to_vec()));
        }
        extract((FileEntry::file(&name, 0o644, 4), b"evil".to_vec()));
        extract((FileEntry::file(&format!("{name}/a"), 0o644, 4), b"evil".to_vec()));
        extract((FileEntry::file(&format!("{name}/.wh.b"), 0o644, 0), Vec::new()));
        extract((FileEntry::file(&format!("{name}/.wh..wh..opq"), 0o644, 0), Vec::new()));
        let mut left: Vec<_> =
            fs::read_dir(outside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        prop_assert_eq!(left, ["a", "b", "root"]);
        prop_assert_eq!(fs::read(outside.path().join("a")).unwrap(), b"safe");
        prop_assert_eq!(fs::read_dir(outside.path().join("b")).unwrap().count(), 0);
    }

    #[test]
    fn decoding_what_is_no_archive_ends(bytes in prop::collection::vec(any::<u8>(), 0..600), magic in 0..4_usize) {
        let magic: &[u8] = [&b""[..], &[0x1f, 0x8b, 8], &[0x28, 0xb5, 0x2f, 0xfd], &[0xfd, b'7', b'z', b'X', b'Z', 0]][magic];
        let bytes = [magic, &bytes].concat();
        if let Ok(decoder) = Decoder::new(&bytes[..]) {
            let mut entries = Entries::new(decoder);
            while let Ok(Some(_)) = entries.next() {}
        }
    }
}

/// What a layer says about a name.
#[derive(Debug, Clone)]
enum Said {
    File(u8),
    Directory,
    Hidden,
    Opaque,
}

type Layer = Vec<(Vec<&'static str>, Said)>;

fn layer() -> impl Strategy<Value = Layer> {
    let part = || prop::sample::select(vec!["x", "y", "z"]);
    let said = prop_oneof![
        3 => any::<u8>().prop_map(Said::File),
        2 => Just(Said::Directory),
        2 => Just(Said::Hidden),
        1 => Just(Said::Opaque),
    ];
    prop::collection::vec((prop::collection::vec(part(), 1..4), said), 0..8)
}

/// The tree after a layer: files with their byte, directories with none. Whiteouts concern only what is below.
fn model(below: &BTreeMap<String, Option<u8>>, layer: &Layer) -> BTreeMap<String, Option<u8>> {
    let mut kept = below.clone();
    let inside = |name: &str, dir: &str| name.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
    for (path, said) in layer {
        let name = path.join("/");
        match said {
            Said::Hidden => kept.retain(|other, _| *other != name && !inside(other, &name)),
            Said::Opaque => kept.retain(|other, _| !inside(other, &name)),
            _ => {}
        }
    }
    let mut own: BTreeMap<String, Option<u8>> = BTreeMap::new();
    for (path, said) in layer {
        let last = if matches!(said, Said::Opaque | Said::Directory) { path.len() } else { path.len() - 1 };
        // Parents come into being, in the place of files.
        for depth in 1..=last {
            let parent = path[..depth].join("/");
            let was_file = |tree: &BTreeMap<String, Option<u8>>| matches!(tree.get(&parent), Some(Some(_)));
            if was_file(&own) || !own.contains_key(&parent) && was_file(&kept) {
                kept.remove(&parent);
            }
            own.insert(parent, None);
        }
        if let Said::File(byte) = said {
            let name = path.join("/");
            own.retain(|other, _| !inside(other, &name));
            kept.retain(|other, _| !inside(other, &name));
            own.insert(name, Some(*byte));
        }
    }
    kept.extend(own);
    kept
}

fn layer_tar(layer: &Layer) -> Vec<u8> {
    let entries: Vec<(FileEntry, Vec<u8>)> = layer
        .iter()
        .flat_map(|(path, said)| {
            let name = path.join("/");
            let (parents, last) = name.rsplit_once('/').unwrap_or(("", &name));
            let beside = if parents.is_empty() { String::new() } else { format!("{parents}/") };
            match said {
                Said::File(byte) => vec![(FileEntry::file(&name, 0o644, 1), vec![*byte])],
                Said::Directory => vec![(FileEntry::directory(&format!("{name}/"), 0o755), Vec::new())],
                Said::Hidden => {
                    vec![(FileEntry::file(&format!("{beside}.wh.{last}"), 0o644, 0), Vec::new())]
                }
                Said::Opaque => vec![
                    (FileEntry::directory(&format!("{name}/"), 0o755), Vec::new()),
                    (FileEntry::file(&format!("{name}/.wh..wh..opq"), 0o644, 0), Vec::new()),
                ],
            }
        })
        .collect();
    write(&entries)
}

fn tree(root: &Path) -> BTreeMap<String, Option<u8>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name =
                String::from_utf8(path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec()).unwrap();
            if path.is_dir() {
                found.insert(name, None);
                pending.push(path);
            } else {
                found.insert(name, Some(fs::read(&path).unwrap()[0]));
            }
        }
    }
    found
}

/// Layers in which no name is said twice, nor both a file and a directory.
fn plain(layer: &Layer) -> bool {
    let names: Vec<String> = layer.iter().map(|(path, _)| path.join("/")).collect();
    layer.iter().zip(&names).enumerate().all(|(at, ((_, said), name))| {
        names.iter().enumerate().all(|(other, second)| {
            let below = second.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('/'));
            other == at || (name != second && !(below && matches!(said, Said::File(_) | Said::Hidden)))
        })
    })
}

/// Name and size of each entry. (A whiteout's time is when it was made.)
fn names(tar: &[u8]) -> Vec<(String, u64)> {
    let mut entries = Entries::new(tar);
    std::iter::from_fn(|| entries.next().unwrap())
        .map(|entry| (String::from_utf8(entry.name).unwrap(), entry.size))
        .collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whiteouts_do_what_the_model_says(
        layers in prop::collection::vec(layer().prop_filter("ambiguous", plain), 1..5)
    ) {
        let root = tempfile::tempdir().unwrap();
        let mut expected = BTreeMap::new();
        for layer in &layers {
            expected = model(&expected, layer);
            Extractor::open(root.path(), Mode::Apply).unwrap().extract(&layer_tar(layer)[..]).unwrap();
            prop_assert_eq!(tree(root.path()), expected.clone(), "after {:?}", layer);
        }
    }

    /// An overlay's upper directory, packed, is the layer it was unpacked from.
    #[test]
    fn an_overlay_layer_comes_back_out(layer in layer().prop_filter("ambiguous", plain)) {
        let root = tempfile::tempdir().unwrap();
        let tar = layer_tar(&layer);
        Extractor::open(root.path(), Mode::Overlay).unwrap().extract(&tar[..]).unwrap();
        let options = PackOptions { mode: Mode::Overlay, root_entry: false, ..PackOptions::default() };
        let mut packed = Vec::new();
        pack(root.path(), &mut packed, options).unwrap();
        let again = tempfile::tempdir().unwrap();
        Extractor::open(again.path(), Mode::Overlay).unwrap().extract(&packed[..]).unwrap();
        let mut second = Vec::new();
        pack(again.path(), &mut second, options).unwrap();
        prop_assert_eq!(names(&packed), names(&second));
    }
}

/// A header says 9 GiB without there being 9 GiB of anything.
#[test]
fn sizes_above_8_gib() {
    const SIZE: u64 = 9 << 30;
    let mut tar = TarWriter::new(Vec::new());
    let _ = tar.append(&FileEntry::file("big", 0o644, SIZE), io::empty());
    let bytes = tar.finish().unwrap();
    let entry = Entries::new(&bytes[..]).next().unwrap().unwrap();
    assert_eq!(entry.size, SIZE, "ours, in a PAX header");
    let directory = tempfile::tempdir().unwrap();
    fs::File::create(directory.path().join("big")).unwrap().set_len(SIZE).unwrap();
    for (format, sparse) in [("gnu", false), ("pax", false), ("gnu", true), ("pax", true)] {
        let mut command = std::process::Command::new("tar");
        command.args(["--format", format, "-C"]).arg(directory.path()).args(["-cf", "-"]);
        let mut child = command
            .args(sparse.then_some("--sparse"))
            .arg("big")
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let stream = child.stdout.take().unwrap();
        if sparse {
            let root = tempfile::tempdir().unwrap();
            Extractor::open(root.path(), Mode::Verbatim).unwrap().extract(stream).unwrap();
            assert_eq!(fs::metadata(root.path().join("big")).unwrap().len(), SIZE, "{format}");
        } else {
            // Nine gigabytes of zeros need not go through a pipe: the header has told enough.
            assert_eq!(Entries::new(stream).next().unwrap().unwrap().size, SIZE, "{format}");
            child.kill().unwrap();
        }
        child.wait().unwrap();
    }
}
