//! The driver `local`: what its volumes may be called.

use crate::error::{Error, Result};

/// Docker's rule; it keeps a name below the directory of volumes.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.len() == 1 {
        return Err(Error::invalid(format!(
            "create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )));
    }
    if !name.starts_with('/') && matches!(crate::container::names::check(name), Ok(Some(_))) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "create {name}: \"{name}\" includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["ab", "a.b-c_d", "0a"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "a", ".a", "../a", "a/b", "/ab", "a b", "-a", "ä0"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
