//! `REGISTRY_<SECTION>_<KEY>=<YAML>`: what the environment says over the file, by the names of Docker's registry.
//!
//! What no key is called is none of ours: in a cluster, a service that is called `registry` leaves `REGISTRY_PORT` and the
//! like with every process. It is told of, and left alone.

use super::keys::{self, Found};
use super::yaml::{self, Node, Value};

const PREFIX: &str = "REGISTRY_";
/// Not of the configuration.
const OTHERS: [&str; 3] = ["CONFIGURATION_PATH", "TOKEN_AUTH", "RULES"];

/// Writes variables into the tree, in the order of their names; those that are nobody's.
pub(crate) fn overlay(
    root: &mut Node,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<Vec<String>, String> {
    let mut variables: Vec<_> = variables.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    variables.sort();
    let mut strangers = Vec::new();
    for (name, text) in variables {
        let words = &name[PREFIX.len()..];
        if OTHERS.contains(&words) {
            continue;
        }
        match path(words) {
            Some(path) => {
                let node = yaml::parse(&text, &name, false)?;
                put(root, &path, node).map_err(|what| format!("{name}: {what}"))?;
            }
            None => strangers.push(name),
        }
    }
    Ok(strangers)
}

/// The path of a variable, as a file would have it.
fn path(words: &str) -> Option<Vec<String>> {
    let mut path: Vec<String> = Vec::new();
    for word in words.split('_') {
        // Everything below a key that is refused is refused with it.
        if matches!(keys::find(&path), Some(Found::Key(_))) && !path.is_empty() {
            return match keys::find(&path) {
                Some(Found::Key(keys::Rule::Refused(_))) => Some(path),
                _ => None,
            };
        }
        let lower = word.to_lowercase();
        path.push(lower);
        keys::find(&path)?;
    }
    Some(path)
}

fn put(node: &mut Node, path: &[String], value: Node) -> Result<(), String> {
    let Some((word, rest)) = path.split_first() else {
        *node = value;
        return Ok(());
    };
    if let Value::List(items) = &mut node.value {
        let index: usize = word.parse().map_err(|_| format!("{word} is not the number of an item"))?;
        if index > items.len() {
            return Err(format!("there is no item {index}, and the next would be {}", items.len()));
        }
        if index == items.len() {
            items.push(Node::new(Value::Null, &value.place));
        }
        return put(&mut items[index], rest, value);
    }
    if word.bytes().all(|b| b.is_ascii_digit()) && node.value == Value::Null {
        node.value = Value::List(Vec::new());
        return put(node, path, value);
    }
    // A section that was one word (`REGISTRY_AUTH=htpasswd`) and now gets its keys.
    if let Value::Text(text) = &node.value {
        let name = text.clone();
        node.value = Value::Map(vec![(name, Node::new(Value::Null, &node.place))]);
    }
    if !matches!(node.value, Value::Map(_)) {
        *node = Node::new(Value::Map(Vec::new()), &value.place);
    }
    let Value::Map(entries) = &mut node.value else { return Ok(()) };
    let index = match entries.iter().position(|(name, _)| name.eq_ignore_ascii_case(word)) {
        Some(index) => index,
        None => {
            entries.push((word.clone(), Node::new(Value::Null, &value.place)));
            entries.len() - 1
        }
    };
    put(&mut entries[index].1, rest, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlaid(text: &str, variables: &[(&str, &str)]) -> Result<(Node, Vec<String>), String> {
        let mut root = yaml::parse(text, "f", true)?;
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        overlay(&mut root, variables).map(|strangers| (root, strangers))
    }

    #[test]
    fn variables_replace_what_the_file_says() {
        let text = "http:\n  addr: :1\n  headers:\n    X-A: [a]\n";
        let variables = [
            ("REGISTRY_HTTP_ADDR", ":2"),
            ("REGISTRY_HTTP_HEADERS_X-A", "[b]"),
            ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/x"),
            ("REGISTRY_HEALTH_FILE_0_FILE", "/y"),
            ("REGISTRY_PORT", "tcp://10.0.0.1:5000"),
            ("REGISTRY_PORT_5000_TCP_ADDR", "10.0.0.1"),
            ("REGISTRY_RULES", "/rules"),
            ("HOME", "/root"),
        ];
        let (root, strangers) = overlaid(text, &variables).unwrap();
        let of =
            |path: &str| path.split('.').try_fold(&root, |node, word| node.get(word)).unwrap().value.clone();
        assert_eq!(of("http.addr"), Value::Text(":2".into()));
        assert_eq!(of("storage.filesystem.rootdirectory"), Value::Text("/x".into()));
        let Value::List(items) = of("http.headers.X-A") else { panic!("{root:?}") };
        assert_eq!(items[0].value, Value::Text("b".into()));
        let Value::List(items) = of("health.file") else { panic!("{root:?}") };
        assert_eq!(items[0].get("file").unwrap().value, Value::Text("/y".into()));
        assert_eq!(strangers, ["REGISTRY_PORT", "REGISTRY_PORT_5000_TCP_ADDR"]);
    }

    #[test]
    fn sections_may_be_one_word() {
        let variables = [("REGISTRY_AUTH", "htpasswd"), ("REGISTRY_AUTH_HTPASSWD_REALM", "R")];
        let (root, _) = overlaid("", &variables).unwrap();
        let realm = root.get("auth").unwrap().get("htpasswd").unwrap().get("realm").unwrap();
        assert_eq!(realm.value, Value::Text("R".into()));
        let (root, _) = overlaid("", &[("REGISTRY_STORAGE_S3_BUCKET", "b")]).unwrap();
        assert!(root.get("storage").unwrap().get("s3").is_some());
        assert!(overlaid("", &[("REGISTRY_HEALTH_FILE_3_FILE", "x")]).unwrap_err().contains("no item 3"));
    }
}
