//! Hostile and broken archives through the front door: nothing is written outside, nothing is left.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::{Private, names};

/// A tar header and its data, padded. `kind` as in ustar: `0` file, `1` hard link, `2` symlink, `3` device, `5` directory.
fn entry(name: &str, kind: u8, link: &str, data: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", data.len()).as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[329..337].copy_from_slice(b"0000001\0");
    header[337..345].copy_from_slice(b"0000003\0");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bytes = header.to_vec();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn tar(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.extend([0; 1024]);
    bytes
}

fn gzip(directory: &Path, bytes: &[u8]) -> Vec<u8> {
    let plain = directory.join("plain");
    std::fs::write(&plain, bytes).unwrap();
    Command::new("gzip").arg("-c").arg(plain).output().unwrap().stdout
}

/// Everything below the data root that belongs to images.
fn stored(private: &Private) -> BTreeSet<String> {
    let data = private.data();
    let mut all = BTreeSet::new();
    for place in
        ["content/blobs/sha256", "content/ingest", "snapshots/overlay/layers", "snapshots/overlay/tmp"]
    {
        all.extend(names(&data.join(place)).into_iter().map(|name| format!("{place}/{name}")));
    }
    all
}

/// Feeds each archive in; those that are taken are removed again.
fn feed(private: &Private, command: &str, cases: Vec<(&str, bool, Vec<u8>)>) {
    let outside = private.directory.path().join("outside");
    let before = stored(private);
    for (what, refused, bytes) in cases {
        let path = private.directory.path().join("hostile.tar");
        std::fs::write(&path, bytes).unwrap();
        let path = path.to_str().unwrap();
        let output = match command {
            "import" => private.engine.wharf(&["import", path, "hostile:latest"]),
            _ => private.engine.wharf(&["load", "-i", path]),
        };
        assert_eq!(names(&outside), BTreeSet::from(["secret".to_owned()]), "{what} escaped");
        assert_eq!(std::fs::read(outside.join("secret")).unwrap(), b"secret", "{what}");
        for place in ["/evil-of-wharf", "/tmp/evil-of-wharf"] {
            assert!(!Path::new(place).exists(), "{what} wrote {place}");
        }
        if refused {
            assert_ne!(output.status, 0, "{what} was taken: {output:?}");
        }
        match output.status {
            0 => {
                let created = private.ok(&["create", "--name", "look", "hostile:latest", "x"]);
                assert!(!created.is_empty());
                private.ok(&["rm", "look"]);
                private.ok(&["rmi", "hostile:latest"]);
            }
            _ => {
                assert!(output.stderr.len() > 10 && !output.stderr.contains("panicked"), "{what}: {output:?}")
            }
        }
        assert_eq!(stored(private), before, "{what} left something: {output:?}");
    }
    assert_eq!(private.ok(&["run", "--rm", "bb", "echo", "fine"]), "fine");
}

/// The engine knows before it has read a byte. The client, in the middle of sending, is to see that answer, and not
/// a broken connection.
#[test]
fn an_answer_comes_while_the_archive_is_sent() {
    let private = Private::start();
    let archive = private.directory.path().join("large.tar");
    std::fs::write(&archive, tar(&[entry("large", b'0', "", &vec![7; 20 << 20])])).unwrap();
    let archive = archive.to_str().unwrap();
    for _ in 0..3 {
        let output = private.engine.wharf(&["import", "-c", "BOGUS x", archive, "large:latest"]);
        assert_eq!(output.status, 1, "{output:?}");
        assert!(output.stderr.contains("bogus is not a valid change command"), "{output:?}");
    }
}

#[test]
fn import() {
    let private = Private::start();
    let outside = private.directory.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "secret").unwrap();
    let outside = outside.to_str().unwrap();
    let secret = format!("{outside}/secret");
    let up = "../".repeat(20);
    let up_name = format!("{up}tmp/evil-of-wharf");
    let file = |name: &str| entry(name, b'0', "", b"evil");
    let good = tar(&[file("a"), entry("b", b'0', "", &[7; 5000])]);
    let mut wrong_sum = good.clone();
    wrong_sum[0] = b'z';
    let packed = gzip(private.directory.path(), &good);
    let mut damaged = packed.clone();
    let end = damaged.len() - 6;
    damaged[end] ^= 0xff;
    feed(
        &private,
        "import",
        vec![
            ("dot dot", false, tar(&[file(&up_name)])),
            ("inner dot dot", false, tar(&[file(&format!("a/{up_name}"))])),
            ("absolute name", false, tar(&[file("/evil-of-wharf")])),
            ("symlink out", false, tar(&[entry("l", b'2', outside, b""), file("l/evil")])),
            (
                "relative symlink out",
                false,
                tar(&[entry("l", b'2', &format!("{up}tmp"), b""), file("l/evil-of-wharf")]),
            ),
            ("through a symlink to a file", false, tar(&[entry("l", b'2', &secret, b""), file("l")])),
            ("hard link out", true, tar(&[entry("h", b'1', &secret, b""), file("h")])),
            ("hard link up", true, tar(&[entry("h", b'1', &format!("{up}{secret}"), b"")])),
            (
                "hard link through a symlink",
                true,
                tar(&[entry("l", b'2', outside, b""), entry("h", b'1', "l/secret", b"")]),
            ),
            ("device", false, tar(&[entry("null", b'3', "", b"")])),
            (
                "directory over a symlink",
                false,
                tar(&[entry("l", b'2', outside, b""), entry("l", b'5', "", b""), file("l/x")]),
            ),
            ("wrong checksum", true, wrong_sum),
            ("truncated data", true, good[..1500].to_vec()),
            ("truncated header", true, good[..300].to_vec()),
            ("garbage", true, (0..9000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
            ("truncated gzip", true, packed[..packed.len() / 2].to_vec()),
            ("damaged gzip", true, damaged),
        ],
    );
}

#[test]
fn load() {
    let private = Private::start();
    let outside = private.directory.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "secret").unwrap();
    let secret = outside.join("secret").display().to_string();
    let text = |name: &str, text: &str| entry(name, b'0', "", text.as_bytes());
    let manifest = |layer: &str| {
        text(
            "manifest.json",
            &format!(r#"[{{"Config":"c.json","RepoTags":["hostile:latest"],"Layers":["{layer}"]}}]"#),
        )
    };
    let config = text(
        "c.json",
        &format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["sha256:{}"]}}}}"#,
            "0".repeat(64)
        ),
    );
    let saved = private.directory.path().join("saved.tar");
    private.ok(&["save", "-o", saved.to_str().unwrap(), "bb:latest"]);
    let saved = std::fs::read(saved).unwrap();
    feed(
        &private,
        "load",
        vec![
            ("garbage", true, vec![42; 5000]),
            ("empty", true, Vec::new()),
            ("no manifest", true, tar(&[text("a", "b")])),
            ("bad JSON", true, tar(&[text("manifest.json", "[{]")])),
            ("missing config", true, tar(&[manifest("l.tar")])),
            ("missing layer", true, tar(&[manifest("l.tar"), config.clone()])),
            ("layer up", true, tar(&[manifest(&format!("{}{secret}", "../".repeat(20))), config.clone()])),
            ("layer by absolute name", true, tar(&[manifest(&secret), config.clone()])),
            (
                "layer by symlink",
                true,
                tar(&[manifest("l.tar"), config.clone(), entry("l.tar", b'2', &secret, b"")]),
            ),
            ("layer of another digest", true, tar(&[manifest("l.tar"), config, text("l.tar", "not it")])),
            ("truncated", true, saved[..saved.len() / 2].to_vec()),
        ],
    );
}
