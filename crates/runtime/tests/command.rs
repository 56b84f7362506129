//! The command, on a real kernel: as root, with a busybox bundle in a temporary directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

/// A bundle and a state directory that vanish together.
struct Bench {
    directory: tempfile::TempDir,
    id: String,
}

impl Bench {
    fn new(name: &str, args: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let bin = directory.path().join("rootfs/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
        for name in ["sh", "ps", "sleep", "id"] {
            std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap();
        }
        let bench = Self { directory, id: format!("{name}-{}", std::process::id()) };
        bench.run(&["spec", "--bundle", bench.bundle().to_str().unwrap()]);
        bench.change(|spec| {
            spec["process"]["terminal"] = json!(false);
            spec["process"]["args"] = json!(args);
        });
        bench
    }

    fn bundle(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    fn change(&self, change: impl FnOnce(&mut Value)) {
        let path = self.bundle().join("config.json");
        let mut spec: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut spec);
        std::fs::write(path, spec.to_string()).unwrap();
    }

    /// Stdout and stderr are files: a detached container keeps them open, a pipe would never end.
    fn run(&self, args: &[&str]) -> Output {
        let program = std::env::current_exe().unwrap();
        let program = program.parent().and_then(Path::parent).unwrap().join("examples/oci");
        let (out, err) = (self.bundle().join("out"), self.bundle().join("err"));
        let status = Command::new(program)
            .arg("--root")
            .arg(self.bundle().join("state"))
            .args(args)
            .current_dir(self.bundle())
            .stdout(std::fs::File::create(&out).unwrap())
            .stderr(std::fs::File::create(&err).unwrap())
            .status()
            .unwrap();
        Output { status, stdout: std::fs::read(out).unwrap(), stderr: std::fs::read(err).unwrap() }
    }

    fn status(&self) -> String {
        let output = self.run(&["state", &self.id]);
        let state: Value = serde_json::from_slice(&output.stdout).unwrap();
        state["status"].as_str().unwrap().to_owned()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.run(&["delete", "--force", &self.id]);
    }
}

#[test]
fn a_run_passes_the_exit_status_on_and_leaves_nothing() {
    let bench = Bench::new("run", &["sh", "-c", "exit 7"]);
    assert_eq!(bench.run(&["run", &bench.id]).status.code(), Some(7));
    assert!(!bench.bundle().join("state").join(&bench.id).exists());
    assert!(!Path::new("/sys/fs/cgroup/memory").join(&bench.id).exists());
}

#[test]
fn a_container_lives_through_its_states() {
    let bench = Bench::new("life", &["sleep", "1000"]);
    let ok = |args: &[&str]| {
        let output = bench.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    ok(&["create", &bench.id]);
    assert_eq!(bench.status(), "created");
    ok(&["start", &bench.id]);
    assert_eq!(bench.status(), "running");
    assert!(!bench.run(&["delete", &bench.id]).status.success());
    assert!(ok(&["exec", &bench.id, "ps"]).contains("sleep 1000"));
    ok(&["pause", &bench.id]);
    assert_eq!(bench.status(), "paused");
    ok(&["resume", &bench.id]);
    ok(&["delete", "--force", &bench.id]);
    assert!(!bench.run(&["state", &bench.id]).status.success());
}

#[test]
fn failures_have_docker_s_words() {
    for (program, words) in [
        ("nosuch", r#"exec: "nosuch": executable file not found in $PATH"#),
        ("/bin", r#"exec: "/bin": is a directory"#),
        ("/nosuch", r#"exec: "/nosuch": stat /nosuch: no such file or directory"#),
    ] {
        let bench = Bench::new("fail", &[program]);
        let output = bench.run(&["run", &bench.id]);
        // A line as logrus writes it, so with its quotes.
        let text = String::from_utf8_lossy(&output.stderr).replace("\\\"", "\"");
        assert!(!output.status.success() && text.contains(words), "{text}");
    }
}

#[test]
fn a_symlink_at_proc_is_refused() {
    let bench = Bench::new("link", &["id"]);
    std::os::unix::fs::symlink("/tmp", bench.bundle().join("rootfs/proc")).unwrap();
    std::fs::create_dir(bench.bundle().join("rootfs/tmp")).unwrap();
    let output = bench.run(&["run", &bench.id]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/proc"));
}
