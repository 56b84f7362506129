//! Paths as `docker cp` means them: whether one ends in `/` or `/.` counts, and what is copied gets its name from it.
//!
//! Go's `path/filepath`, as far as the rules are made of it.

/// `CONTAINER:PATH`, or a path here. One with a colon in it needs a slash or a dot before.
pub(super) fn split(argument: &str) -> (&str, &str) {
    if argument.starts_with('/') {
        return ("", argument);
    }
    match argument.split_once(':') {
        Some((container, path)) if !container.starts_with('.') => (container, path),
        _ => ("", argument),
    }
}

/// Without `.`, `..`, double slashes and a slash at its end, as far as the text alone says.
pub(super) fn clean(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => _ = parts.pop(),
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    match (absolute, parts.join("/")) {
        (true, path) => format!("/{path}"),
        (false, path) if path.is_empty() => ".".into(),
        (false, path) => path,
    }
}

/// The last part.
pub(super) fn base(path: &str) -> &str {
    let bare = path.trim_end_matches('/');
    match (path, bare) {
        ("", _) => ".",
        (_, "") => "/",
        _ => bare.rsplit_once('/').map_or(bare, |(_, base)| base),
    }
}

/// All but the last part.
pub(super) fn dir(path: &str) -> String {
    path.rsplit_once('/').map_or_else(|| ".".into(), |(dir, _)| clean(&format!("{dir}/")))
}

pub(super) fn join(dir: &str, path: &str) -> String {
    clean(&format!("{dir}/{path}"))
}

pub(super) fn ends_in_dot(path: &str) -> bool {
    base(path) == "."
}

/// Says that it is a directory.
pub(super) fn asserts_directory(path: &str) -> bool {
    path.ends_with('/') || ends_in_dot(path)
}

/// `cleaned` with what the end of the `original` said.
pub(super) fn keep_end(mut cleaned: String, original: &str) -> String {
    if !ends_in_dot(&cleaned) && ends_in_dot(original) {
        if !cleaned.ends_with('/') {
            cleaned.push('/');
        }
        cleaned.push('.');
    }
    if !cleaned.ends_with('/') && original.ends_with('/') {
        cleaned.push('/');
    }
    cleaned
}

/// Directory and name; a dot at the end is a name.
pub(super) fn split_entry(path: &str) -> (String, String) {
    let mut cleaned = clean(path);
    if ends_in_dot(path) {
        cleaned.push_str("/.");
    }
    (dir(&cleaned), base(&cleaned).to_owned())
}

/// A link's target with what the end of the link's path said, and the name that entries are to have, if it differs.
pub(super) fn rebase(path: &str, target: &str) -> (String, Option<String>) {
    let mut target = target.to_owned();
    if ends_in_dot(path) && !ends_in_dot(&target) {
        target.push_str("/.");
    }
    if path.ends_with('/') && !target.ends_with('/') {
        target.push('/');
    }
    let name = (base(path) != base(&target)).then(|| base(path).to_owned());
    (target, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_split_at_the_first_colon() {
        assert_eq!(split("c:/x"), ("c", "/x"));
        assert_eq!(split("c:"), ("c", ""));
        assert_eq!(split("/a:b"), ("", "/a:b"));
        assert_eq!(split("./a:b"), ("", "./a:b"));
        assert_eq!(split("-"), ("", "-"));
        assert_eq!(split("c:a:b"), ("c", "a:b"));
    }

    #[test]
    fn paths_are_go_s() {
        for (path, cleaned) in
            [("", "."), ("a/../..", ".."), ("/../a/", "/a"), ("a//b/./c/..", "a/b"), ("/", "/"), ("/.", "/")]
        {
            assert_eq!(clean(path), cleaned, "{path:?}");
        }
        for (path, name) in [("", "."), ("/", "/"), ("a/", "a"), ("/a/.", "."), ("a", "a")] {
            assert_eq!(base(path), name, "{path:?}");
        }
        for (path, directory) in [("a", "."), ("/a", "/"), ("/a/b", "/a"), ("a/b/", "a/b"), ("/", "/")] {
            assert_eq!(dir(path), directory, "{path:?}");
        }
        assert_eq!(split_entry("/a/b/"), ("/a".into(), "b".into()));
        assert_eq!(split_entry("/a/b/."), ("/a/b".into(), ".".into()));
        assert_eq!(split_entry("/"), ("/".into(), "/".into()));
        assert_eq!(keep_end("/a".into(), "a/."), "/a/.");
        assert_eq!(keep_end("/".into(), "./."), "/.");
        assert_eq!(keep_end("/a".into(), "a/"), "/a/");
        assert_eq!(rebase("/l/", "/t"), ("/t/".into(), Some("l".into())));
        assert_eq!(rebase("/t", "/t"), ("/t".into(), None));
    }
}
