//! What is kept of an exec that runs, for a later engine. It lives as long as the process's monitor has something to
//! say, beside that, and so in memory only: after a power cut there are no execs.

use serde::{Deserialize, Serialize};

use super::ExecView;

/// The version that this engine writes and reads.
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    version: u32,
    open_stdin: bool,
    open_stdout: bool,
    open_stderr: bool,
    detach_keys: String,
    tty: bool,
    entrypoint: String,
    arguments: Vec<String>,
    user: String,
    privileged: bool,
}

pub(super) fn write(view: &ExecView) -> Vec<u8> {
    let note = Note {
        version: VERSION,
        open_stdin: view.open_stdin,
        open_stdout: view.open_stdout,
        open_stderr: view.open_stderr,
        detach_keys: view.detach_keys.clone(),
        tty: view.tty,
        entrypoint: view.entrypoint.clone(),
        arguments: view.arguments.clone(),
        user: view.user.clone(),
        privileged: view.privileged,
    };
    serde_json::to_vec(&note).expect("a note has string keys only")
}

/// `None` for one that is not whole, or another version's.
pub(super) fn read(container_id: &str, id: &str, note: &[u8]) -> Option<ExecView> {
    let note: Note = serde_json::from_slice(note).ok()?;
    (note.version == VERSION).then(|| ExecView {
        id: id.to_owned(),
        container_id: container_id.to_owned(),
        open_stdin: note.open_stdin,
        open_stdout: note.open_stdout,
        open_stderr: note.open_stderr,
        detach_keys: note.detach_keys,
        tty: note.tty,
        entrypoint: note.entrypoint,
        arguments: note.arguments,
        user: note.user,
        privileged: note.privileged,
        ..ExecView::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_comes_back_and_half_a_one_does_not() {
        let view = ExecView {
            id: "e".into(),
            container_id: "c".into(),
            open_stdout: true,
            tty: true,
            entrypoint: "sh".into(),
            arguments: vec!["-c".into(), "a \"b\"".into()],
            user: "root".into(),
            ..ExecView::default()
        };
        let note = write(&view);
        assert_eq!(read("c", "e", &note), Some(view));
        assert_eq!(read("c", "e", &note[..note.len() - 1]), None);
        assert_eq!(read("c", "e", &[]), None);
        let newer = String::from_utf8(note).unwrap().replace("\"version\":1", "\"version\":2");
        assert_eq!(read("c", "e", newer.as_bytes()), None);
    }
}
