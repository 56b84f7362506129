//! A pull that is cut off goes on where it was: the registry sends each byte once, give or take what was on the way.

use std::process::{Child, Stdio};

use testkit::Engine;

use crate::kit::{Layout, Proxy, Registry, busybox_tar, engine, good, noise, tar_of, wait_until};

/// What the registry may send of an image's bytes, in all.
const MOST: f64 = 1.05;

struct Scene {
    _directory: tempfile::TempDir,
    _registry: Registry,
    proxy: Proxy,
    image: Layout,
    engine: Engine,
    name: String,
}

fn scene() -> Scene {
    let directory = testkit::directory();
    let registry = Registry::start();
    let mut tars = vec![busybox_tar()];
    tars.extend((0..4).map(|layer| tar_of(&[(&*format!("noise{layer}"), &noise(layer, 32 << 20))])));
    let image = Layout::make(&directory.path().join("image"), "amd64", &tars);
    registry.put(&image, "big:1");
    let proxy = Proxy::start(registry.port);
    let name = format!("{}/big:1", proxy.host());
    let engine = engine(&directory.path().join("engine"));
    Scene { _directory: directory, _registry: registry, proxy, image, engine, name }
}

impl Scene {
    /// Begins a pull, and lets it go until so much of the image was sent.
    fn pull_until(&self, part: f64) -> Child {
        let bytes = (self.image.bytes as f64 * part) as u64;
        let mut client = self.engine.client("wharf");
        let child = client.args(["pull", &self.name]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.expect("start a client");
        wait_until("the pull gets so far", || self.proxy.sent() >= bytes);
        child
    }

    #[track_caller]
    fn check(&self) {
        good(self.engine.wharf(&["pull", "-q", &self.name]));
        good(self.engine.wharf(&["run", "--rm", &self.name, "sh", "-c", "sha256sum /noise* >&2"]));
        let digests = good(self.engine.wharf(&["image", "inspect", "-f", "{{.Id}}", &self.name]));
        assert_eq!(digests, self.image.config.to_string());
        let part = self.proxy.sent() as f64 / self.image.bytes as f64;
        assert!(part < MOST, "the registry sent {part:.3} times the image");
        assert!(part > 0.99, "the registry sent {part:.3} times the image");
        // Nothing of it is left behind that is not part of an image.
        let left = std::fs::read_dir(self.engine.directory().join("data/content/partial")).unwrap().count();
        assert_eq!(left, 0);
    }
}

#[test]
fn killed_at_30_60_and_90_percent() {
    let mut scene = scene();
    for part in [0.3, 0.6, 0.9] {
        let mut client = scene.pull_until(part);
        scene.engine.kill();
        client.wait().expect("wait for the client");
        scene.engine.run();
        assert_eq!(good(scene.engine.wharf(&["images", "-aq"])), "", "half an image is listed");
    }
    scene.check();
}

#[test]
fn given_up_by_its_client() {
    let scene = scene();
    for part in [0.3, 0.6, 0.9] {
        let mut client = scene.pull_until(part);
        client.kill().expect("kill the client");
        client.wait().expect("wait for the client");
        // It ends with its client.
        wait_until("the download stops", || {
            let before = scene.proxy.sent();
            std::thread::sleep(std::time::Duration::from_millis(200));
            scene.proxy.sent() == before
        });
        assert_eq!(good(scene.engine.wharf(&["images", "-aq"])), "");
    }
    scene.check();
}

#[test]
fn reset_on_the_way() {
    let scene = scene();
    let step = scene.image.bytes / 5;
    scene.proxy.cut_at(step);
    let mut client = scene.pull_until(0.25);
    for part in 2..5 {
        scene.proxy.cut_at(step * part);
        wait_until("the next cut", || scene.proxy.sent() + (64 << 10) > step * part);
    }
    assert!(client.wait().expect("wait for the client").success());
    scene.check();
}
