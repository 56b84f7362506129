//! The registry over a bucket: of moto's S3 server, from PyPI. Two registries on one bucket know nothing of each other, as two
//! processes would.

mod kit;

use std::path::Path;
use std::time::Duration;

use registry::{BucketSettings, Settings};
use testkit::Moto;

use kit::{Registry, noise, settings};

fn start() -> Moto {
    Moto::start(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

fn bucket(moto: &Moto, redirect: bool) -> Settings {
    let bucket = BucketSettings {
        bucket: "bucket".into(),
        region: "us-east-1".into(),
        endpoint: moto.endpoint(),
        path_style: true,
        access_key: "a".into(),
        secret_key: "s".into(),
        session_token: None,
        chunk_bytes: 5 << 20,
        root: "below".into(),
        storage_class: None,
        encrypt: false,
        key_id: None,
        redirect,
    };
    Settings { bucket: Some(bucket), ..settings(Path::new("/nowhere")) }
}

fn is_out_of_reach() -> bool {
    testkit::is_out_of_reach("moto")
}

#[test]
fn images_come_back_from_a_bucket() {
    if is_out_of_reach() {
        return;
    }
    let moto = start();
    let registry = Registry::start(bucket(&moto, false));
    // Three parts and a piece, one that fits a part exactly, and none.
    for bytes in [noise((16 << 20) + 3), noise(5 << 20), Vec::new()] {
        let digest = registry.push("team/app", &bytes);
        let path = format!("/v2/team/app/blobs/{digest}");
        let answer = registry.get(&path);
        assert!(answer.status == 200 && answer.body == bytes, "{}", answer.status);
        let head = registry.ask("HEAD", &path, &[], b"");
        assert_eq!((head.status, head.header("content-length")), (200, bytes.len().to_string().as_str()));
        if bytes.len() > 100 {
            let part = registry.ask("GET", &path, &[("Range", "bytes=7-99")], b"");
            assert_eq!((part.status, part.body == bytes[7..100]), (206, true));
        }
    }
    let image = registry.image("team/app", "1", b"layer");
    // Another process, which sends clients to the bucket.
    let second = Registry::start(bucket(&moto, true));
    let tag = second.get("/v2/team/app/manifests/1");
    assert_eq!((tag.status, tag.header("docker-content-digest")), (200, image.as_str()));
    assert!(String::from_utf8_lossy(&second.get("/v2/_catalog").body).contains("\"team/app\""));
    let layer = second.push("team/app", b"layer");
    let sent = second.get(&format!("/v2/team/app/blobs/{layer}"));
    assert_eq!(sent.status, 307);
    let address = sent.header("location").strip_prefix(&moto.endpoint()).unwrap().to_owned();
    assert!(address.starts_with("/bucket/below/docker/registry/v2/blobs/sha256/"), "{address}");
    assert_eq!(moto.get(&address), b"layer");
    assert_eq!(second.ask("HEAD", &format!("/v2/team/app/blobs/{layer}"), &[], b"").status, 200);

    // A wrong digest leaves nothing.
    let wrong = oci::Digest::of(b"something else");
    let refused =
        registry.ask("POST", &format!("/v2/team/app/blobs/uploads/?digest={wrong}"), &[], &noise(6 << 20));
    assert_eq!(refused.code(), "DIGEST_INVALID");
    assert!(!moto.keys().iter().any(|key| key.contains("_uploads")), "{:?}", moto.keys());

    // Collected is what nobody has: the first three blobs, which no image names, once they are taken out.
    let storage = bucket(&moto, false).storage().unwrap();
    assert_eq!(
        storage.collect(Duration::from_secs(3600), false, false).unwrap().blobs.len(),
        0,
        "all are young"
    );
    for bytes in [noise((16 << 20) + 3), noise(5 << 20), Vec::new()] {
        let path = format!("/v2/team/app/blobs/{}", oci::Digest::of(&bytes));
        assert_eq!(registry.ask("DELETE", &path, &[], b"").status, 202);
    }
    std::thread::sleep(Duration::from_millis(1100));
    let dry = storage.collect(Duration::ZERO, false, true).unwrap();
    let collected = storage.collect(Duration::ZERO, false, false).unwrap();
    assert_eq!(dry, collected);
    assert_eq!(collected.blobs.len(), 3, "{collected:?}");
    assert_eq!(second.get("/v2/team/app/manifests/1").status, 200);
    assert_eq!(second.ask("HEAD", &format!("/v2/team/app/blobs/{layer}"), &[], b"").status, 200);
}

#[test]
fn an_upload_is_continued_by_another_process() {
    if is_out_of_reach() {
        return;
    }
    let moto = start();
    let bytes = noise((13 << 20) + 17);
    let digest = oci::Digest::of(&bytes);
    let first = Registry::start(bucket(&moto, false));
    let begun = first.ask("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!(begun.status, 202);
    let location = begun.header("location").to_owned();
    // Pieces that fit no part: what is left over is kept with each.
    let mut position = 0;
    for length in [10, 3 << 20, (4 << 20) + 1] {
        let piece = first.ask("PATCH", &location, &[], &bytes[position..position + length]);
        position += length;
        assert_eq!((piece.status, piece.header("range")), (202, format!("0-{}", position - 1).as_str()));
    }
    // Whoever began it is no more.
    drop(first);
    let second = Registry::start(bucket(&moto, false));
    let status = second.get(&location);
    assert_eq!((status.status, status.header("range")), (204, format!("0-{}", position - 1).as_str()));
    let wrong = second.ask("PATCH", &location, &[("Content-Range", "0-9")], &bytes[..10]);
    assert_eq!(wrong.status, 416);
    let piece = second.ask("PATCH", &location, &[], &bytes[position..position + 100]);
    assert_eq!(piece.status, 202);
    position += 100;
    // A third one ends it, and has seen none of it but the end.
    let third = Registry::start(bucket(&moto, false));
    let done = third.ask("PUT", &format!("{location}?digest={digest}"), &[], &bytes[position..]);
    assert_eq!(done.status, 201, "{done:?}");
    assert!(second.get(&format!("/v2/a/blobs/{digest}")).body == bytes);
    assert!(!moto.keys().iter().any(|key| key.contains("_uploads")), "{:?}", moto.keys());
    // One that is given up leaves nothing either, also no parts.
    let begun = second.ask("POST", "/v2/a/blobs/uploads/", &[], b"");
    let location = begun.header("location").to_owned();
    assert_eq!(second.ask("PATCH", &location, &[], &bytes[..6 << 20]).status, 202);
    assert!(moto.keys().iter().any(|key| key.contains("_uploads")));
    assert_eq!(third.ask("DELETE", &location, &[], b"").status, 204);
    assert!(!moto.keys().iter().any(|key| key.contains("_uploads")), "{:?}", moto.keys());
    assert_eq!(second.get(&location).status, 404);
}
