//! `docker top` without ps(1): /proc read here, in the columns of `ps -ef` and `ps aux`.

use std::collections::HashMap;
use std::fs;

use super::Top;
use crate::error::{Error, Result};

/// What /proc says about one process.
struct Process {
    pid: u32,
    ppid: u32,
    uid: u32,
    tty: String,
    state: char,
    /// Clock ticks.
    cpu_ticks: u64,
    start_ticks: u64,
    vsize_kib: u64,
    rss_kib: u64,
    name: String,
    command: String,
}

/// USER_HZ; fixed by the kernel's ABI on all architectures Wharf runs on.
const TICKS_PER_SECOND: u64 = 100;

pub(crate) fn table(pids: &[u32], ps_args: &str) -> Result<Top> {
    let arguments = ps_args.trim().trim_start_matches('-');
    let processes: Vec<_> = pids.iter().filter_map(|pid| read(*pid)).collect();
    let users = users();
    let user = |uid: u32| users.get(&uid).cloned().unwrap_or_else(|| uid.to_string());
    let clock = Clock::now();
    let columns: Vec<String> = match arguments {
        "" | "ef" | "fe" => words("UID PID PPID C STIME TTY TIME CMD"),
        "aux" | "axu" => words("USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"),
        other => match other.strip_prefix("eo").or_else(|| other.strip_prefix('o')) {
            Some(list) => list
                .trim()
                .split([',', ' '])
                .filter(|w| !w.is_empty())
                .map(|w| w.to_ascii_uppercase())
                .collect(),
            None => {
                return Err(Error::invalid(format!(
                    "top: ps options '{ps_args}' are not known (known: -ef, aux, -o LIST)"
                )));
            }
        },
    };
    if !columns.iter().any(|column| column == "PID") {
        return Err(Error::internal("Couldn't find PID field in ps output"));
    }
    let aux = arguments.starts_with('a');
    let mut rows = Vec::with_capacity(processes.len());
    for process in &processes {
        let row = columns
            .iter()
            .map(|column| cell(column, process, &user, &clock, aux))
            .collect::<Result<Vec<_>>>()?;
        rows.push(row);
    }
    Ok(Top { titles: columns, processes: rows })
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn cell(column: &str, p: &Process, user: &dyn Fn(u32) -> String, clock: &Clock, aux: bool) -> Result<String> {
    let percent = clock.cpu_percent(p);
    Ok(match column {
        "UID" | "USER" => user(p.uid),
        "PID" => p.pid.to_string(),
        "PPID" => p.ppid.to_string(),
        "C" => format!("{percent:.0}"),
        "%CPU" | "PCPU" => format!("{percent:.1}"),
        "%MEM" | "PMEM" => format!("{:.1}", 100.0 * p.rss_kib as f64 / clock.memory_kib.max(1) as f64),
        "VSZ" => p.vsize_kib.to_string(),
        "RSS" => p.rss_kib.to_string(),
        "STIME" | "START" => clock.start(p),
        "TTY" | "TT" => p.tty.clone(),
        "STAT" | "S" => p.state.to_string(),
        "TIME" => {
            let seconds = p.cpu_ticks / TICKS_PER_SECOND;
            match aux {
                true => format!("{}:{:02}", seconds / 60, seconds % 60),
                false => format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
            }
        }
        "COMM" => p.name.clone(),
        "CMD" | "COMMAND" | "ARGS" => p.command.clone(),
        other => return Err(Error::invalid(format!("top: unknown column {other}"))),
    })
}

/// `None`: it has ended meanwhile.
fn read(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may contain anything, also parentheses.
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let name = stat.get(open + 1..close)?.to_owned();
    let fields: Vec<&str> = stat.get(close + 2..)?.split(' ').collect();
    let number = |index: usize| fields.get(index).and_then(|f| f.trim().parse::<u64>().ok()).unwrap_or(0);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let uid =
        status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().nth(1)?.parse().ok()?;
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = raw.split(|b| *b == 0).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ");
    let command = command.trim_end().to_owned();
    Some(Process {
        pid,
        ppid: u32::try_from(number(1)).unwrap_or(0),
        uid,
        tty: tty(number(4)),
        state: fields.first()?.chars().next()?,
        cpu_ticks: number(11) + number(12),
        start_ticks: number(19),
        vsize_kib: number(20) / 1024,
        rss_kib: number(21) * rustix::param::page_size() as u64 / 1024,
        command: if command.is_empty() { format!("[{name}]") } else { command },
        name,
    })
}

/// The kernel's device number, as ps names it.
fn tty(device: u64) -> String {
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xfff00);
    match major {
        0 => "?".into(),
        4 if minor < 64 => format!("tty{minor}"),
        4 => format!("ttyS{}", minor - 64),
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        _ => "?".into(),
    }
}

fn users() -> HashMap<u32, String> {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let (name, uid) = (fields.next()?, fields.nth(1)?.parse().ok()?);
            Some((uid, name.to_owned()))
        })
        .collect()
}

struct Clock {
    uptime_s: f64,
    boot_s: i64,
    memory_kib: u64,
}

impl Clock {
    fn now() -> Self {
        let info = rustix::system::sysinfo();
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let uptime_s: f64 = uptime.split(' ').next().and_then(|s| s.parse().ok()).unwrap_or(0.0);
        Self {
            uptime_s,
            boot_s: jiff::Timestamp::now().as_second() - uptime_s as i64,
            memory_kib: info.totalram as u64 * u64::from(info.mem_unit) / 1024,
        }
    }

    fn cpu_percent(&self, p: &Process) -> f64 {
        let alive = self.uptime_s - p.start_ticks as f64 / TICKS_PER_SECOND as f64;
        if alive <= 0.0 { 0.0 } else { 100.0 * p.cpu_ticks as f64 / TICKS_PER_SECOND as f64 / alive }
    }

    /// `14:03` today, else `Nov23`.
    fn start(&self, p: &Process) -> String {
        let at = jiff::Timestamp::from_second(self.boot_s + (p.start_ticks / TICKS_PER_SECOND) as i64);
        let zone = jiff::tz::TimeZone::system();
        let at = at.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_zoned_datetime(zone.clone());
        let now = jiff::Timestamp::now().to_zoned_datetime(zone);
        let format = if at.date() == now.date() { "%H:%M" } else { "%b%d" };
        at.strftime(format).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_shown() {
        let pid = std::process::id();
        let top = table(&[pid, u32::MAX], "").unwrap();
        assert_eq!(top.titles, words("UID PID PPID C STIME TTY TIME CMD"));
        assert_eq!(top.processes.len(), 1);
        assert_eq!(top.processes[0][1], pid.to_string());
        assert_eq!(table(&[pid], "-o pid,comm").unwrap().processes[0][0], pid.to_string());
        assert!(table(&[pid], "-o comm").is_err());
        assert!(table(&[pid], "--forest").is_err());
    }
}
