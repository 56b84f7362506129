//! What was found: a pure value, printed as a table or as JSON.

use std::fmt;

use serde::Serialize;

/// What a finding means for running containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    /// Worth knowing; nothing to be done.
    Info,
    /// Something works worse, or an option is refused.
    Missing,
    /// No container runs.
    Fatal,
}

/// The heading under which a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    Machine,
    Namespaces,
    Cgroups,
    Storage,
    Network,
    Security,
    Kernel,
}

impl Group {
    fn title(self) -> &'static str {
        match self {
            Self::Machine => "Machine",
            Self::Namespaces => "Namespaces",
            Self::Cgroups => "Control groups",
            Self::Storage => "Storage",
            Self::Network => "Network",
            Self::Security => "Security",
            Self::Kernel => "Kernel interfaces",
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub group: Group,
    pub name: &'static str,
    pub status: Status,
    /// What was seen: a version, a reason.
    pub detail: String,
    /// What to do about a lack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    pub(crate) fn new(group: Group, name: &'static str, status: Status, detail: impl Into<String>) -> Self {
        Self { group, name, status, detail: detail.into(), remedy: None }
    }

    /// `Ok`, or `lack` with its remedy.
    pub(crate) fn of(
        group: Group,
        name: &'static str,
        result: Result<String, String>,
        lack: Status,
        remedy: &str,
    ) -> Self {
        match result {
            Ok(detail) => Self::new(group, name, Status::Ok, detail),
            Err(reason) => Self { remedy: Some(remedy.to_owned()), ..Self::new(group, name, lack, reason) },
        }
    }
}

/// All findings, in the order of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether containers can run here.
    pub fn is_fit(&self) -> bool {
        self.findings.iter().all(|f| f.status != Status::Fatal)
    }

    /// One object with a newline: `{"fit":true,"findings":[...]}`.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Shape<'a> {
            fit: bool,
            findings: &'a [Finding],
        }
        let shape = Shape { fit: self.is_fit(), findings: &self.findings };
        serde_json::to_string_pretty(&shape).unwrap_or_default() + "\n"
    }

    fn count(&self, status: Status) -> usize {
        self.findings.iter().filter(|f| f.status == status).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.findings.iter().map(|finding| finding.name.len()).max().unwrap_or_default();
        let mut group = None;
        for finding in &self.findings {
            if group != Some(finding.group) {
                group = Some(finding.group);
                writeln!(f, "{}", finding.group.title())?;
            }
            let status = match finding.status {
                Status::Ok => "ok",
                Status::Info => "-",
                Status::Missing => "missing",
                Status::Fatal => "FATAL",
            };
            writeln!(
                f,
                "{}",
                format!("  {status:<8} {:width$}  {}", finding.name, finding.detail).trim_end()
            )?;
            if let Some(remedy) = &finding.remedy {
                writeln!(f, "  {:8} {:width$}  -> {remedy}", "", "")?;
            }
        }
        match (self.count(Status::Fatal), self.count(Status::Missing)) {
            (0, 0) => writeln!(f, "\nThis machine is fit: nothing is missing."),
            (0, n) => writeln!(f, "\nThis machine is fit. Missing, but optional: {n}."),
            (n, _) => writeln!(f, "\nThis machine is not fit. Missing, and needed by every container: {n}."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lack: Status) -> Report {
        Report {
            findings: vec![
                Finding::of(Group::Machine, "kernel", Ok("6.1.0".into()), Status::Fatal, "x"),
                Finding::of(
                    Group::Network,
                    "nftables",
                    Err("no such protocol".into()),
                    lack,
                    "load nf_tables",
                ),
            ],
        }
    }

    #[test]
    fn the_table_tells_each_lack_with_its_remedy() {
        assert_eq!(
            report(Status::Missing).to_string(),
            "Machine\n  ok       kernel    6.1.0\nNetwork\n  missing  nftables  no such protocol\n                     \
             -> load nf_tables\n\nThis machine is fit. Missing, but optional: 1.\n"
        );
        assert!(report(Status::Missing).is_fit());
    }

    #[test]
    fn a_fatal_lack_makes_it_unfit() {
        let report = report(Status::Fatal);
        assert!(!report.is_fit());
        assert!(report.to_json().starts_with("{\n  \"fit\": false,"));
        assert!(
            report.to_string().contains("This machine is not fit. Missing, and needed by every container: 1")
        );
    }
}
