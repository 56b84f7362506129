//! What nobody has is removed while others push: no tag is lost, and in the end nothing else is left.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use testkit::Output;

use crate::kit::{Served, binary, digest_of, good, layout, put, skopeo, tar_of};

const PUSHERS: usize = 3;
const ROUNDS: usize = 4;

fn collect(file: &Path, grace: &str) -> String {
    let mut command = Command::new(binary());
    good(Output::of(command.args(["registry", "garbage-collect", "-m", "--grace", grace]).arg(file)))
}

#[test]
fn pushes_and_deletes_beside_collections() {
    let directory = testkit::directory();
    let home = directory.path();
    let configuration = format!(
        "version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\nhttp: {{addr: '127.0.0.1:{{port}}'}}\n",
        home.join("data").display()
    );
    let served = Served::start(binary(), &home.join("served"), &configuration);
    let other = Served::start(binary(), &home.join("other"), &configuration);
    let file = home.join("served/config.yml");
    // In every second image, so that it goes and comes again.
    let shared = tar_of("shared", &vec![b's'; 1 << 20]);
    let over = AtomicBool::new(false);
    let mut kept: Vec<(String, String)> = Vec::new();
    std::thread::scope(|scope| {
        let collections = scope.spawn(|| {
            let mut times = 0;
            while !over.load(Ordering::Relaxed) {
                // Longer than any push here takes.
                collect(&file, "20s");
                times += 1;
            }
            times
        });
        let pushers: Vec<_> = (0..PUSHERS)
            .map(|pusher| {
                let (served, other, shared) = (&served, &other, &shared);
                scope.spawn(move || {
                    let mut kept = Vec::new();
                    for round in 0..ROUNDS {
                        let image = home.join(format!("image-{pusher}-{round}"));
                        let layer = match round % 2 {
                            0 => shared.clone(),
                            _ => tar_of("own", format!("{pusher} {round}").as_bytes()),
                        };
                        let digest = layout(&image, &layer);
                        // Through whichever process: both serve one directory.
                        let host = if round % 2 == 0 { served.host() } else { other.host() };
                        let name = format!("team/app{pusher}:{round}");
                        put(home, &image, &format!("{host}/{name}"));
                        if round < 2 {
                            let there = format!("docker://{host}/{name}");
                            good(skopeo(home, &["delete", "--tls-verify=false", &there]));
                        }
                        if round >= 2 {
                            kept.push((name, digest.to_string()));
                        }
                    }
                    kept
                })
            })
            .collect();
        for pusher in pushers {
            kept.extend(pusher.join().expect("a pusher"));
        }
        over.store(true, Ordering::Relaxed);
        assert!(collections.join().expect("collections") > 1);
    });
    let whole = |host: &str| {
        for (name, digest) in &kept {
            assert_eq!(digest_of(home, &format!("{host}/{name}")), *digest, "{name}");
            let back = home.join("back");
            let (source, target) = (format!("docker://{host}/{name}"), format!("dir:{}", back.display()));
            good(skopeo(home, &["copy", "-q", "--src-tls-verify=false", &source, &target]));
            std::fs::remove_dir_all(back).expect("remove a copy");
        }
    };
    whole(&served.host());
    // With nobody at work no grace is needed: what was deleted goes, what has a tag stays.
    assert!(collect(&file, "0s").lines().any(|line| line.contains("sha256:")));
    whole(&other.host());
    assert!(collect(&file, "0s").starts_with("0 blobs"));
}
