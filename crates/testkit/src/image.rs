//! A root file system of busybox, as `import` takes it.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes `<directory>/busybox.tar` from this machine's static busybox, with a link for each of its programs.
///
/// # Panics
/// When `/bin/busybox` is missing (Debian: busybox-static) or tar(1) fails.
pub fn busybox_image(directory: &Path) -> PathBuf {
    let root = directory.join("busybox-root");
    for name in ["bin", "dev", "etc", "proc", "root", "sys", "tmp"] {
        std::fs::create_dir_all(root.join(name)).expect("make the root file system");
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox"))
        .expect("copy /bin/busybox (Debian: busybox-static)");
    let programs = Command::new("/bin/busybox").arg("--list").output().expect("list busybox's programs");
    for name in String::from_utf8_lossy(&programs.stdout).lines().filter(|name| *name != "busybox") {
        symlink("busybox", root.join("bin").join(name)).expect("link a program");
    }
    std::fs::write(
        root.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
    )
    .expect("write passwd");
    std::fs::write(root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n").expect("write group");
    let tar = directory.join("busybox.tar");
    let made =
        Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg(".").status().expect("run tar");
    assert!(made.success(), "tar failed: {made}");
    tar
}
