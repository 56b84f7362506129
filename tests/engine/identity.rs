//! Who runs in a container, with which rights, and what it sees of the machine.

use crate::House;

#[test]
fn users_and_groups_are_the_containers_own() {
    let house = House::new();
    assert_eq!(house.sh(&[], "id -u; id -g; echo $HOME"), "0\n0\n/root");
    assert_eq!(house.sh(&["-u", "nobody"], "id -u; id -g; echo $HOME"), "65534\n65534\n/");
    assert_eq!(house.sh(&["-u", "nobody:root"], "id -u; id -g"), "65534\n0");
    assert_eq!(house.sh(&["-u", "1234:4321"], "id -u; id -g; echo $HOME"), "1234\n4321\n/");
    assert_eq!(
        house.sh(&["-u", "nobody", "--group-add", "root", "--group-add", "77"], "id -G"),
        "65534 0 77"
    );
    // Its group is among them: a program that changes it would be free of what is denied to it otherwise.
    let groups = "grep Groups /proc/self/status";
    assert_eq!(house.sh(&["-u", "1234:4321", "--group-add", "5"], groups), "Groups:\t5 4321");
    house.ok(&["run", "-d", "--name", "one", "-u", "1234:4321", "bb", "sleep", "1000"]);
    let exec = |user: &str| house.ok(&["exec", "-u", user, "one", "sh", "-c", groups]);
    assert_eq!((exec("1234:4321"), exec("7:8")), ("Groups:\t4321".into(), "Groups:\t8".into()));
    let (status, text) = house.fails(&["run", "--rm", "-u", "ghost", "bb", "true"]);
    assert!(text.contains("unable to find user ghost: no matching entries in passwd file"), "{text}");
    assert_eq!(status, 125, "{text}");
    let (_, text) = house.fails(&["run", "--rm", "-u", "root:ghosts", "bb", "true"]);
    assert!(text.contains("unable to find group ghosts: no matching entries in group file"), "{text}");
}

#[test]
fn a_working_directory_is_made_where_it_is_missing() {
    let house = House::new();
    assert_eq!(house.sh(&["-w", "/new/deep"], "pwd; stat -c %a /new"), "/new/deep\n755");
}

/// Docker's fourteen capabilities.
const DEFAULT: u64 = 0x0000_0000_a804_25fb;

fn capabilities(of: &str) -> u64 {
    let text = of.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("CapEff");
    u64::from_str_radix(text.trim(), 16).expect("a number")
}

fn own() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("read status");
    let text = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).expect("CapBnd");
    u64::from_str_radix(text.trim(), 16).expect("a number")
}

#[test]
fn rights_are_few_unless_asked_for() {
    let house = House::new();
    let status = house.sh(&[], "cat /proc/self/status");
    assert_eq!(capabilities(&status), DEFAULT & own());
    assert!(status.lines().any(|line| line.replace('\t', "") == "Seccomp:2"), "{status}");
    assert_eq!(capabilities(&house.sh(&["--cap-drop", "ALL"], "cat /proc/self/status")), 0);
    assert_eq!(capabilities(&house.sh(&["--privileged"], "cat /proc/self/status")), own());
    assert_eq!(capabilities(&house.sh(&["-u", "nobody"], "cat /proc/self/status")), 0);

    // Read-only and masked.
    let look = "touch /proc/sys/x 2>&1; echo 1 >/proc/sys/kernel/pid_max; mkdir /sys/fs/x; cat /proc/kcore | wc -c; \
                ls /sys/firmware | wc -l; ls -d /dev/kmsg";
    let got = house.run(&["run", "--rm", "bb", "sh", "-c", look]);
    let all = format!("{}{}", got.stdout, got.stderr);
    assert!(all.matches("Read-only file system").count() >= 2, "{all}");
    assert!(got.stdout.contains("\n0\n0") || got.stdout.starts_with("0\n0"), "{all}");
    assert!(all.contains("/dev/kmsg: No such file"), "{all}");

    let got = house.sh(
        &["--privileged"],
        "grep ' /sys ' /proc/mounts; grep ' /proc/sys ' /proc/mounts; ls -d /dev/kmsg /dev/null",
    );
    assert!(got.contains("sysfs /sys sysfs rw,") && !got.contains("/proc/sys "), "{got}");
    assert!(got.contains("/dev/null"), "{got}");
}

#[test]
fn init_reaps_and_is_process_one() {
    let house = House::new();
    let line = "cat /proc/1/cmdline | tr '\\0' ' '; echo; echo $$";
    assert!(house.sh(&[], line).ends_with("\n1"));
    assert!(!house.sh(&["--init"], line).ends_with("\n1"));
    // The status is the child's.
    assert_eq!(house.run(&["run", "--rm", "--init", "bb", "sh", "-c", "exit 7"]).status, 7);
    assert_eq!(house.run(&["run", "--rm", "--init", "bb", "sh", "-c", "kill -9 $$"]).status, 137);
}

#[test]
fn a_pty_is_one() {
    let house = House::new();
    // The kernel throws away what is still between the two ends of a pty when the leader of its session ends (tty_vhangup),
    // with any engine: so it ends a little later.
    let line = "tty; echo $TERM; stty size; sleep 0.3";
    let got = house.run(&["run", "--rm", "-t", "bb", "sh", "-c", line]);
    assert!(got.stdout.starts_with("/dev/pts/0\r\nxterm\r\n"), "{got:?}");
}

#[test]
fn names_addresses_and_resolvers() {
    let house =
        House::with(&["--dns=9.9.9.9", "--dns-search=example.test", "--dns-opt=ndots:3", "--mtu=1400"]);
    let got = house.sh(
        &["--hostname", "moor", "--domainname", "example", "--add-host", "db:10.9.8.7"],
        "cat /etc/hosts; echo -; cat /etc/hostname; cat /etc/resolv.conf; ip -4 addr show eth0; cat /sys/class/net/eth0/mtu; cat /sys/class/net/eth0/address",
    );
    assert!(got.contains("127.0.0.1\tlocalhost\n") && got.contains("10.9.8.7\tdb\n"), "{got}");
    assert!(got.contains("\tmoor.example moor\n"), "{got}");
    assert!(got.contains("-\nmoor\n"), "{got}");
    assert!(got.contains("nameserver 9.9.9.9\nsearch example.test\noptions ndots:3\n"), "{got}");
    assert!(got.contains("\n1400\n"), "{got}");
    // The hardware address is made of the IP address.
    let address = got.lines().find_map(|line| line.trim().strip_prefix("inet ")).expect("an address");
    let bytes: Vec<u8> =
        address.split(['/', '.']).take(4).map(|byte| byte.parse().expect("a byte")).collect();
    let mac = format!("02:42:{:02x}:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2], bytes[3]);
    assert!(got.ends_with(&mac), "{mac} {got}");
}

#[test]
fn networks_of_others_and_none() {
    let house = House::new();
    assert_eq!(house.sh(&["--network", "none"], "ls /sys/class/net"), "lo");
    let own = std::fs::read_link("/proc/self/ns/net").expect("our namespace").display().to_string();
    assert_eq!(house.sh(&["--network", "host"], "readlink /proc/self/ns/net"), own);
    house.ok(&["run", "-d", "--name", "ca", "--hostname", "shared", "bb", "sleep", "1000"]);
    let of = house.ok(&["exec", "ca", "sh", "-c", "readlink /proc/self/ns/net; cat /etc/hosts; hostname"]);
    assert_eq!(
        house.sh(&["--network", "container:ca"], "readlink /proc/self/ns/net; cat /etc/hosts; hostname"),
        of
    );
    house.ok(&["kill", "ca"]);
    let (_, text) = house.fails(&["run", "--rm", "--network", "container:ca", "bb", "true"]);
    assert!(text.contains("cannot join network of a non running container"), "{text}");
    let (_, text) = house.fails(&["run", "--rm", "--network", "container:nobody", "bb", "true"]);
    assert!(text.contains("No such container: nobody"), "{text}");
}

#[test]
fn sysctls_are_set_in_the_container() {
    let house = House::new();
    let got = house.sh(
        &["--sysctl", "net.ipv4.ip_forward=0", "--sysctl", "kernel.msgmax=4096"],
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_unprivileged_port_start",
    );
    assert_eq!(got, "0\n4096\n0");
}

#[test]
fn shared_memory_of_another_container() {
    let house = House::new();
    house.ok(&["run", "-d", "--name", "owner", "--ipc", "shareable", "bb", "sleep", "1000"]);
    assert_eq!(
        house.sh(&["--ipc", "container:owner"], "readlink /proc/self/ns/ipc; echo seen >/dev/shm/note"),
        { house.ok(&["exec", "owner", "readlink", "/proc/self/ns/ipc"]) }
    );
    assert_eq!(house.ok(&["exec", "owner", "cat", "/dev/shm/note"]), "seen");
    // A symlink of the owner's leads nowhere else.
    house.ok(&[
        "exec",
        "--privileged",
        "owner",
        "sh",
        "-c",
        "umount /dev/shm && rmdir /dev/shm && ln -s /etc /dev/shm",
    ]);
    let (_, text) = house.fails(&["run", "--rm", "--ipc", "container:owner", "bb", "true"]);
    assert!(text.contains("/dev/shm"), "{text}");
}
