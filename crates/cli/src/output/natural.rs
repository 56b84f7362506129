//! The order of names with numbers in them: `box-2` before `box-10`.

use std::cmp::Ordering;

/// Digits are compared as the number they are, everything else byte by byte.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    loop {
        let (Some(first), Some(second)) = (left.first(), right.first()) else {
            // What is equal but for leading zeros still has an order.
            return left.len().cmp(&right.len()).then_with(|| a.cmp(b));
        };
        if first.is_ascii_digit() && second.is_ascii_digit() {
            let (one, other) = (number(&mut left), number(&mut right));
            match one.len().cmp(&other.len()).then_with(|| one.cmp(other)) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
        } else if first == second {
            (left, right) = (&left[1..], &right[1..]);
        } else {
            return first.cmp(second);
        }
    }
}

/// Takes the digits at the start, without leading zeros.
fn number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    let start = digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len());
    &digits[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count() {
        let mut names = ["b", "a10", "a2", "a02", "a", "a10b", "a2-1"];
        names.sort_by(|a, b| compare(a, b));
        assert_eq!(names, ["a", "a02", "a2", "a2-1", "a10", "a10b", "b"]);
    }
}
