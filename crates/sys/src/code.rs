//! The program's own code in memory: `madvise(2)`.

use std::io;
use std::path::Path;

/// Unmaps the pages of the program's code and constants that have been used so far. Each comes back from the page cache when it is
/// needed, so that a process that is to wait for long holds what it uses, and no longer what its start has used.
///
/// # Errors
/// `/proc` is not there, or says something else than expected.
pub fn give_back() -> io::Result<()> {
    let program = std::fs::read_link("/proc/self/exe")?;
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    for (start, end) in ranges(&maps, &program) {
        // SAFETY: a private mapping of a file that was never writable has nothing but the file's pages, which the kernel
        // reads again; the file cannot be written to while it is executed.
        let result = unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// What is mapped of the program without a right to write, up to its code (proc_pid_maps(5)). Behind it lies what was writable
/// once: relocated data, made read-only by the start-up code.
fn ranges(maps: &str, program: &Path) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else { continue };
        if words.nth(3).is_none_or(|path| Path::new(path) != program) || rights.contains('w') {
            continue;
        }
        let Some((start, end)) = range.split_once('-') else { continue };
        let (Ok(start), Ok(end)) = (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16)) else {
            continue;
        };
        found.push((start, end));
        if rights.contains('x') {
            return found;
        }
    }
    // No code, no idea.
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_and_code_and_nothing_that_was_writable() {
        let maps = "\
            00200000-0065a000 r--p 00000000 fe:00 131 /usr/bin/wharf\n\
            0065a000-01500000 r-xp 00459000 fe:00 131 /usr/bin/wharf\n\
            01500000-01600000 r--p 01300000 fe:00 131 /usr/bin/wharf\n\
            01600000-01610000 rw-p 01400000 fe:00 131 /usr/bin/wharf\n\
            7ffd0000-7ffd2000 r-xp 00000000 00:00 0 [vdso]\n";
        assert_eq!(
            ranges(maps, Path::new("/usr/bin/wharf")),
            [(0x20_0000, 0x65_a000), (0x65_a000, 0x150_0000)]
        );
        assert_eq!(ranges(maps, Path::new("/usr/bin/other")), []);
    }

    #[test]
    fn the_code_goes_on() {
        give_back().unwrap();
        assert_eq!(ranges("", Path::new("/")), []);
    }
}
