//! `-v`: a path is a bind mount, a name a volume, a lone target an anonymous volume.

/// What one `-v` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Volume {
    /// Goes into `HostConfig.Binds` as it stands.
    Bind(String),
    /// A target without a source.
    Anonymous(String),
}

pub(crate) fn parse(text: &str) -> Result<Volume, String> {
    if text.is_empty() {
        return Err("invalid empty volume spec".into());
    }
    // As Docker: too short for a source and a target, whatever it is.
    if text.len() <= 2 {
        return Ok(Volume::Anonymous(text.to_owned()));
    }
    let parts = sections(text);
    if parts.len() > 1 && parts.iter().any(|part| part.is_empty()) {
        return Err(format!("invalid spec: {text}: empty section between colons"));
    }
    match parts[..] {
        [target] => Ok(Volume::Anonymous(target.to_owned())),
        [source, ref rest @ ..] if rest.len() <= 2 => {
            Ok(Volume::Bind(format!("{}:{}", absolute(source), rest.join(":"))))
        }
        _ => Err(format!("invalid spec: {text}: too many colons")),
    }
}

/// The colon of Chinese and Japanese keyboards separates nothing: what was meant as options is a part of the path.
pub(crate) fn full_width_colon(text: &str) -> Option<String> {
    let meant = text.replace('\u{ff1a}', ":");
    (meant != text).then(|| {
        format!(
            "WARNING: {text:?} has a full-width colon, which is a part of the path; did you mean {meant:?}?\n"
        )
    })
}

/// What the colons separate; the one behind a single letter is of a drive on Windows, wherever the client is.
fn sections(text: &str) -> Vec<&str> {
    let mut sections = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(':') {
        let section = &text[start..at];
        let mut letters = section.chars();
        let is_drive = letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none();
        if !is_drive {
            sections.push(section);
            start = at + 1;
        }
    }
    sections.push(&text[start..]);
    sections
}

/// A path that starts with a dot is meant from here; everything else stands as written.
pub(crate) fn absolute(path: &str) -> String {
    if !path.starts_with('.') {
        return path.to_owned();
    }
    let Ok(here) = std::env::current_dir() else { return path.to_owned() };
    let mut clean = std::path::PathBuf::new();
    for part in here.join(path).components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let here = std::env::current_dir().unwrap().display().to_string();
        assert_eq!(parse("/a:/b:ro"), Ok(Volume::Bind("/a:/b:ro".into())));
        assert_eq!(parse("data:/b"), Ok(Volume::Bind("data:/b".into())));
        assert_eq!(parse("./x:/b"), Ok(Volume::Bind(format!("{here}/x:/b"))));
        assert_eq!(parse("/b"), Ok(Volume::Anonymous("/b".into())));
        let warning = full_width_colon("/w:/var/www\u{ff1a}ro").unwrap();
        assert!(warning.contains("did you mean \"/w:/var/www:ro\"?"), "{warning}");
        assert_eq!(full_width_colon("/w:/var/www:ro"), None);
        assert_eq!(parse("ab::c"), Err("invalid spec: ab::c: empty section between colons".into()));
        assert_eq!(parse("c:/x"), Ok(Volume::Anonymous("c:/x".into())));
        assert_eq!(parse("c:/x:/b"), Ok(Volume::Bind("c:/x:/b".into())));
        assert_eq!(parse("/a:/b:ro:x"), Err("invalid spec: /a:/b:ro:x: too many colons".into()));
    }
}
