//! `update`.

use std::io::Read;
use std::process::ExitCode;

use clap::Args;
use oci::runtime::{BlockIo, Cpu, Memory, Pids, Resources};

use super::{Failure, Global, Outcome, record};

#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    /// File with resources as in config.json, - for stdin; the other flags then do not count
    #[arg(short, long)]
    resources: Option<String>,
    #[arg(long)]
    blkio_weight: Option<u16>,
    #[arg(long)]
    cpu_period: Option<u64>,
    #[arg(long, allow_hyphen_values = true)]
    cpu_quota: Option<i64>,
    #[arg(long)]
    cpu_burst: Option<u64>,
    #[arg(long)]
    cpu_share: Option<u64>,
    #[arg(long)]
    cpu_rt_period: Option<u64>,
    #[arg(long, allow_hyphen_values = true)]
    cpu_rt_runtime: Option<i64>,
    #[arg(long)]
    cpuset_cpus: Option<String>,
    #[arg(long)]
    cpuset_mems: Option<String>,
    /// Bytes, also with k, m, g
    #[arg(long, allow_hyphen_values = true)]
    memory: Option<String>,
    #[arg(long, allow_hyphen_values = true)]
    memory_reservation: Option<String>,
    #[arg(long, allow_hyphen_values = true)]
    memory_swap: Option<String>,
    #[arg(long, allow_hyphen_values = true)]
    cpu_idle: Option<i64>,
    #[arg(long, allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// Obsolete: the kernel has no such limit any more
    #[arg(long, allow_hyphen_values = true, hide = true)]
    kernel_memory: Option<String>,
    /// Obsolete
    #[arg(long, allow_hyphen_values = true, hide = true)]
    kernel_memory_tcp: Option<String>,
    /// Cache schema of Intel RDT/CAT, refused: Wharf drives no resctrl
    #[arg(long)]
    l3_cache_schema: Option<String>,
    /// Bandwidth schema of Intel RDT/MBA, refused likewise
    #[arg(long)]
    mem_bw_schema: Option<String>,
    id: String,
}

pub(super) fn update(global: &Global, args: UpdateArgs) -> Outcome {
    let (home, mut record) = record::open(global, &args.id)?;
    let id = args.id.clone();
    if args.l3_cache_schema.is_some() {
        return Err(Failure("Intel RDT/CAT: l3 cache schema is not enabled".into()));
    }
    if args.mem_bw_schema.is_some() {
        return Err(Failure("Intel RDT/MBA: memory bandwidth schema is not enabled".into()));
    }
    if args.kernel_memory.is_some() || args.kernel_memory_tcp.is_some() {
        global.log.warn("Kernel memory settings are ignored and will be removed");
    }
    let resources = wanted(args)?;
    record.cgroup().map_err(|e| Failure(format!("{id}: {e}")))?.update(&resources)?;
    if let Some(linux) = &mut record.spec.linux {
        let kept = linux.resources.get_or_insert_with(Resources::default);
        // What is remembered is what was last asked for, controller by controller.
        kept.memory = resources.memory.or(kept.memory.take());
        kept.cpu = resources.cpu.or(kept.cpu.take());
        kept.pids = resources.pids.or(kept.pids.take());
        kept.block_io = resources.block_io.or(kept.block_io.take());
        kept.unified.extend(resources.unified);
    }
    home.save(&record)?;
    Ok(ExitCode::SUCCESS)
}

fn wanted(args: UpdateArgs) -> Result<Resources, Failure> {
    match args.resources.as_deref() {
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            Ok(serde_json::from_str(&text)?)
        }
        Some(path) => Ok(serde_json::from_slice(&std::fs::read(path)?)?),
        None => from_flags(args),
    }
}

fn from_flags(args: UpdateArgs) -> Result<Resources, Failure> {
    let bytes = |text: Option<String>| text.as_deref().map(bytes).transpose();
    let memory = Memory {
        limit: bytes(args.memory)?,
        reservation: bytes(args.memory_reservation)?,
        swap: bytes(args.memory_swap)?,
        ..Memory::default()
    };
    let cpu = Cpu {
        shares: args.cpu_share,
        quota: args.cpu_quota,
        burst: args.cpu_burst,
        period: args.cpu_period,
        realtime_runtime: args.cpu_rt_runtime,
        realtime_period: args.cpu_rt_period,
        cpus: args.cpuset_cpus.unwrap_or_default(),
        mems: args.cpuset_mems.unwrap_or_default(),
        idle: args.cpu_idle,
    };
    Ok(Resources {
        memory: Some(memory).filter(|m| *m != Memory::default()),
        cpu: Some(cpu).filter(|c| *c != Cpu::default()),
        pids: args.pids_limit.map(|limit| Pids { limit: Some(limit) }),
        block_io: args.blkio_weight.map(|w| BlockIo { weight: Some(w), ..BlockIo::default() }),
        ..Resources::default()
    })
}

/// `512m`, `1g`, `-1`.
fn bytes(text: &str) -> Result<i64, Failure> {
    let lower = text.trim().to_ascii_lowercase();
    let lower = lower.strip_suffix('b').unwrap_or(&lower);
    let (digits, shift) = match lower.as_bytes().last() {
        Some(b'k') => (&lower[..lower.len() - 1], 10),
        Some(b'm') => (&lower[..lower.len() - 1], 20),
        Some(b'g') => (&lower[..lower.len() - 1], 30),
        Some(b't') => (&lower[..lower.len() - 1], 40),
        _ => (lower, 0),
    };
    let number = digits.parse::<i64>().ok().and_then(|n| n.checked_mul(1 << shift));
    number.ok_or_else(|| Failure(format!("invalid size: {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_suffixes() {
        assert_eq!(bytes("512m").unwrap(), 512 << 20);
        assert_eq!(bytes("1GB").unwrap(), 1 << 30);
        assert_eq!(bytes("-1").unwrap(), -1);
        assert!(bytes("lots").is_err());
    }
}
