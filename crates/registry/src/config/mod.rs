//! `config.yml`, as Docker's registry has it (Distribution 2.8 and 3), with the environment over it.
//!
//! ```text
//! yaml.rs: text → tree ─► environment.rs: variables over it ─► keys.rs: is each key one that is honoured? ─► read.rs: tree → settings
//! ```
//!
//! A key that is not honoured is refused by its name, with the reason; nothing is read and left unheeded. What is below
//! `wharf` is ours.

mod bucket;
mod duration;
mod environment;
mod keys;
mod read;
mod yaml;

use std::path::Path;

use crate::error::{Code, Error, Result};
use crate::settings::Settings;

pub(crate) use duration::parse as duration;
pub(crate) use read::address;

use keys::{Found, Rule};
use yaml::{Node, Value};

/// What a file and the environment say.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    /// Variables that look as if they were meant for us, and are nobody's.
    pub(crate) strangers: Vec<String>,
}

/// Reads the file, if there is one, and the variables.
///
/// # Errors
/// The file cannot be read; it, or a variable, says something that cannot be honoured.
pub(crate) fn load(file: Option<&Path>, variables: impl Iterator<Item = (String, String)>) -> Result<Loaded> {
    let wrong = |message: String| Error::new(Code::Unknown, message);
    let mut root = match file {
        None => Node::new(Value::Null, "environment"),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| wrong(format!("read the configuration {}: {error}", path.display())))?;
            yaml::parse(&text, &path.display().to_string(), true).map_err(wrong)?
        }
    };
    let strangers = environment::overlay(&mut root, variables).map_err(wrong)?;
    check(&root, &mut Vec::new()).map_err(wrong)?;
    let settings = read::settings(&root, file.is_some()).map_err(wrong)?;
    Ok(Loaded { settings, strangers })
}

/// Refuses whatever is not honoured, by its name.
fn check(node: &Node, path: &mut Vec<String>) -> Result<(), String> {
    let name = path.join(".");
    match keys::find(path) {
        _ if path.is_empty() => {}
        Some(Found::Inside) => {}
        Some(Found::Key(Rule::Honoured)) => return Ok(()),
        Some(Found::Key(Rule::Refused(reason))) => {
            return match is_nothing(node) {
                true => Ok(()),
                false => Err(format!("{}: {name} is not supported: {reason}", node.place)),
            };
        }
        None => return Err(format!("{}: unknown key {name}", node.place)),
    }
    match &node.value {
        Value::Null => Ok(()),
        Value::Map(entries) => entries.iter().try_for_each(|(word, node)| {
            path.push(word.clone());
            let checked = check(node, path);
            path.pop();
            checked
        }),
        Value::List(items) if keys::is_list(path) => {
            items.iter().enumerate().try_for_each(|(index, node)| {
                path.push(index.to_string());
                let checked = check(node, path);
                path.pop();
                checked
            })
        }
        // `storage: filesystem`.
        Value::Text(word) if matches!(name.as_str(), "storage" | "auth") => {
            let inside = Node::new(
                Value::Map(vec![(word.clone(), Node::new(Value::Text("yes".into()), &node.place))]),
                &node.place,
            );
            match keys::find(&[name.clone(), word.clone()]) {
                Some(Found::Inside) => Ok(()),
                _ => check(&inside, path),
            }
        }
        _ => Err(format!("{}: {name} is a section: it has keys", node.place)),
    }
}

/// What says no, or nothing, asks for nothing.
fn is_nothing(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Text(text) => matches!(text.as_str(), "" | "false"),
        Value::List(items) => items.iter().all(is_nothing),
        Value::Map(entries) => entries.iter().all(|(_, node)| is_nothing(node)),
    }
}

#[cfg(test)]
mod tests;
