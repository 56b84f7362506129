//! What may have been meant by the name of a container that there is not.

use crate::app::App;
use crate::filters;

/// What the names stand behind that were not found; several are divided by commas.
const BEFORE: [&str; 3] = ["No such container: ", "no such object: ", "failed to start containers: "];
/// Names further apart are names of different things.
const EDITS_MAX: usize = 2;
/// Shorter names are near to each other anyway.
const LENGTH_MIN: usize = 6;

/// To be put behind `complaint`, if it is about a name that is almost that of a container.
pub(crate) async fn hint(app: &App, complaint: &str) -> Option<String> {
    let sought: Vec<&str> = missing(complaint).filter(|name| name.len() >= LENGTH_MIN).collect();
    if sought.is_empty() {
        return None;
    }
    let all = app.client.containers().list(true, 0, false, &filters::collect(&[])).await.ok()?;
    let names = all.iter().flat_map(|container| &container.names).map(|name| name.trim_start_matches('/'));
    meant(&sought, &names.collect::<Vec<_>>())
}

fn meant(sought: &[&str], names: &[&str]) -> Option<String> {
    // What is there was found, and failed otherwise.
    let missing = || sought.iter().filter(|sought| !names.contains(sought));
    let meant = names.iter().filter(|name| missing().any(|sought| is_near(sought, name)));
    let lines: Vec<String> = meant.map(|name| format!("\n\t{name}")).collect();
    match lines.len() {
        0 => None,
        1 => Some(format!("\n\nDid you mean this?{}", lines[0])),
        _ => Some(format!("\n\nDid you mean one of these?{}", lines.concat())),
    }
}

fn missing(complaint: &str) -> impl Iterator<Item = &str> {
    complaint
        .lines()
        .filter_map(|line| BEFORE.iter().find_map(|before| Some(line.split_once(before)?.1)))
        .flat_map(|names| names.split(", "))
}

/// By letters put in, left out or exchanged.
fn is_near(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > EDITS_MAX {
        return false;
    }
    // From the first letters of `a`, a row each, to the first of `b`.
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()] <= EDITS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_for_what_is_not_there_another_is_named() {
        let one = "\n\nDid you mean this?\n\tserver-1";
        assert_eq!(meant(&["sevrer-1"], &["server-1", "other"]).as_deref(), Some(one));
        assert_eq!(meant(&["server-1"], &["server-1", "server-2"]), None);
        assert_eq!(meant(&["nobody"], &["server-1"]), None);
        let both = "\n\nDid you mean one of these?\n\tserver-1\n\tserver-2";
        assert_eq!(meant(&["server-3"], &["server-1", "server-2"]).as_deref(), Some(both));
    }

    #[test]
    fn names_are_found_and_compared() {
        let of = |text| missing(text).collect::<Vec<_>>();
        assert_eq!(of("Error response from daemon: No such container: web-1\nRun 'x'"), ["web-1"]);
        assert_eq!(of("failed to start containers: a, b"), ["a", "b"]);
        assert_eq!(of("error: no such object: x\n[]"), ["x"]);
        assert!(of("Error response from daemon: No such image: web-1").is_empty());
        assert!(is_near("bob_the_container", "bob_the_contariner"));
        assert!(is_near("daemon_dave", "daemon_dvae") && is_near("", "ab"));
        assert!(!is_near("daemon_dave", "daemon_bob") && !is_near("abc", "abcdef"));
    }
}
