//! API history, as data at the edge: handlers see the newest shapes.
//!
//! `requests` turns what an older client sends into what its author meant; `answers` gives an older client the
//! fields it looks for. Each rule names the version that changed it.

pub(crate) mod answers;
pub(crate) mod requests;

/// `1.47`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ApiVersion {
    major: u16,
    minor: u16,
}

impl ApiVersion {
    pub(crate) const MIN: ApiVersion = ApiVersion::minor(24);
    pub(crate) const MAX: ApiVersion = ApiVersion::minor(55);

    /// `1.<minor>`.
    pub(crate) const fn minor(minor: u16) -> ApiVersion {
        ApiVersion { major: 1, minor }
    }

    pub(crate) fn parse(text: &str) -> Option<ApiVersion> {
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        Some(ApiVersion { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert_eq!(ApiVersion::parse(api::VERSION), Some(ApiVersion::MAX));
        assert_eq!(ApiVersion::parse(api::MIN_VERSION), Some(ApiVersion::MIN));
        assert!(ApiVersion::parse("1.9").unwrap() < ApiVersion::MIN);
        assert!(ApiVersion::parse("2").unwrap() > ApiVersion::MAX);
        assert_eq!(ApiVersion::parse("1.2.3"), None);
    }
}
