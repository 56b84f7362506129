//! The system call ABIs a kernel can offer side by side, and their numbers.

use oci::runtime::Arch;

use super::syscalls::TABLE;

/// One ABI with a table of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Abi {
    /// 64-bit PC.
    X86_64,
    /// 32-bit PC.
    X86,
    /// 64-bit PC with 32-bit pointers: the same audit number as [`Abi::X86_64`], and bit 30 in each number.
    X32,
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM (EABI).
    Arm,
    /// 64-bit RISC-V.
    Riscv64,
}

/// Bit 30, in all numbers of x32.
pub(super) const X32_BIT: u32 = 0x4000_0000;

impl Abi {
    /// The ABI this program is compiled for.
    pub const NATIVE: Abi = if cfg!(target_arch = "x86_64") {
        Abi::X86_64
    } else if cfg!(target_arch = "aarch64") {
        Abi::Aarch64
    } else if cfg!(target_arch = "riscv64") {
        Abi::Riscv64
    } else if cfg!(target_arch = "arm") {
        Abi::Arm
    } else if cfg!(target_arch = "x86") {
        Abi::X86
    } else {
        panic!("no system call table for this architecture")
    };

    /// The spec's name, if it is an ABI known here. The others (MIPS, s390 ...) cannot run on any machine that
    /// this program runs on.
    pub(super) fn from_spec(arch: Arch, native: Abi) -> Option<Abi> {
        Some(match arch {
            Arch::Native => native,
            Arch::X86_64 => Abi::X86_64,
            Arch::X86 => Abi::X86,
            Arch::X32 => Abi::X32,
            Arch::Aarch64 => Abi::Aarch64,
            Arch::Arm => Abi::Arm,
            Arch::Riscv64 => Abi::Riscv64,
            _ => return None,
        })
    }

    pub(super) fn spec(self) -> Arch {
        match self {
            Abi::X86_64 => Arch::X86_64,
            Abi::X86 => Arch::X86,
            Abi::X32 => Arch::X32,
            Abi::Aarch64 => Arch::Aarch64,
            Abi::Arm => Arch::Arm,
            Abi::Riscv64 => Arch::Riscv64,
        }
    }

    /// Can a kernel of `native` run programs of this ABI?
    pub(super) fn runs_on(self, native: Abi) -> bool {
        match native {
            Abi::X86_64 | Abi::X32 => matches!(self, Abi::X86_64 | Abi::X86 | Abi::X32),
            Abi::Aarch64 => matches!(self, Abi::Aarch64 | Abi::Arm),
            native => self == native,
        }
    }

    /// Go's name, which the conditions of Docker's profile use.
    pub(super) fn go_name(self) -> &'static str {
        match self {
            Abi::X86_64 => "amd64",
            Abi::X86 => "x86",
            Abi::X32 => "x32",
            Abi::Aarch64 => "arm64",
            Abi::Arm => "arm",
            Abi::Riscv64 => "riscv64",
        }
    }

    /// `AUDIT_ARCH_*`: the ELF machine, with bit 31 for 64-bit and bit 30 for little-endian.
    pub(super) fn audit(self) -> u32 {
        match self {
            Abi::X86_64 | Abi::X32 => 0xc000_003e,
            Abi::X86 => 0x4000_0003,
            Abi::Aarch64 => 0xc000_00b7,
            Abi::Arm => 0x4000_0028,
            Abi::Riscv64 => 0xc000_00f3,
        }
    }

    /// Are arguments 32 bits wide? (The kernel shows them with an upper half of 0.)
    pub(super) fn narrow(self) -> bool {
        matches!(self, Abi::X86 | Abi::Arm)
    }

    fn column(self) -> usize {
        match self {
            Abi::X86_64 => 0,
            Abi::X86 => 1,
            Abi::X32 => 2,
            Abi::Aarch64 => 3,
            Abi::Arm => 4,
            Abi::Riscv64 => 5,
        }
    }

    /// The number that a program of this ABI puts into the register.
    pub(super) fn number(self, name: &str) -> Option<u32> {
        let row = TABLE.binary_search_by_key(&name, |(n, _)| n).ok()?;
        let number = u32::try_from(TABLE[row].1[self.column()]).ok()?;
        Some(if self == Abi::X32 { number | X32_BIT } else { number })
    }
}

/// i386's one door to sockets and one to System V IPC: the call in the first argument. (linux/net.h, linux/ipc.h)
pub(super) fn multiplexed(name: &str) -> Option<(&'static str, u64)> {
    const SOCKET: [&str; 20] = [
        "socket",
        "bind",
        "connect",
        "listen",
        "accept",
        "getsockname",
        "getpeername",
        "socketpair",
        "send",
        "recv",
        "sendto",
        "recvfrom",
        "shutdown",
        "setsockopt",
        "getsockopt",
        "sendmsg",
        "recvmsg",
        "accept4",
        "recvmmsg",
        "sendmmsg",
    ];
    const IPC: [(&str, u64); 12] = [
        ("semop", 1),
        ("semget", 2),
        ("semctl", 3),
        ("semtimedop", 4),
        ("msgsnd", 11),
        ("msgrcv", 12),
        ("msgget", 13),
        ("msgctl", 14),
        ("shmat", 21),
        ("shmdt", 22),
        ("shmget", 23),
        ("shmctl", 24),
    ];
    if let Some(at) = SOCKET.iter().position(|n| *n == name) {
        return Some(("socketcall", at as u64 + 1));
    }
    IPC.iter().find(|(n, _)| *n == name).map(|(_, number)| ("ipc", *number))
}
