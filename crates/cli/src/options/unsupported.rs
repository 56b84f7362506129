//! Flags of Docker whose part Wharf does not have yet. A flag that would be ignored is a lie, so it is an error.

use crate::flags::Parsed;

/// Names and what they wait for.
const NOT_YET: &[(&[&str], &str)] =
    &[(&["cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops"], "it is for Windows")];

/// The first flag on the line that cannot be honoured.
pub(crate) fn check(line: &Parsed) -> Result<(), String> {
    // An empty text asks for nothing.
    for name in line.all_given().filter(|name| line.given(name) != Some("") || line.list(name).len() > 1) {
        let row = NOT_YET.iter().find(|(names, _)| names.contains(&name));
        if let Some((_, why)) = row {
            return Err(format!("--{name} is not supported yet: {why}"));
        }
    }
    Ok(())
}
