//! Processes that serve one directory: one of them may die at any time, and what it had acknowledged is there.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

use oci::Digest;
use testkit::Output;

use crate::kit::{Served, binary, digest_of, good, layout, put, tar_of, wait_until};

fn configuration(root: &std::path::Path) -> String {
    format!(
        "version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\nhttp: {{addr: '127.0.0.1:{{port}}'}}\n",
        root.display()
    )
}

/// What a HEAD of a location says has arrived.
fn arrived(served: &Served, location: &str) -> usize {
    let (status, head, _) = served.ask("GET", location, b"");
    assert_eq!(status, 204, "{head}");
    let range = head.lines().find_map(|line| line.strip_prefix("Range: 0-")).expect("a range");
    match range.trim().parse().expect("a number") {
        0 => 0,
        last => last + 1,
    }
}

fn begin(served: &Served) -> String {
    let (status, head, _) = served.ask("POST", "/v2/team/big/blobs/uploads/", b"");
    assert_eq!(status, 202, "{head}");
    head.lines().find_map(|line| line.strip_prefix("Location: ")).expect("a location").trim().to_owned()
}

#[test]
fn one_that_is_killed_in_an_upload_loses_nothing_that_another_needs() {
    let directory = testkit::directory();
    let home = directory.path();
    let configuration = configuration(&home.join("data"));
    let mut first = Served::start(binary(), &home.join("first"), &configuration);
    let second = Served::start(binary(), &home.join("second"), &configuration);
    let image = home.join("image");
    let before = layout(&image, &tar_of("a", b"before"));
    put(home, &image, &format!("{}/team/app:1", first.host()));

    let bytes: Vec<u8> = (0..8 << 20u32).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let location = begin(&first);
    let mut stream = TcpStream::connect(("127.0.0.1", first.port)).expect("connect");
    let head = format!("PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", bytes.len());
    stream.write_all(head.as_bytes()).expect("send the head");
    stream.write_all(&bytes[..5 << 20]).expect("send a part");
    wait_until("some of it has arrived", || arrived(&second, &location) >= 4 << 20);
    // Somebody else may not write to it meanwhile.
    let (status, _, body) = second.ask("PATCH", &location, b"x");
    let text = String::from_utf8_lossy(&body);
    assert!(status == 400 && text.contains("another request is writing to this upload"), "{status} {text}");
    // What nobody has is removed at the same time, again and again; an upload that goes on is somebody's.
    let collecting = std::thread::spawn({
        let file = home.join("second/config.yml");
        move || {
            for _ in 0..5 {
                let mut command = Command::new(binary());
                command.args(["registry", "garbage-collect", "-m", "--grace", "0s"]).arg(&file);
                good(Output::of(&mut command));
            }
        }
    });
    first.child.kill().expect("kill it");
    first.child.wait().expect("wait for it");
    drop(stream);
    collecting.join().expect("collect");

    // With no grace at all it may have been taken for one that was given up, once nobody wrote to it.
    let (status, ..) = second.ask("GET", &location, b"");
    let location = if status == 204 { location } else { begin(&second) };
    let there = arrived(&second, &location);
    assert!(there <= 5 << 20, "{there}");
    let digest = Digest::of(&bytes);
    let (status, head, _) = second.ask("PUT", &format!("{location}?digest={digest}"), &bytes[there..]);
    assert_eq!(status, 201, "{head}");
    let (status, _, body) = second.ask("GET", &format!("/v2/team/big/blobs/{digest}"), b"");
    assert!(status == 200 && body == bytes);
    assert_eq!(digest_of(home, &format!("{}/team/app:1", second.host())), before.as_str());
    // The next one finds it all, too.
    let first = Served::start(binary(), &home.join("first"), &configuration);
    let (_, _, body) = first.ask("GET", &format!("/v2/team/big/blobs/{digest}"), b"");
    assert!(body == bytes);
}

#[test]
fn an_upload_is_gone_on_with_after_a_kill() {
    let directory = testkit::directory();
    let home = directory.path();
    let configuration = configuration(&home.join("data"));
    let mut first = Served::start(binary(), &home.join("first"), &configuration);
    let bytes = vec![7; 3 << 20];
    let location = begin(&first);
    let (status, ..) = first.ask("PATCH", &location, &bytes[..2 << 20]);
    assert_eq!(status, 202);
    first.child.kill().expect("kill it");
    first.child.wait().expect("wait for it");
    let next = Served::start(binary(), &home.join("next"), &configuration);
    assert_eq!(arrived(&next, &location), 2 << 20);
    let digest = Digest::of(&bytes);
    let (status, head, _) = next.ask("PUT", &format!("{location}?digest={digest}"), &bytes[2 << 20..]);
    assert_eq!(status, 201, "{head}");
}

#[test]
fn a_full_disk_refuses_and_keeps_what_there_is() {
    let directory = testkit::directory();
    let home = directory.path();
    let data = home.join("data");
    std::fs::create_dir(&data).expect("make a directory");
    // A disk of its own, in a namespace that ends with it.
    let script = home.join("small");
    let text = format!(
        "#!/bin/sh\nexec unshare -m sh -c 'mount -t tmpfs -o size=4m none {} && exec {} registry \"$@\"' sh \"$@\"\n",
        data.display(),
        binary().display()
    );
    std::fs::write(&script, text).expect("write a script");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, executable).expect("make it executable");
    let served = Served::start(&script, &home.join("served"), &configuration(&data));
    let small = vec![1; 1 << 20];
    let kept = Digest::of(&small);
    let push = |bytes: &[u8]| {
        served.ask("POST", &format!("/v2/a/blobs/uploads/?digest={}", Digest::of(bytes)), bytes)
    };
    assert_eq!(push(&small).0, 201);
    let location = begin(&served);
    let (status, _, body) = served.ask("PATCH", &location, &vec![2; 5 << 20]);
    let text = String::from_utf8_lossy(&body);
    assert!(
        status == 503 && text.contains("UNAVAILABLE") && text.contains("No space left"),
        "{status} {text}"
    );
    // It still reads, and writes once there is room.
    assert!(served.ask("GET", &format!("/v2/a/blobs/{kept}"), b"").2 == small);
    assert_eq!(served.ask("DELETE", &location, b"").0, 204);
    assert_eq!(push(&vec![3; 1 << 20]).0, 201);
}
