//! Environment variables and labels, from flags and from files.

use std::io::Read;
use std::path::Path;

/// `NAME`, `NAME=value`; a name must be there.
pub(crate) fn check(text: &str) -> Result<(), String> {
    if text.is_empty() || text.starts_with('=') {
        return Err(format!("invalid environment variable: {text}"));
    }
    Ok(())
}

/// The variables of `files`, then those of flags. A bare `NAME` takes this process's value, and is left out when it
/// has none here.
pub(crate) fn variables(files: &[String], flags: &[String]) -> Result<Vec<String>, String> {
    let lookup = |name: &str| std::env::var(name).ok();
    let mut variables = Vec::new();
    for file in files {
        variables.extend(read_file(Path::new(file), Some(&lookup))?);
    }
    for flag in flags {
        if flag.contains('=') {
            variables.push(flag.clone());
        } else if let Some(value) = lookup(flag) {
            variables.push(format!("{flag}={value}"));
        } else {
            // Docker sends the bare name on: the engine drops the image's value.
            variables.push(flag.clone());
        }
    }
    Ok(variables)
}

/// The labels of `files`, then those of flags, as pairs.
pub(crate) fn labels(files: &[String], flags: &[String]) -> Result<Vec<(String, String)>, String> {
    let mut labels = Vec::new();
    for file in files {
        labels.extend(read_file(Path::new(file), None)?);
    }
    labels.extend(flags.iter().cloned());
    Ok(labels.iter().map(|label| pair(label)).collect())
}

/// `key=value`; without `=` the value is empty.
pub(crate) fn pair(text: &str) -> (String, String) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    (key.to_owned(), value.to_owned())
}

type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

fn read_file(path: &Path, lookup: Option<Lookup<'_>>) -> Result<Vec<String>, String> {
    let shown = path.display();
    let reason = crate::failure::reason;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .map_err(|error| format!("open {shown}: {}", reason(&error)))?
        .read_to_end(&mut bytes)
        .map_err(|error| format!("invalid env file ({shown}): read {shown}: {}", reason(&error)))?;
    let mut entries = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = std::str::from_utf8(line).map_err(|_| {
            format!("invalid utf8 bytes at line {}: {:?}", index + 1, String::from_utf8_lossy(line))
        })?;
        let line = if index == 0 { line.strip_prefix('\u{feff}').unwrap_or(line) } else { line };
        let line = line.strip_suffix('\r').unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (line, None),
        };
        if name.is_empty() {
            return Err(format!("invalid env file ({shown}): no variable name on line '{line}'"));
        }
        let name = if value.is_none() { name.trim_end() } else { name };
        if name.contains(char::is_whitespace) {
            return Err(format!("invalid env file ({shown}): variable '{name}' contains whitespaces"));
        }
        match (value, lookup) {
            (Some(value), _) => entries.push(format!("{name}={value}")),
            (None, Some(lookup)) => entries.extend(lookup(name).map(|value| format!("{name}={value}"))),
            // A label without a value says nothing in a file, where a flag says it is there.
            (None, None) => {}
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_file_has_comments_bare_names_and_values_with_equal_signs() {
        let file = file("# comment\n\n  A=1\nB=x=y  \r\nNO_SUCH_VARIABLE_HERE\nPATH\n");
        let path = file.path().to_str().unwrap().to_owned();
        let got = variables(&[path], &["C=3".into(), "NO_SUCH_VARIABLE_HERE".into()]).unwrap();
        assert_eq!(got[..2], ["A=1".to_owned(), "B=x=y  ".to_owned()]);
        assert!(got[2].starts_with("PATH="));
        assert_eq!(got[3..], ["C=3".to_owned(), "NO_SUCH_VARIABLE_HERE".to_owned()]);
    }

    #[test]
    fn a_bad_line_is_named() {
        let file = file("A B=1\n");
        let path = file.path().to_str().unwrap().to_owned();
        let error = variables(std::slice::from_ref(&path), &[]).unwrap_err();
        assert_eq!(error, format!("invalid env file ({path}): variable 'A B' contains whitespaces"));
        assert_eq!(
            variables(&["/nonexistent".into()], &[]).unwrap_err(),
            "open /nonexistent: no such file or directory"
        );
    }

    #[test]
    fn labels_are_pairs() {
        assert_eq!(
            labels(&[], &["a=b=c".into(), "d".into()]).unwrap(),
            [("a".to_owned(), "b=c".to_owned()), ("d".to_owned(), String::new())]
        );
    }
}
