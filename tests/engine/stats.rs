//! What containers use, on the page of `stats`.

use std::io::Read;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};

use crate::{DEADLINE, House};

/// The pages of a client that goes on.
struct Pages {
    child: std::process::Child,
    text: Receiver<String>,
}

impl Pages {
    fn of(house: &House, words: &[&str]) -> Self {
        let mut child = house.engine.client("wharf");
        let mut child = child.arg("stats").args(words).stdout(Stdio::piped()).spawn().expect("stats");
        let mut output = child.stdout.take().expect("piped");
        let (sender, text) = channel();
        std::thread::spawn(move || {
            let mut rest = String::new();
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut chunk) {
                rest.push_str(&String::from_utf8_lossy(&chunk[..length]));
                while let Some(at) = rest.find("\x1b[J") {
                    let page = rest[..at].replace("\x1b[H", "").replace("\x1b[K", "");
                    rest.drain(..at + 3);
                    if sender.send(page).is_err() {
                        return;
                    }
                }
            }
        });
        Self { child, text }
    }

    #[track_caller]
    fn until(&self, what: &str, mut condition: impl FnMut(&str) -> bool) {
        let deadline = std::time::Instant::now() + DEADLINE;
        let mut last = String::new();
        while std::time::Instant::now() < deadline {
            last = self.text.recv_timeout(DEADLINE).expect("a page");
            if condition(&last) {
                return;
            }
        }
        panic!("{what}: {last}");
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_page_follows_what_comes_and_goes() {
    let house = House::new();
    house.ok(&["run", "-d", "--name", "first", "-m", "64m", "bb", "sleep", "1000"]);
    let pages = Pages::of(&house, &[]);
    pages.until("the first", |page| {
        page.starts_with("CONTAINER ID   NAME ") && page.contains(" first ") && page.contains(" / 64MiB ")
    });
    house.ok(&["run", "-d", "--name", "second", "bb", "sh", "-c", "while :; do :; done"]);
    pages.until("both, one of them busy", |page| {
        let busy = page.lines().find(|line| line.contains(" second ")).and_then(|line| {
            line.split_whitespace().find_map(|word| word.strip_suffix('%')?.parse::<f64>().ok())
        });
        page.contains(" first ") && busy.is_some_and(|percent| percent > 1.0)
    });
    house.ok(&["rm", "-f", "second"]);
    pages.until("the first alone", |page| page.contains(" first ") && !page.contains(" second "));
    house.ok(&["kill", "first"]);
    pages.until("nobody", |page| !page.contains(" first "));
}

#[test]
fn new_limits_are_on_the_next_page() {
    let house = House::new();
    house.ok(&["run", "-d", "--name", "one", "bb", "sleep", "1000"]);
    let pages = Pages::of(&house, &["one"]);
    pages.until("the machine's memory", |page| page.contains(" one ") && page.contains("GiB "));
    house.ok(&["update", "--memory", "48m", "--memory-swap", "48m", "one"]);
    // Within two readings, where those who are not told look again after sixteen.
    let mut waited = 0;
    pages.until("the new limit", |page| {
        waited += 1;
        page.contains(" / 48MiB ")
    });
    assert!(waited < 12, "{waited} pages of half a second");
    house.ok(&["update", "--memory", "64m", "--memory-swap", "64m", "one"]);
    pages.until("a newer one", |page| page.contains(" / 64MiB "));
}

#[test]
fn named_ones_stay_on_the_page() {
    let house = House::new();
    house.ok(&["create", "--name", "idle", "bb", "true"]);
    let pages = Pages::of(&house, &["idle"]);
    pages.until("zeros", |page| page.contains(" 0.00%     0B / 0B "));
    house.ok(&["rm", "idle"]);
    pages.until("no numbers", |page| page.contains(" idle ") && page.contains(" -- / -- "));
    let all = house.ok(&["stats", "--no-stream", "--all", "--format", "{{.Name}}"]);
    assert_eq!(all, "");
    let (status, error) = house.fails(&["stats", "--no-stream", "nosuch", "other"]);
    assert_eq!(status, 1);
    assert_eq!(
        error,
        "Error response from daemon: No such container: nosuch\nError response from daemon: No such container: other\n"
    );
}
