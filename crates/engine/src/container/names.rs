//! Container names: what is allowed, and generated ones (`adjective_surname`).

use crate::error::{Error, Result};

/// `None`: none was given. The leading slash is not part of a name here.
pub(crate) fn check(given: &str) -> Result<Option<String>> {
    if given.is_empty() {
        return Ok(None);
    }
    let name = given.strip_prefix('/').unwrap_or(given);
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest: Vec<u8> = bytes.collect();
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"_.-".contains(b);
    if first && !rest.is_empty() && rest.iter().all(allowed) {
        return Ok(Some(name.to_owned()));
    }
    Err(Error::invalid(format!(
        "Invalid container name ({given}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    )))
}

/// A name from a random number; later attempts get a digit appended.
pub(crate) fn generate(number: u64, attempt: u32) -> String {
    let adjective = ADJECTIVES[(number % ADJECTIVES.len() as u64) as usize];
    let surname = SURNAMES[(number / ADJECTIVES.len() as u64 % SURNAMES.len() as u64) as usize];
    match attempt {
        0 => format!("{adjective}_{surname}"),
        _ => format!("{adjective}_{surname}{}", number >> 32 & 7),
    }
}

const ADJECTIVES: &[&str] = &[
    "airy", "amber", "ample", "balmy", "brave", "breezy", "bright", "brisk", "calm", "candid", "cheery",
    "civil", "clear", "clever", "coastal", "cosy", "crisp", "curious", "daring", "deft", "diligent", "eager",
    "early", "earnest", "easy", "fabled", "fair", "fearless", "fine", "fleet", "fond", "frank", "gallant",
    "gentle", "glad", "golden", "handy", "hardy", "hearty", "honest", "humble", "ideal", "jolly", "keen",
    "kind", "lively", "loyal", "lucid", "lunar", "mellow", "merry", "mighty", "misty", "modest", "neat",
    "nifty", "nimble", "noble", "patient", "placid", "plucky", "polite", "proud", "quick", "quiet", "rapid",
    "ready", "roomy", "salty", "serene", "sharp", "shiny", "silent", "sincere", "sleek", "snug", "sober",
    "solid", "spry", "stable", "steady", "stoic", "sturdy", "subtle", "sunny", "swift", "tender", "tidal",
    "tidy", "trusty", "upbeat", "valiant", "vivid", "warm", "wise", "witty", "zesty",
];

/// People of computing, navigation, engineering and science.
const SURNAMES: &[&str] = &[
    "abel",
    "ada",
    "adleman",
    "agnesi",
    "almeida",
    "ampere",
    "archimedes",
    "babbage",
    "backus",
    "banneker",
    "bartik",
    "bell",
    "bernoulli",
    "blackwell",
    "bohr",
    "boole",
    "boyle",
    "brahe",
    "brunel",
    "cantor",
    "carson",
    "cartwright",
    "celsius",
    "chandrasekhar",
    "clarke",
    "codd",
    "columbus",
    "cook",
    "copernicus",
    "cray",
    "curie",
    "darwin",
    "dijkstra",
    "dirac",
    "doppler",
    "earhart",
    "eckert",
    "edison",
    "einstein",
    "engelbart",
    "erdos",
    "euclid",
    "euler",
    "faraday",
    "fermat",
    "fermi",
    "feynman",
    "floyd",
    "fourier",
    "franklin",
    "galileo",
    "galois",
    "gauss",
    "germain",
    "goedel",
    "goodall",
    "gosper",
    "hamilton",
    "hamming",
    "harrison",
    "herschel",
    "hertz",
    "hilbert",
    "hoare",
    "hodgkin",
    "holberton",
    "hopper",
    "huygens",
    "hypatia",
    "iverson",
    "jackson",
    "johnson",
    "joule",
    "kelvin",
    "kepler",
    "khayyam",
    "knuth",
    "kolmogorov",
    "kowalevski",
    "lagrange",
    "lamarr",
    "lamport",
    "laplace",
    "leibniz",
    "lister",
    "lovelace",
    "magellan",
    "maxwell",
    "mccarthy",
    "meitner",
    "mendel",
    "mercator",
    "milner",
    "mirzakhani",
    "morse",
    "napier",
    "naur",
    "newton",
    "noether",
    "ohm",
    "pascal",
    "pasteur",
    "pauling",
    "perlman",
    "planck",
    "poincare",
    "polo",
    "ptolemy",
    "ramanujan",
    "ride",
    "ritchie",
    "rivest",
    "roentgen",
    "rubin",
    "sammet",
    "shamir",
    "shannon",
    "sinoussi",
    "spence",
    "steinmetz",
    "stonebraker",
    "sutherland",
    "swartz",
    "tesla",
    "thompson",
    "torvalds",
    "turing",
    "vaughan",
    "volta",
    "watt",
    "wiles",
    "wilkes",
    "wirth",
    "wright",
    "wu",
    "zuse",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_as_docker_does() {
        assert_eq!(check("").unwrap(), None);
        assert_eq!(check("/web").unwrap().as_deref(), Some("web"));
        assert_eq!(check("a1._-").unwrap().as_deref(), Some("a1._-"));
        for bad in ["a", "-a", "_ab", "a b", "ä1", "/", "a/b"] {
            let error = check(bad).unwrap_err();
            assert!(
                error.message.starts_with(&format!("Invalid container name ({bad})")),
                "{}",
                error.message
            );
        }
    }

    #[test]
    fn generated_names_are_allowed_names() {
        for number in (0..200_000).step_by(7) {
            let name = generate(number, (number % 3) as u32);
            assert_eq!(check(&name).unwrap(), Some(name));
        }
    }
}
