//! Files that scenarios name as `FIX/...`.

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::busybox_image;

pub(super) struct Fixtures {
    directory: PathBuf,
    tar: PathBuf,
}

impl Fixtures {
    /// Makes `<directory>/fixtures`.
    pub(super) fn make(directory: &Path) -> Self {
        let fixtures = directory.join("fixtures");
        std::fs::create_dir(&fixtures).unwrap();
        let tar = busybox_image(directory);
        let put = |name: &str, text: &str| std::fs::write(fixtures.join(name), text).unwrap();
        put("env", "# comment\nA=from file\nB\nHOME=/home\nQUOTED=\"x y\"\n");
        put("env-bad", "A B=1\n");
        put("labels", "one=1\ntwo\n# not one\nthree=a=b\n");
        // Everything may be done but mkdir, and uname fails as it is said.
        put(
            "seccomp.json",
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99}]}"#,
        );
        put("seccomp-bad.json", "{");
        for (program, name) in [("gzip", "bb.tar.gz"), ("xz", "bb.tar.xz"), ("zstd", "bb.tar.zst")] {
            let mut packed = Command::new(program);
            // Speed is all that matters.
            packed.args(["-1", "-c"]).arg(&tar).stdout(std::fs::File::create(fixtures.join(name)).unwrap());
            let ended = packed.status().unwrap_or_else(|error| panic!("run {program}: {error}"));
            assert!(ended.success(), "{program}: {ended}");
        }
        Self { directory: fixtures, tar }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The root file system of `bb`.
    pub(super) fn tar(&self) -> &Path {
        &self.tar
    }
}
