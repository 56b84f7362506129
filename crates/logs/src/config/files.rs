//! Options of the drivers that keep files, and of the files kept beside a remote driver.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::facts::ConfigError;
use crate::file::{FileDestination, Format};
use crate::options;

/// Size at which a file is rotated when the user names none, in bytes.
const DEFAULT_FILE_BYTES: u64 = 20 * 1024 * 1024;
/// Files kept, the current one included, when the user names neither size nor number.
const DEFAULT_FILES: u32 = 5;

/// What the three options say.
struct Cap<'a> {
    size: Option<&'a str>,
    files: Option<&'a str>,
    compress: Option<&'a str>,
}

impl<'a> Cap<'a> {
    /// From `<prefix>max-size` and so on.
    fn of(given: &'a BTreeMap<String, String>, prefix: &str) -> Self {
        let get = |name: &str| given.get(&format!("{prefix}{name}")).map(String::as_str);
        Self { size: get("max-size"), files: get("max-file"), compress: get("compress") }
    }
}

/// Unlike Docker's, the log is capped when the user says nothing. `--log-opt max-size=-1` asks for no cap.
pub(super) fn json_file(
    given: &BTreeMap<String, String>,
    attrs: BTreeMap<String, String>,
    path: PathBuf,
) -> Result<FileDestination, ConfigError> {
    let cap = Cap::of(given, "");
    let file_bytes_max = match cap.size.map(str::trim) {
        // Docker's documentation calls -1 "unlimited"; here it has to be asked for.
        Some("-1") => None,
        Some(text) => match options::size(text, 1000)? {
            0 => return Err(ConfigError::new("max-size must be a positive number")),
            bytes => Some(bytes),
        },
        None => Some(DEFAULT_FILE_BYTES),
    };
    let files_max = match cap.files {
        Some(text) => match text.parse::<i64>() {
            Ok(n) if n < 1 => return Err(ConfigError::new("max-file cannot be less than 1")),
            Ok(n) => u32::try_from(n).map_err(|_| invalid("max-file", text))?,
            Err(_) => return Err(invalid("max-file", text)),
        },
        // With a size alone Docker keeps one file; whoever says nothing gets the default cap.
        None if cap.size.is_some() => 1,
        None => DEFAULT_FILES,
    };
    let compress = cap.compress.is_some_and(|text| options::boolean(text) == Ok(true));
    if let Some(text) = cap.compress.filter(|text| options::boolean(text).is_err()) {
        return Err(invalid("compress", text));
    }
    if compress && (files_max == 1 || file_bytes_max.is_none()) {
        return Err(ConfigError::new(
            "compress cannot be true when max-file is less than 2 or max-size is not set",
        ));
    }
    Ok(FileDestination { format: Format::JsonFile, path, file_bytes_max, files_max, compress, attrs })
}

pub(super) fn local(
    given: &BTreeMap<String, String>,
    prefix: &str,
    attrs: BTreeMap<String, String>,
    path: PathBuf,
) -> Result<FileDestination, ConfigError> {
    let cap = Cap::of(given, prefix);
    let wrong = |name: &str, value: &str, why: &str| {
        ConfigError::new(format!("invalid value for {prefix}{name}: {value}: {why}"))
    };
    let file_bytes_max = match cap.size {
        Some(text) => options::size(text, 1000).map_err(|why| wrong("max-size", text, &why))?,
        None => DEFAULT_FILE_BYTES,
    };
    let files_max = match cap.files {
        Some(text) => match text.parse::<i64>() {
            Ok(n) if n < 0 => return Err(ConfigError::new(format!("{prefix}max-file must not be negative"))),
            Ok(n) => u32::try_from(n).map_err(|_| {
                wrong("max-file", text, &format!("strconv.Atoi: parsing {text:?}: value out of range"))
            })?,
            Err(_) => {
                return Err(wrong(
                    "max-file",
                    text,
                    &format!("strconv.Atoi: parsing {text:?}: invalid syntax"),
                ));
            }
        },
        None => DEFAULT_FILES,
    };
    let compress = match cap.compress {
        Some(text) => options::boolean(text)
            .map_err(|why| ConfigError::new(format!("invalid boolean value for {prefix}compress: {why}")))?,
        None => true,
    };
    if compress && files_max <= 1 {
        return Err(ConfigError::new("compression cannot be enabled when max file count is 1"));
    }
    let file_bytes_max = Some(file_bytes_max);
    Ok(FileDestination { format: Format::Local, path, file_bytes_max, files_max, compress, attrs })
}

fn invalid(name: &str, text: &str) -> ConfigError {
    ConfigError::new(format!("invalid value for {name}: {text}"))
}
