//! `--security-opt`: a seccomp profile is read here and travels as text; `systempaths` never travels.

use crate::failure;

/// What the options ask of the engine.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Security {
    pub(crate) options: Vec<String>,
    /// `systempaths=unconfined`: nothing of /proc and /sys is masked or read-only.
    pub(crate) open_system_paths: bool,
}

pub(crate) fn parse(given: &[String]) -> Result<Security, String> {
    let mut security = Security::default();
    for option in given {
        let pair = option.split_once('=').or_else(|| {
            // Docker took colons first, and still does.
            if option == "no-new-privileges" { None } else { option.split_once(':') }
        });
        let (key, value) = pair.unwrap_or((option, ""));
        if value.is_empty() && key != "no-new-privileges" {
            return Err(format!("invalid --security-opt: {option:?}"));
        }
        match (key, value) {
            ("systempaths", "unconfined") => security.open_system_paths = true,
            ("seccomp", "unconfined" | "builtin") => security.options.push(option.clone()),
            ("seccomp", file) => {
                let bytes = std::fs::read(file).map_err(|error| {
                    format!(
                        "opening seccomp profile ({file}) failed: open {file}: {}",
                        failure::reason(&error)
                    )
                })?;
                let profile: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| {
                    let why = if error.is_eof() {
                        "unexpected end of JSON input".into()
                    } else {
                        error.to_string()
                    };
                    format!("compacting json for seccomp profile ({file}) failed: {why}")
                })?;
                security.options.push(format!("seccomp={profile}"));
            }
            _ => security.options.push(option.clone()),
        }
    }
    Ok(security)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(given: &[&str]) -> Result<Security, String> {
        parse(&given.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_profile_travels_as_text() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{\n  \"defaultAction\": \"SCMP_ACT_ALLOW\"\n}").unwrap();
        let got = options(&[&format!("seccomp={}", file.path().display())]).unwrap();
        assert_eq!(got.options, ["seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}"]);
    }

    #[test]
    fn forms() {
        let got =
            options(&["no-new-privileges", "apparmor=x", "label:disable", "systempaths=unconfined"]).unwrap();
        assert_eq!(got.options, ["no-new-privileges", "apparmor=x", "label:disable"]);
        assert!(got.open_system_paths);
        assert_eq!(options(&["foo"]).unwrap_err(), "invalid --security-opt: \"foo\"");
        assert_eq!(
            options(&["seccomp=/none"]).unwrap_err(),
            "opening seccomp profile (/none) failed: open /none: no such file or directory"
        );
    }
}
