//! Which room may know which. The table is the arrow drawing of `ARCHITECTURE.md`.

use std::fs;
use std::path::Path;

/// (crate, the crates of this workspace it may depend on).
const ALLOWED: &[(&str, &[&str])] = &[
    ("oci", &[]),
    ("api", &[]),
    ("gotemplate", &[]),
    ("archive", &["sys"]),
    ("sys", &[]),
    ("cgroups", &["oci", "sys"]),
    ("check", &["cgroups", "sys", "net"]),
    ("logs", &["dial", "gotemplate"]),
    ("store", &["archive", "oci", "sys"]),
    ("net", &["sys"]),
    ("registry", &["dial", "distribution", "oci"]),
    ("resolver", &["sys"]),
    ("runtime", &["cgroups", "oci", "sys"]),
    ("shim", &["cgroups", "logs", "oci", "runtime", "sys"]),
    ("dial", &[]),
    ("plugins", &["dial"]),
    ("distribution", &["dial", "oci"]),
    ("engine", &["archive", "distribution", "logs", "oci", "store"]),
    ("server", &["api", "engine", "oci"]),
    (
        "daemon",
        &[
            "cgroups",
            "check",
            "dial",
            "distribution",
            "engine",
            "logs",
            "net",
            "oci",
            "plugins",
            "resolver",
            "runtime",
            "server",
            "shim",
            "store",
            "sys",
        ],
    ),
    ("client", &["api", "dial"]),
    ("cli", &["api", "archive", "client", "gotemplate", "oci"]),
    ("testkit", &[]),
    ("wharf", &["check", "cli", "daemon", "registry", "resolver", "runtime", "shim"]),
    ("xtask", &[]),
];

/// Complains about a dependency that the table does not allow, and about a crate that it does not know.
pub(crate) fn check(root: &Path) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, manifest) in super::map::manifests(root) {
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
            broken.push(format!("xtask/src/tidy/imports.rs: crate `{name}` has no row"));
            continue;
        };
        let text = fs::read_to_string(root.join(&manifest)).unwrap_or_default();
        for dependency in dependencies(&text) {
            let ours = ALLOWED.iter().any(|(known, _)| *known == dependency);
            if ours && !allowed.contains(&dependency.as_str()) {
                broken.push(format!("{manifest}: `{name}` may not know `{dependency}`"));
            }
        }
    }
    broken
}

/// Names under `[dependencies]` (not dev-dependencies: tests may look anywhere).
fn dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[dependencies]";
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            names.extend(line.split(['.', ' ', '=']).next().map(str::to_owned));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_real_dependencies_are_read() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\n# why\na.workspace = true\nb = \"1\"\n[dev-dependencies]\nc = \"1\"\n";
        assert_eq!(super::dependencies(manifest), ["a", "b"]);
    }
}
