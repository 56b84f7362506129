//! `--format`: Go's `text/template` with Docker's functions, hidden behind two types.
//!
//! [`Template`] is a text that was read, [`Data`] what it is applied to. Docker's commands apply templates to two kinds
//! of things, and the difference shows in what happens to a name that does not exist: rows of a table are structs (an
//! error that names the type), inspected objects are JSON (an error that names the key, but `<no value>` inside real maps
//! such as labels).

mod data;
mod error;
mod functions;
mod shape;

pub use data::Data;
pub use error::Error;
pub use shape::Shape;

use functions::Use;
use gotmpl::{MissingKey, TemplateError, Value};

/// What a missing name means.
#[derive(Debug, Clone, Copy)]
pub enum Missing {
    /// The data is a struct of the Go type named: an unknown field is an error that says so.
    Field(&'static str),
    /// The data is a JSON object: an unknown key is an error, except below the maps of [`MAPS`].
    Key,
    /// The data is a map: an unknown key prints as `<no value>`.
    NoValue,
}

/// Members of Docker's objects that are maps with keys of the user's choosing.
const MAPS: [&str; 12] = [
    "Labels",
    "Options",
    "Networks",
    "Volumes",
    "ExposedPorts",
    "Ports",
    "Sysctls",
    "Tmpfs",
    "Annotations",
    "DriverOpts",
    "Data",
    "Attributes",
];

/// Members that are pointers left out when nil: a test of one is false, not an error.
const OPTIONAL: [&str; 7] =
    ["Health", "Healthcheck", "Init", "StopTimeout", "GraphDriver", "SizeRw", "SizeRootFs"];

/// A template that was read.
pub struct Template {
    source: String,
    rows: gotmpl::Template,
    header: gotmpl::Template,
    lenient: gotmpl::Template,
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Template").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What Go says about it: `template: :1: unclosed action`.
    pub fn parse(source: &str) -> Result<Self, Error> {
        let plain = with_calls(source);
        let read = |plain: &str, use_for: Use, missing: MissingKey| {
            functions::register(gotmpl::Template::new("").missing_key(missing), use_for)
                .parse(plain)
                .map_err(|error| Error::parse(source, &error))
        };
        // As it was written, for the sake of what is said about it.
        read(&plain, Use::Lenient, MissingKey::Invalid)?;
        let plain = shape::with_printing(&plain);
        let lenient = read(&plain, Use::Lenient, MissingKey::Invalid)?;
        // Go knows its functions when it reads; here an unknown one shows when it is called. Nothing is there to be
        // looked at, so any other failure of this call means nothing.
        if let Err(error @ TemplateError::UndefinedFunction(_)) =
            lenient.execute_to_string(&Value::Map(Default::default()))
        {
            return Err(Error::parse(source, &error));
        }
        Ok(Self {
            source: source.to_owned(),
            rows: read(&plain, Use::Rows, MissingKey::Error)?,
            header: read(&plain, Use::Header, MissingKey::Invalid)?,
            lenient,
        })
    }

    /// Applies the template.
    ///
    /// # Errors
    /// An unknown name as `missing` has it, and whatever else goes wrong while executing.
    pub fn execute(&self, data: &Data, missing: Missing) -> Result<String, Error> {
        let strict = match missing {
            Missing::NoValue => return self.run(&self.lenient, &data.value),
            Missing::Field(_) | Missing::Key => {
                functions::beside(data, || self.rows.execute_to_string(&data.value))
            }
        };
        match strict {
            Ok(text) => Ok(text),
            Err(TemplateError::MissingKey { key }) => {
                let place = error::Place::of_member(&self.source, &key);
                let in_map =
                    place.parent().is_some_and(|parent| MAPS.contains(&parent)) || place.is_log_option();
                if in_map || (OPTIONAL.contains(&key.as_str()) && place.is_tested()) {
                    return functions::beside(data, || self.run(&self.lenient, &data.value));
                }
                Err(match missing {
                    Missing::Field(type_name) => {
                        place.error(&format!("can't evaluate field {key} in type {type_name}"))
                    }
                    _ => place.error(&format!("map has no entry for key \"{key}\"")),
                })
            }
            Err(error) => Err(Error::execute(&self.source, &error)),
        }
    }

    /// Applies the template to column titles: functions that would change a text leave titles alone.
    ///
    /// # Errors
    /// Whatever goes wrong while executing.
    pub fn execute_header(&self, titles: &Data) -> Result<String, Error> {
        self.run(&self.header, &titles.value)
    }

    /// Does the source mention `text`? For data that is costly and only fetched when a template wants it.
    #[must_use]
    pub fn mentions(&self, text: &str) -> bool {
        self.source.contains(text)
    }

    fn run(&self, template: &gotmpl::Template, value: &Value) -> Result<String, Error> {
        template.execute_to_string(value).map_err(|error| Error::execute(&self.source, &error))
    }
}

/// Go calls the method `Label` in `{{.Label "x"}}`; here it is a function in a field, which wants `call`.
fn with_calls(source: &str) -> String {
    const METHOD: &str = ".Label ";
    let mut plain = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find(METHOD) {
        let (before, after) = rest.split_at(at);
        let argument = after[METHOD.len()..].trim_start();
        plain.push_str(before);
        let starts_a_command = before.ends_with(['{', '(', '|', ' ', '-', '\t']);
        if starts_a_command && argument.starts_with(['"', '`', '$', '.', '(']) {
            plain.push_str("call ");
        }
        plain.push_str(METHOD);
        rest = &after[METHOD.len()..];
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests;
