//! Signal names as Docker takes them: `TERM`, `SIGTERM`, `sigterm`, `15`, `RTMIN+3`.

use crate::error::{Error, Result};

/// Linux' numbers on every architecture Wharf runs on (x86, Arm, RISC-V, s390x, POWER share them).
const NAMES: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;
pub(crate) const KILL: i32 = 9;
pub(crate) const TERM: i32 = 15;

pub(crate) fn parse(text: &str) -> Result<i32> {
    let invalid = || Error::invalid(format!("invalid signal: {text}"));
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=RTMAX).contains(&number) { Ok(number) } else { Err(invalid()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Ok(*number);
    }
    let offset = |text: &str, sign: char| match text {
        "" => Ok(0),
        text => text
            .strip_prefix(sign)
            .and_then(|digits| digits.parse::<i32>().ok())
            .filter(|offset| (0..=RTMAX - RTMIN).contains(offset))
            .ok_or_else(invalid),
    };
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => RTMIN + offset(rest, '+')?,
        (_, Some(rest)) => RTMAX - offset(rest, '-')?,
        (None, None) => return Err(invalid()),
    };
    Ok(number)
}

/// As people write it: `SIGTERM`, `SIGRTMIN+3`.
pub(crate) fn name(number: i32) -> String {
    match NAMES.iter().find(|(_, known)| *known == number) {
        Some((name, _)) => format!("SIG{name}"),
        None if (RTMIN..=RTMAX).contains(&number) => format!("SIGRTMIN+{}", number - RTMIN),
        None => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{name, parse};

    #[test]
    fn dockers_spellings() {
        for (text, number) in
            [("TERM", 15), ("sigkill", 9), ("SIGHUP", 1), ("9", 9), ("RTMIN+3", 37), ("SIGRTMAX-1", 63)]
        {
            assert_eq!(parse(text).unwrap(), number, "{text}");
            assert_eq!(parse(&name(number)).unwrap(), number, "{text}");
        }
        for text in ["", "0", "65", "-1", "NOPE", "RTMIN+x", "RTMIN+31"] {
            assert_eq!(parse(text).unwrap_err().message, format!("invalid signal: {text}"));
        }
    }
}
