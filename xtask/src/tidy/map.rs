//! The map (`ARCHITECTURE.md`) names every crate and gives a reason for every dependency.

use std::fs;
use std::path::Path;

/// (crate, its manifest relative to the root), for every crate of the workspace.
pub(crate) fn manifests(root: &Path) -> Vec<(String, String)> {
    let mut found = vec![
        ("wharf".to_owned(), "wharf/Cargo.toml".to_owned()),
        ("xtask".to_owned(), "xtask/Cargo.toml".to_owned()),
    ];
    for entry in fs::read_dir(root.join("crates")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().join("Cargo.toml").exists() {
            found.push((name.clone(), format!("crates/{name}/Cargo.toml")));
        }
    }
    found.sort();
    found
}

/// Complains about a crate or a dependency that the map leaves out.
pub(crate) fn check(root: &Path) -> Vec<String> {
    let map = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap_or_default();
    let mut broken = Vec::new();
    for (name, manifest) in manifests(root) {
        if name != "xtask" && name != "wharf" && !map.contains(&format!("| `{name}` |")) {
            broken.push(format!("ARCHITECTURE.md: no row for crate `{name}` ({manifest})"));
        }
    }
    let reasons: Vec<&str> = map.lines().skip_while(|l| !l.starts_with("## Dependencies")).collect();
    let named = |dependency: &str| {
        reasons.iter().any(|row| {
            row.split('|').nth(1).is_some_and(|cell| {
                cell.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').any(|w| w == dependency)
            })
        })
    };
    let workspace = fs::read_to_string(root.join("Cargo.toml")).unwrap_or_default();
    let mut inside = false;
    for line in workspace.lines() {
        if line.starts_with('[') {
            inside = line == "[workspace.dependencies]";
        } else if inside
            && let Some((dependency, value)) = line.split_once(" = ")
            && !value.contains("path =")
            && !named(dependency)
        {
            broken.push(format!("ARCHITECTURE.md: no reason for the dependency `{dependency}`"));
        }
    }
    broken
}
