//! The machine's own processor time, which shares are reckoned of.

/// Ticks of `/proc/stat` per second: fixed for all programs.
const TICKS_PER_SECOND: u64 = 100;

/// Nanoseconds of all processors in all states, and how many of them are online.
pub(super) fn cpu() -> std::io::Result<(u64, u32)> {
    Ok(parse(&std::fs::read_to_string("/proc/stat")?))
}

/// `cpu  user nice system idle iowait irq softirq ...`, then the same for each processor. A guest's time is counted in
/// its host's.
fn parse(text: &str) -> (u64, u32) {
    let (mut ticks, mut online) = (0, 0);
    for line in text.lines().take_while(|line| line.starts_with("cpu")) {
        match line.strip_prefix("cpu ") {
            None => online += 1,
            Some(states) => {
                ticks = states.split_whitespace().take(7).filter_map(|n| n.parse::<u64>().ok()).sum();
            }
        }
    }
    (ticks * (1_000_000_000 / TICKS_PER_SECOND), online)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seven_states_are_summed_and_processors_counted() {
        let text = "cpu  10 1 20 300 4 0 5 6 7 8\ncpu0 5 0 10 150 2 0 2 3 0 0\ncpu1 5 1 10 150 2 0 3 3 0 0\nintr 1\nctxt 2\n";
        assert_eq!(parse(text), (3_400_000_000, 2));
        assert!(cpu().is_ok_and(|(ns, online)| ns > 0 && online > 0));
    }
}
