//! A volume plugin of ours: a server on a socket in a directory where an engine looks for plugins. Its volumes are
//! directories.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};

/// At work until it is dropped; then its socket refuses, as a plugin's does that has ended.
#[derive(Debug)]
pub struct Plugin {
    socket: PathBuf,
    inside: Arc<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    root: PathBuf,
    volumes: Mutex<BTreeMap<String, Kept>>,
    asked: Mutex<Vec<String>>,
    /// Methods that are answered only when this changes.
    hangs: Mutex<BTreeSet<String>>,
    changed: Condvar,
    ended: AtomicBool,
}

#[derive(Debug, Default, Clone)]
struct Kept {
    options: Value,
    mounts: BTreeSet<String>,
}

impl Plugin {
    /// Answers on `<directory>/<name>.sock`, with its volumes below `root`; both are made.
    ///
    /// # Panics
    /// When they cannot be made.
    pub fn start(directory: &Path, name: &str, root: &Path) -> Self {
        for place in [directory, root] {
            std::fs::create_dir_all(place).expect("make the plugin's directories");
        }
        let socket = directory.join(format!("{name}.sock"));
        let inside = Arc::new(Inside { root: root.to_owned(), ..Inside::default() });
        let plugin = Self { socket, inside };
        plugin.listen();
        plugin
    }

    fn listen(&self) {
        let _ = std::fs::remove_file(&self.socket);
        let listener = UnixListener::bind(&self.socket).expect("listen");
        let inside = self.inside.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if inside.ended.load(Ordering::SeqCst) {
                    return;
                }
                let inside = inside.clone();
                // A connection that breaks off is the engine's affair.
                std::thread::spawn(move || inside.serve(&stream).ok());
            }
        });
    }

    /// Ends as if it was killed: what it had mounted stays, and its socket refuses.
    pub fn end(&self) {
        self.inside.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = UnixStream::connect(&self.socket);
        while UnixStream::connect(&self.socket).is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// Starts it again, with all that it had.
    pub fn again(&self) {
        self.inside.ended.store(false, Ordering::SeqCst);
        self.listen();
    }

    /// From now on these methods (`Mount`, `List` ...) are not answered, and all others are.
    pub fn hang(&self, methods: &[&str]) {
        *self.inside.hangs.lock().expect("no test holds this") =
            methods.iter().map(|method| (*method).to_owned()).collect();
        self.inside.changed.notify_all();
    }

    /// For how many it is mounted.
    pub fn mounts(&self, volume: &str) -> usize {
        self.inside
            .volumes
            .lock()
            .expect("no test holds this")
            .get(volume)
            .map_or(0, |kept| kept.mounts.len())
    }

    /// Its volumes and what they were made with.
    pub fn volumes(&self) -> BTreeMap<String, Value> {
        let volumes = self.inside.volumes.lock().expect("no test holds this");
        volumes.iter().map(|(name, kept)| (name.clone(), kept.options.clone())).collect()
    }

    /// Makes or removes a volume behind the engine's back.
    pub fn touch(&self, volume: &str, is_there: bool) {
        let mut volumes = self.inside.volumes.lock().expect("no test holds this");
        match is_there {
            true => {
                std::fs::create_dir_all(self.inside.root.join(volume)).expect("make a volume");
                volumes.insert(volume.to_owned(), Kept::default());
            }
            false => drop(volumes.remove(volume)),
        }
    }

    /// The methods that were asked for, in their order.
    pub fn asked(&self) -> Vec<String> {
        self.inside.asked.lock().expect("no test holds this").clone()
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.hang(&[]);
        self.end();
    }
}

impl Inside {
    fn serve(&self, stream: &UnixStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = 0;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
                break;
            }
            if let Some(("content-length", value)) =
                header.to_lowercase().split_once(':').map(|(key, value)| (key, value.trim()))
            {
                length = value.parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let question: Value = serde_json::from_slice(&body).unwrap_or_default();
        let method = path.rsplit('.').next().unwrap_or_default().to_owned();
        self.asked.lock().expect("no test holds this").push(method.clone());
        let mut hangs = self.hangs.lock().expect("no test holds this");
        while hangs.contains(&method) {
            hangs = self.changed.wait(hangs).expect("no test holds this");
        }
        drop(hangs);
        let answer = self.answer(&method, &question).unwrap_or_else(|why| json!({ "Err": why })).to_string();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
        (&*stream).write_all((head + &answer).as_bytes())
    }

    fn answer(&self, method: &str, question: &Value) -> Result<Value, String> {
        let word = |key: &str| question.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (name, id) = (word("Name"), word("ID"));
        let mut volumes = self.volumes.lock().expect("no test holds this");
        let place = self.root.join(&name);
        let nosuch = || format!("no volume {name}");
        let shown = |name: &str, kept: &Kept| {
            let mountpoint =
                if kept.mounts.is_empty() { String::new() } else { place_text(&self.root.join(name)) };
            json!({
                "Name": name, "Mountpoint": mountpoint, "CreatedAt": "2026-01-02T03:04:05Z",
                "Status": { "mounts": kept.mounts.len() },
            })
        };
        match method {
            "Activate" => Ok(json!({ "Implements": ["VolumeDriver"] })),
            "Capabilities" => Ok(json!({ "Capabilities": { "Scope": "global" } })),
            "Create" => {
                if let Some(why) = question.pointer("/Opts/refuse").and_then(Value::as_str) {
                    return Err(why.to_owned());
                }
                std::fs::create_dir_all(&place).map_err(|error| error.to_string())?;
                let options = question.get("Opts").cloned().unwrap_or_default();
                volumes.insert(name, Kept { options, ..Kept::default() });
                Ok(json!({}))
            }
            "Remove" => {
                let kept = volumes.get(&name).ok_or_else(nosuch)?;
                if !kept.mounts.is_empty() {
                    return Err(format!("volume {name} is mounted"));
                }
                volumes.remove(&name);
                let _ = std::fs::remove_dir_all(&place);
                Ok(json!({}))
            }
            "Mount" => {
                volumes.get_mut(&name).ok_or_else(nosuch)?.mounts.insert(id);
                Ok(json!({ "Mountpoint": place_text(&place) }))
            }
            "Unmount" => match volumes.get_mut(&name).ok_or_else(nosuch)?.mounts.remove(&id) {
                true => Ok(json!({})),
                false => Err(format!("{id} has not mounted {name}")),
            },
            "Path" => Ok(json!({ "Mountpoint": place_text(&place) })),
            "Get" => {
                volumes.get(&name).map(|kept| json!({ "Volume": shown(&name, kept) })).ok_or_else(nosuch)
            }
            "List" => {
                let all: Vec<Value> = volumes.iter().map(|(name, kept)| shown(name, kept)).collect();
                Ok(json!({ "Volumes": all }))
            }
            other => Err(format!("{other} is no method")),
        }
    }
}

fn place_text(place: &Path) -> String {
    place.display().to_string()
}
