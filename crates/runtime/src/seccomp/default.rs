//! Docker's default profile, as a table: an allow-list that grows with the container's capabilities. What stays
//! out can reach the host's kernel in ways that namespaces do not contain (keyrings, kexec, clocks, mounts, bpf,
//! userfaultfd, io_uring ...), or is obsolete.

use std::sync::OnceLock;

use oci::runtime::{Action, Arch, ArgRule, Operator};

use super::profile::{ArchMap, Condition, Profile, Rule};

/// Whoever asks gets the same one.
pub fn default_profile() -> &'static Profile {
    static PROFILE: OnceLock<Profile> = OnceLock::new();
    PROFILE.get_or_init(build)
}

/// Allowed to everybody.
const ALWAYS: &str = "accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 \
 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 \
 clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 \
 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old \
 eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate \
 fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync \
 fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync \
 ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat \
 getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups \
 getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid \
 getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage getsid getsockname getsockopt \
 get_thread_area gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init \
 inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents \
 io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule \
 landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount \
 listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 madvise \
 map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 \
 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 \
 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock \
 munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open \
 pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 \
 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read \
 readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages \
 removexattr removexattrat rename renameat renameat2 restart_syscall riscv_hwprobe rmdir rseq \
 rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait \
 rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam \
 sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval \
 sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler \
 sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 \
 sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 \
 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid \
 setreuid32 setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid setuid32 \
 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask \
 sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount statx symlink symlinkat \
 sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun \
 timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime \
 timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask \
 uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid \
 waitpid write writev";

/// Allowed with a capability.
#[rustfmt::skip]
const WITH_CAPABILITY: [(&str, &str); 14] = [
    ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    ("CAP_SYS_ADMIN", "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie \
                      lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount \
                      open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns \
                      syslog umount umount2 unshare"),
    ("CAP_SYS_BOOT", "reboot"),
    ("CAP_SYS_CHROOT", "chroot"),
    ("CAP_SYS_MODULE", "delete_module init_module finit_module"),
    ("CAP_SYS_PACCT", "acct"),
    ("CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"),
    ("CAP_SYS_RAWIO", "iopl ioperm"),
    ("CAP_SYS_TIME", "settimeofday stime clock_settime clock_settime64"),
    ("CAP_SYS_TTY_CONFIG", "vhangup"),
    ("CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("CAP_SYSLOG", "syslog"),
    ("CAP_BPF", "bpf"),
    ("CAP_PERFMON", "perf_event_open"),
];

/// Allowed on some architectures, by Go's names.
const ON_ARCHITECTURE: [(&[&str], &str); 6] = [
    (&["ppc64le"], "sync_file_range2 swapcontext"),
    (
        &["arm", "arm64"],
        "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint \
                               cacheflush set_tls",
    ),
    (&["amd64", "x32"], "arch_prctl"),
    (&["amd64", "x32", "x86"], "modify_ldt"),
    (&["s390", "s390x"], "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr"),
    (&["riscv64"], "riscv_flush_icache"),
];

/// The machine's ABI and those that its kernel runs too.
const ARCHITECTURES: [(Arch, &[Arch]); 9] = [
    (Arch::X86_64, &[Arch::X86, Arch::X32]),
    (Arch::Aarch64, &[Arch::Arm]),
    (Arch::Mips64, &[Arch::Mips, Arch::Mips64n32]),
    (Arch::Mips64n32, &[Arch::Mips, Arch::Mips64]),
    (Arch::Mipsel64, &[Arch::Mipsel, Arch::Mipsel64n32]),
    (Arch::Mipsel64n32, &[Arch::Mipsel, Arch::Mipsel64]),
    (Arch::S390x, &[Arch::S390]),
    (Arch::Riscv64, &[]),
    (Arch::Loongarch64, &[]),
];

const ENOSYS: u32 = 38;

/// The namespace flags of clone(2) but for CLONE_NEWCGROUP's place in the exit signal: making a user namespace
/// would hand out a full set of capabilities inside it.
const CLONE_NAMESPACES: u64 = 0x7e02_0000;

fn build() -> Profile {
    let mut syscalls = vec![
        allow(ALWAYS),
        // Safe since seccomp looks at calls after a tracer has changed them.
        Rule {
            includes: Condition { min_kernel: "4.8".to_owned(), ..Condition::default() },
            ..allow("process_vm_readv process_vm_writev ptrace")
        },
    ];
    // All families but AF_ALG (38) and AF_VSOCK (40), which no namespace confines.
    for (op, family) in [(Operator::LessThan, 38), (Operator::Equal, 39), (Operator::GreaterThan, 40)] {
        syscalls.push(allow_if("socket", arg(0, op, family)));
    }
    // PER_LINUX, PER_LINUX32, UNAME26, both, and "tell me".
    for persona in [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff] {
        syscalls.push(allow_if("personality", arg(0, Operator::Equal, persona)));
    }
    syscalls.extend(ON_ARCHITECTURE.iter().map(|(arches, names)| Rule {
        includes: Condition { arches: owned(arches), ..Condition::default() },
        ..allow(names)
    }));
    let admin = || owned(&["CAP_SYS_ADMIN"]);
    let s390 = || owned(&["s390", "s390x"]);
    syscalls.push(Rule {
        excludes: Condition { caps: admin(), arches: s390(), ..Condition::default() },
        ..allow_if("clone", arg(0, Operator::MaskedEqual, CLONE_NAMESPACES))
    });
    syscalls.push(Rule {
        includes: Condition { arches: s390(), ..Condition::default() },
        excludes: Condition { caps: admin(), ..Condition::default() },
        comment: "s390 parameter ordering for clone is different".to_owned(),
        ..allow_if("clone", arg(1, Operator::MaskedEqual, CLONE_NAMESPACES))
    });
    // Its flags lie in memory, out of a filter's sight; this answer makes C libraries use clone.
    syscalls.push(Rule {
        action: Action::Errno,
        errno_ret: Some(ENOSYS),
        excludes: Condition { caps: admin(), ..Condition::default() },
        ..allow("clone3")
    });
    syscalls.extend(WITH_CAPABILITY.iter().map(|(capability, names)| Rule {
        includes: Condition { caps: owned(&[capability]), ..Condition::default() },
        ..allow(names)
    }));
    Profile {
        default_action: Action::Errno,
        default_errno_ret: Some(1),
        architectures: Vec::new(),
        arch_map: ARCHITECTURES
            .iter()
            .map(|(architecture, others)| ArchMap {
                architecture: *architecture,
                sub_architectures: others.to_vec(),
            })
            .collect(),
        flags: Vec::new(),
        listener_path: String::new(),
        listener_metadata: String::new(),
        syscalls,
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|t| (*t).to_owned()).collect()
}

fn arg(index: u32, op: Operator, value: u64) -> ArgRule {
    ArgRule { index, value, value_two: 0, op }
}

fn allow(names: &str) -> Rule {
    Rule {
        name: String::new(),
        names: names.split_whitespace().map(str::to_owned).collect(),
        action: Action::Allow,
        errno_ret: None,
        args: Vec::new(),
        comment: String::new(),
        includes: Condition::default(),
        excludes: Condition::default(),
    }
}

fn allow_if(name: &str, arg: ArgRule) -> Rule {
    Rule { args: vec![arg], ..allow(name) }
}
