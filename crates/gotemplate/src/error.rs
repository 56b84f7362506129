//! Errors as Go words them, with the place in the template.

use gotmpl::TemplateError;

/// Why a template was refused or failed. The text starts as Go's does (`template: :1:2: executing ...`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Error {
    /// With the template's name, where it has one.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        let text = self.0.replacen("template: :", &format!("template: {name}:"), 1);
        Self(text.replacen("executing \"\"", &format!("executing {name:?}"), 1))
    }

    pub(crate) fn parse(source: &str, error: &TemplateError) -> Self {
        match error {
            TemplateError::Parse { line, message, .. } | TemplateError::Lex { line, message, .. } => {
                Self(format!("template: :{line}: {message}"))
            }
            TemplateError::UndefinedFunction(name) => {
                let line = 1 + source.split(name.as_str()).next().unwrap_or_default().matches('\n').count();
                Self(format!("template: :{line}: function \"{name}\" not defined"))
            }
            other => Self(format!("template: :1: {other}")),
        }
    }

    pub(crate) fn execute(source: &str, error: &TemplateError) -> Self {
        let place = Place::first_action(source);
        match error {
            TemplateError::Exec(message) => place.error(message),
            TemplateError::UndefinedFunction(name) => {
                Self(format!("template: :1: function \"{name}\" not defined"))
            }
            other => place.error(&other.to_string()),
        }
    }
}

/// Where in a template something went wrong.
pub(crate) struct Place<'a> {
    line: usize,
    column: usize,
    /// The words of the expression, as in `.State.Health`.
    expression: &'a str,
    /// Offset of the member that failed within `expression`.
    member_at: usize,
    /// The word before the expression asks whether it is there (`if`, `with`, ...).
    tested: bool,
}

impl<'a> Place<'a> {
    /// The first chain of members that names `key`.
    pub(crate) fn of_member(source: &'a str, key: &str) -> Self {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
        let bytes = source.as_bytes();
        let needle = format!(".{key}");
        let found = source
            .match_indices(&needle)
            .map(|(at, _)| at)
            .find(|at| bytes.get(at + needle.len()).is_none_or(|byte| !is_word(*byte)));
        let Some(at) = found else { return Self::first_action(source) };
        let start = bytes[..at]
            .iter()
            .rposition(|byte| !is_word(*byte) && *byte != b'.')
            .map_or(0, |before| before + 1);
        let end = bytes[at..]
            .iter()
            .position(|byte| !is_word(*byte) && *byte != b'.')
            .map_or(source.len(), |len| at + len);
        let expression = &source[start..end];
        // Go marks a chain by its second member.
        let marked = expression.match_indices('.').nth(1).map_or(start, |(second, _)| start + second);
        let before = source[..start].trim_end_matches([' ', '(']);
        let tested = ["if", "with", "not", "and", "or"].iter().any(|word| before.ends_with(word));
        Self { tested, ..Self::at(source, marked, expression, at - start) }
    }

    fn first_action(source: &'a str) -> Self {
        let open = source.find("{{").map_or(0, |at| at + 2);
        let close = source[open..].find("}}").map_or(source.len(), |len| open + len);
        Self::at(source, open, source[open..close].trim(), 0)
    }

    fn at(source: &'a str, offset: usize, expression: &'a str, member_at: usize) -> Self {
        let before = &source[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: 1 + before.matches('\n').count(),
            column: offset - line_start,
            expression,
            member_at,
            tested: false,
        }
    }

    pub(crate) fn is_tested(&self) -> bool {
        self.tested
    }

    /// `.HostConfig.LogConfig.Config.max-size`; any other `Config` is a struct.
    pub(crate) fn is_log_option(&self) -> bool {
        self.expression[..self.member_at].ends_with(".LogConfig.Config")
    }

    /// The member that the failing one is a member of.
    pub(crate) fn parent(&self) -> Option<&'a str> {
        self.expression[..self.member_at].rsplit('.').next().filter(|name| !name.is_empty())
    }

    pub(crate) fn error(&self, message: &str) -> Error {
        let Self { line, column, expression, .. } = self;
        Error(format!("template: :{line}:{column}: executing \"\" at <{expression}>: {message}"))
    }
}
