//! Which tags stay: the first rule that is for a tag decides, and a tag that none is for stays.

use std::time::Duration;

use crate::name::subject;
use crate::pattern;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Patterns, as in the rules of access.
    pub repositories: String,
    pub tags: String,
    /// The newest so many stay; those that are younger stay, too. Neither: all do.
    pub keep: Option<usize>,
    pub age: Option<Duration>,
}

impl Rule {
    pub(crate) fn is_for(&self, repository: &str, tag: &str) -> bool {
        // What clients keep about a manifest under its digest stays with that, unless it is meant.
        let is_meant = subject(tag).is_none() || self.tags.starts_with("sha");
        is_meant
            && pattern::matches(self.repositories.as_bytes(), repository.as_bytes())
            && pattern::matches(self.tags.as_bytes(), tag.as_bytes())
    }

    /// Why a tag goes that is the one in this place, the newest being 0, and so old. `None`: it stays.
    pub(crate) fn goes(&self, place: usize, age: Duration) -> Option<String> {
        let few = self.keep.map(|keep| (place < keep, format!("it is not among the newest {keep}")));
        let young = self.age.map(|most| (age < most, format!("it is older than {}", words(most))));
        let rules = [few, young];
        let stays = rules.iter().flatten().any(|(stays, _)| *stays) || rules.iter().flatten().count() == 0;
        let why: Vec<String> = rules.into_iter().flatten().map(|(_, why)| why).collect();
        (!stays).then(|| why.join(", and "))
    }
}

fn words(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds > 0 && seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds > 0 && seconds % 60 == 0 => format!("{}m", seconds / 60),
        _ => format!("{time:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_decide() {
        let rule = |keep, age: Option<u64>| Rule {
            repositories: "team/**".into(),
            tags: "v*".into(),
            keep,
            age: age.map(Duration::from_secs),
        };
        assert!(rule(None, None).is_for("team/a/b", "v1") && !rule(None, None).is_for("team/a", "latest"));
        let at = |rule: Rule, place, age| rule.goes(place, Duration::from_secs(age));
        assert_eq!(at(rule(Some(2), None), 1, 9), None);
        assert_eq!(at(rule(Some(2), None), 2, 9).unwrap(), "it is not among the newest 2");
        assert_eq!(at(rule(None, Some(3600)), 9, 3600).unwrap(), "it is older than 1h");
        // Either keeps it.
        assert_eq!(at(rule(Some(2), Some(60)), 5, 30), None);
        assert_eq!(
            at(rule(Some(2), Some(60)), 5, 90).unwrap(),
            "it is not among the newest 2, and it is older than 1m"
        );
        assert_eq!(at(rule(None, None), 99, 9999), None);
        let signature = format!("sha256-{}.sig", "a".repeat(64));
        let all = |tags: &str| Rule { tags: tags.into(), ..rule(Some(1), None) };
        assert!(!all("*").is_for("team/a", &signature) && all("sha256-*").is_for("team/a", &signature));
    }
}
