//! Errors as engines look for them: on stderr, and as a line of the log file.

use std::io::Write;

use super::Global;

/// Reports the failure of the command.
pub(super) fn error(global: &Global, text: &str) {
    // With a failing stderr or log file there is nowhere left to complain.
    let _ = writeln!(std::io::stderr(), "{text}");
    let Some(path) = &global.log else { return };
    let time = jiff::Timestamp::now().to_string();
    let line = if global.log_format == "json" {
        serde_json::json!({ "level": "error", "msg": text, "time": time }).to_string()
    } else {
        format!("time={time:?} level=error msg={text:?}")
    };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let _ = file.and_then(|mut file| writeln!(file, "{line}"));
}
