//! YAML as a tree of texts: what a scalar means is the matter of whoever wants it, as in Go, where `1_000` and `yes` are
//! read by the field that they go into.

use saphyr_parser::{Event, Parser, ScalarStyle};

/// Aliases repeat what is there; a file that grows beyond this is meant to hurt.
const NODES_MAX: usize = 100_000;
/// Deeper is nobody's configuration.
const DEPTH_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    /// `config.yml:12`, or the variable that it comes from.
    pub(crate) place: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    pub(crate) fn new(value: Value, place: &str) -> Node {
        Node { value, place: place.to_owned() }
    }

    pub(crate) fn entries(&self) -> &[(String, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }
}

/// Reads one document. `place`: what lines are said to be of; without `lines`, it is all there is to say.
pub(crate) fn parse(text: &str, place: &str, lines: bool) -> Result<Node, String> {
    let mut reader =
        Reader { parser: Parser::new_from_str(text), anchors: Vec::new(), place, lines, nodes: 0 };
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(_), _) => {}
            (Event::StreamEnd, line) => return Ok(Node::new(Value::Null, &reader.at(line))),
            (event, line) => {
                let node = reader.node(event, line, 0)?;
                loop {
                    match reader.next()? {
                        (Event::DocumentEnd, _) => {}
                        (Event::StreamEnd, _) => return Ok(node),
                        (_, line) => return Err(format!("{}: a second document", reader.at(line))),
                    }
                }
            }
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: Vec<(usize, Node)>,
    place: &'a str,
    lines: bool,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn at(&self, line: usize) -> String {
        match self.lines {
            true => format!("{}:{line}", self.place),
            false => self.place.to_owned(),
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, usize), String> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => Err(format!("{}: {}", self.at(error.marker().line()), error.info())),
            None => Ok((Event::StreamEnd, 0)),
        }
    }

    fn node(&mut self, event: Event<'a>, line: usize, depth: usize) -> Result<Node, String> {
        let place = self.at(line);
        self.nodes += 1;
        if self.nodes > NODES_MAX || depth > DEPTH_MAX {
            return Err(format!("{place}: too much, or too deep, for a configuration"));
        }
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let is_null =
                    style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                (anchor, if is_null { Value::Null } else { Value::Text(text.into_owned()) })
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, line) => items.push(self.node(event, line, depth + 1)?),
                    }
                }
                (anchor, Value::List(items))
            }
            Event::MappingStart(anchor, _) => (anchor, Value::Map(self.entries(depth)?)),
            Event::Alias(anchor) => {
                let known = self.anchors.iter().rev().find(|(known, _)| *known == anchor);
                let node = known.map(|(_, node)| node.clone());
                let node = node.ok_or_else(|| format!("{place}: an alias of what is not whole yet"))?;
                self.nodes += size(&node);
                return Ok(node);
            }
            other => return Err(format!("{place}: unexpected {other:?}")),
        };
        let node = Node::new(value, &place);
        if anchor > 0 {
            self.anchors.push((anchor, node.clone()));
        }
        Ok(node)
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<(String, Node)>, String> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => return Ok(entries),
                (Event::Scalar(text, ..), line) => (text.into_owned(), line),
                (_, line) => return Err(format!("{}: a key that is no word", self.at(line))),
            };
            let (event, line) = self.next()?;
            let mut node = self.node(event, line, depth + 1)?;
            // An empty value is said to be where its key is.
            if matches!(node.value, Value::Null | Value::Map(_) | Value::List(_)) {
                node.place = self.at(key.1);
            }
            if entries.iter().any(|(known, _)| *known == key.0) {
                return Err(format!("{}: {} is there twice", self.at(key.1), key.0));
            }
            entries.push((key.0, node));
        }
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|(_, node)| size(node)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_become_trees_of_texts() {
        let node = parse("a:\n  b: 0.1 # x\n  c: [yes, '~', ~]\nd: &x {e: 1}\nf: *x\n", "f", true).unwrap();
        assert_eq!(node.get("a").unwrap().get("b").unwrap(), &Node::new(Value::Text("0.1".into()), "f:2"));
        let Value::List(items) = &node.get("a").unwrap().get("c").unwrap().value else { panic!("{node:?}") };
        let values: Vec<_> = items.iter().map(|item| item.value.clone()).collect();
        assert_eq!(values, [Value::Text("yes".into()), Value::Text("~".into()), Value::Null]);
        assert_eq!(node.get("f").unwrap().get("e").unwrap().value, Value::Text("1".into()));
        assert_eq!(parse("", "f", true).unwrap().value, Value::Null);
    }

    #[test]
    fn what_is_no_configuration_is_refused_with_its_line() {
        for (text, expected) in [
            ("a: 1\na: 2\n", "f:2: a is there twice"),
            ("a: [", "f:"),
            ("a: 1\n---\nb: 2\n", "f:2: a second document"),
            ("? [a]\n: b\n", "f:1: a key that is no word"),
        ] {
            let error = parse(text, "f", true).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..9 {
            let of = format!("*a{}", n - 1);
            bomb += &format!("a{n}: &a{n} [{}]\n", [of.as_str(); 10].join(", "));
        }
        assert!(parse(&bomb, "f", true).unwrap_err().contains("too much"));
        assert!(parse(&"[".repeat(100), "f", true).is_err());
    }
}
