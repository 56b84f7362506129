//! The modules of a crate form layers, as the crates do: who is below does not know who is above. Looked at are the
//! modules right below a crate's root, each with all that is in it; tests may look anywhere.
//!
//! Modules that are halves of one thing stand in a table, with the reason. A circle through anything else is a
//! complaint that shows the whole way round.

use std::collections::{BTreeMap, BTreeSet};

use super::Source;

/// (crate, modules that may know each other, because).
const TOGETHER: &[(&str, &[&str], &str)] = &[
    ("api", &["container", "image"], "a container's config is an image's, in create and in commit"),
    (
        "cgroups",
        &["cgroup", "controllers", "stats"],
        "a cgroup applies its controllers, and they read other cgroups",
    ),
    ("client", &["connection", "hijack"], "a connection becomes a hijacked stream"),
    (
        "engine",
        &[
            "container",
            "core",
            "events",
            "execs",
            "images",
            "networks",
            "ports",
            "records",
            "settings",
            "stats",
            "storage",
            "volumes",
        ],
        "the domain's words and the ports that are spelled in them",
    ),
    ("net", &["published", "state"], "what is published changes the state that it is part of"),
    (
        "server",
        &["call", "hijack", "listen", "router", "routes"],
        "a route is given the call that the router makes",
    ),
    ("shim", &["client", "monitor", "spawner"], "the same program on both sides of a fork"),
    ("shim", &["protocol", "record"], "an event carries a record"),
    ("store", &["images", "snapshots"], "a snapshot is unpacked from an image's layers, and a load unpacks"),
    ("testkit", &["keeper", "place"], "a place is cleared by the keeper's script"),
];

/// Complains about each circle that the table does not allow, and about rows that are not needed any more.
pub(crate) fn check(sources: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, knows) in crates(sources) {
        for circle in circles(&knows) {
            let allowed = TOGETHER
                .iter()
                .any(|(of, modules, _)| *of == name && circle.iter().all(|m| modules.contains(&m.as_str())));
            if !allowed {
                broken.push(format!(
                    "crates/{name}/src: modules know each other in a circle: {}",
                    circle.join(", ")
                ));
            }
        }
        for (_, modules, _) in TOGETHER.iter().filter(|(of, ..)| *of == name) {
            for module in modules.iter().filter(|module| !knows.contains_key(**module)) {
                broken.push(format!("xtask/src/tidy/circles.rs: crate `{name}` has no module `{module}`"));
            }
        }
    }
    broken
}

/// Of one crate: module → the modules it names.
type Knows = BTreeMap<String, BTreeSet<String>>;

fn crates(sources: &[Source]) -> BTreeMap<String, Knows> {
    let mut crates: BTreeMap<String, Knows> = BTreeMap::new();
    let mut texts = Vec::new();
    for source in sources {
        let Some((name, path)) =
            source.path.strip_prefix("crates/").and_then(|path| path.split_once("/src/"))
        else {
            continue;
        };
        let module = path.split('/').next().unwrap_or(path).trim_end_matches(".rs");
        if matches!(module, "lib" | "main" | "tests")
            || path.ends_with("/tests.rs")
            || path.contains("/tests/")
        {
            continue;
        }
        crates.entry(name.to_owned()).or_default().entry(module.to_owned()).or_default();
        texts.push((name.to_owned(), module.to_owned(), source));
    }
    for (name, module, source) in texts {
        let Some(knows) = crates.get_mut(&name) else { continue };
        let named: BTreeSet<String> = named(&code(source))
            .into_iter()
            .filter(|other| *other != module && knows.contains_key(other))
            .collect();
        knows.entry(module).or_default().extend(named);
    }
    crates
}

/// Without comments, and without the tests at the end.
fn code(source: &Source) -> String {
    let lines: Vec<&str> = source.code_lines().map(|(_, line)| line).collect();
    let tests = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].ends_with('{'));
    lines[..tests.unwrap_or(lines.len())].join("\n")
}

/// What follows `crate::`, also within the braces of a `use`.
fn named(code: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            None => _ = found.insert(word(after)),
            Some(list) => {
                let mut depth = 0;
                let mut at_start = true;
                for (position, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => at_start = true,
                        c if at_start && !c.is_whitespace() => {
                            found.insert(word(&list[position..]));
                            at_start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

/// The largest sets of modules of which each reaches each, by name.
fn circles(knows: &Knows) -> Vec<Vec<String>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        knows.keys().map(|from| (from.as_str(), reach(knows, from))).collect();
    let mut circles: Vec<Vec<String>> = Vec::new();
    for (from, there) in &reached {
        let circle: Vec<String> = there
            .iter()
            .filter(|other| reached[*other].contains(from))
            .map(|&other| other.to_owned())
            .collect();
        if circle.len() > 1 && !circles.contains(&circle) {
            circles.push(circle);
        }
    }
    circles
}

fn reach<'a>(knows: &'a Knows, from: &str) -> BTreeSet<&'a str> {
    let mut there = BTreeSet::new();
    let mut open: Vec<&str> = knows.get(from).into_iter().flatten().map(String::as_str).collect();
    while let Some(next) = open.pop() {
        if there.insert(next) {
            open.extend(knows.get(next).into_iter().flatten().map(String::as_str));
        }
    }
    there
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_found_and_layers_are_none() {
        let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        let of = |top: &str| {
            check(&[
                source("crates/x/src/low.rs", "use std::io; // crate::top\n"),
                source("crates/x/src/middle/deep.rs", "use crate::{low::{A, top}, Error};\n"),
                source("crates/x/src/top.rs", "use crate::middle::B;\n"),
                source(
                    "crates/x/src/other.rs",
                    &format!("{top}\n#[cfg(test)]\nmod tests {{\n    use crate::top;\n"),
                ),
                source("crates/x/src/middle/mod.rs", "use crate::other;\n"),
            ])
        };
        assert_eq!(of("use crate::low;"), [""; 0]);
        let found = of("fn f(x: crate::top::X) {}");
        assert_eq!(found, ["crates/x/src: modules know each other in a circle: middle, other, top"]);
    }
}
