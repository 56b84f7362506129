//! Filters, with the kernel's verdicts.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::bundle::{Bundle, compile};

fn filter(bundle: &mut Bundle, filter: Value) {
    bundle.spec["linux"]["seccomp"] = filter;
}

#[test]
fn each_rule_has_its_error_number() {
    let mut bundle =
        Bundle::sh("errno", "mkdir /x; mknod /y p; rmdir /tmp; ln -s a /z; grep Seccomp: /proc/self/status");
    filter(
        &mut bundle,
        json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [
                {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95},
                {"names": ["mknod", "mknodat", "no_such_call"], "action": "SCMP_ACT_ERRNO"},
                {"names": ["rmdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
                {"names": ["symlink", "symlinkat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0},
            ],
        }),
    );
    let outcome = bundle.run();
    assert_eq!(
        outcome.stderr,
        "mkdir: can't create directory '/x': Operation not supported\nmknod: /y: Operation not permitted\n\
         rmdir: '/tmp': No space left on device\n"
    );
    assert_eq!(outcome.stdout, "Seccomp:\t2\n");
    assert!(
        std::fs::symlink_metadata(bundle.rootfs().join("z")).is_err(),
        "error 0 is a success without the deed"
    );
}

#[test]
fn arguments_are_compared() {
    // ftruncate's length is its argument 1.
    let script =
        "for n in 10 20 30 4096 4100; do truncate -s $n /tmp/f 2> /dev/null && echo -n \"$n \"; done; echo";
    for (operator, value, second, wanted) in [
        ("SCMP_CMP_EQ", 20, 0, "10 30 4096 4100"),
        ("SCMP_CMP_NE", 20, 0, "20"),
        ("SCMP_CMP_LT", 20, 0, "20 30 4096 4100"),
        ("SCMP_CMP_LE", 20, 0, "30 4096 4100"),
        ("SCMP_CMP_GT", 20, 0, "10 20"),
        ("SCMP_CMP_GE", 20, 0, "10"),
        ("SCMP_CMP_MASKED_EQ", 0xfff, 0, "10 20 30 4100"),
        ("SCMP_CMP_MASKED_EQ", 0x1000, 0x1000, "10 20 30"),
    ] {
        let mut bundle = Bundle::sh("arguments", script);
        filter(
            &mut bundle,
            json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["ftruncate"], "action": "SCMP_ACT_ERRNO",
                    "args": [{"index": 1, "value": value, "valueTwo": second, "op": operator}]}],
            }),
        );
        assert_eq!(bundle.says(), wanted, "{operator} {value}");
    }
    // Two tests of a rule have to hold both.
    let mut bundle = Bundle::sh("arguments", script);
    filter(
        &mut bundle,
        json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["ftruncate"], "action": "SCMP_ACT_ERRNO", "args": [
                {"index": 0, "value": 0, "op": "SCMP_CMP_GT"},
                {"index": 1, "value": 4096, "op": "SCMP_CMP_GE"}]}],
        }),
    );
    assert_eq!(bundle.says(), "10 20 30");
}

#[test]
fn other_verdicts_than_an_error() {
    for (action, code) in [
        ("SCMP_ACT_KILL_PROCESS", 128 + 31),
        ("SCMP_ACT_KILL_THREAD", 128 + 31),
        ("SCMP_ACT_KILL", 128 + 31),
        ("SCMP_ACT_TRAP", 128 + 31),
        ("SCMP_ACT_LOG", 0),
        ("SCMP_ACT_ALLOW", 0),
    ] {
        let mut bundle = Bundle::sh("verdict", "mkdir /tmp/x; exit $?");
        filter(
            &mut bundle,
            json!({
                "defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
                "syscalls": [{"names": ["mkdir", "mkdirat"], "action": action}],
            }),
        );
        assert_eq!(bundle.run().code, code, "{action}");
    }
    let mut bundle = Bundle::new("verdict");
    filter(&mut bundle, json!({"defaultAction": "SCMP_ACT_SHRUG"}));
    assert!(bundle.refused().contains("SCMP_ACT_SHRUG"));
}

#[test]
fn a_filter_needs_no_privileges_of_its_user() {
    let mut bundle = Bundle::sh(
        "user-filter",
        "mkdir /tmp/x 2>&1; grep -E 'Seccomp:|CapEff|CapPrm|NoNewPrivs' /proc/self/status",
    );
    filter(
        &mut bundle,
        json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
        }),
    );
    bundle.spec["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    for no_new_privileges in [false, true] {
        bundle.spec["process"]["noNewPrivileges"] = json!(no_new_privileges);
        assert_eq!(
            bundle.says(),
            format!(
                "mkdir: can't create directory '/tmp/x': Operation not permitted\nCapPrm:\t0000000000000000\n\
                 CapEff:\t0000000000000000\nNoNewPrivs:\t{}\nSeccomp:\t2",
                u8::from(no_new_privileges)
            )
        );
    }
}

/// Calls getppid through another ABI and exits with 0 if that worked, 1 if it was refused.
#[cfg(target_arch = "x86_64")]
#[test]
fn every_abi_of_the_machine_is_filtered() {
    const X32: &str = "long ask(void) { long r; __asm__ volatile(\"syscall\" : \"=a\"(r) : \"a\"(0x4000006eL) : \"rcx\", \"r11\", \"memory\"); return r; }
        void end(long c) { __asm__ volatile(\"syscall\" : : \"a\"(231L), \"D\"(c)); __builtin_unreachable(); }
        void _start(void) { long r = ask(); end(r >= 0 ? 0 : -r); }";
    const I386: &str = "void _start(void) { long r; __asm__ volatile(\"int $0x80\" : \"=a\"(r) : \"a\"(64)); \
        __asm__ volatile(\"int $0x80\" : : \"a\"(252), \"b\"(r >= 0 ? 0 : -r)); __builtin_unreachable(); }";
    let freestanding = ["-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fno-pic", "-no-pie"];
    let ppid = |rules: Value, architectures: Value| json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures, "syscalls": rules});
    let denied = json!([{"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77}]);
    const NATIVE: &str = "SCMP_ARCH_X86_64";
    for (name, source, flags, arch, free) in [
        ("i386", I386, "-m32", "SCMP_ARCH_X86", 0),
        // Most kernels are built without it: ENOSYS then, from the kernel and not from the filter.
        ("x32", X32, "-m64", "SCMP_ARCH_X32", 38),
    ] {
        let mut bundle = Bundle::new(name);
        compile(source, &bundle.rootfs().join("ask"), &[&freestanding[..], &[flags]].concat());
        bundle.spec["process"]["args"] = json!(["/ask"]);
        let mut verdict = |seccomp: Value| {
            filter(&mut bundle, seccomp);
            bundle.run().code
        };
        let free_code = verdict(Value::Null);
        assert!(free_code == 0 || free_code == free, "{name}: {free_code}");
        // Filtered like the native one where it is listed, killed where it is not.
        assert_eq!(verdict(ppid(denied.clone(), json!([NATIVE, arch]))), 77, "{name}");
        assert_eq!(verdict(ppid(json!([]), json!([NATIVE, arch]))), free_code, "{name}");
        assert_eq!(verdict(ppid(json!([]), json!([NATIVE]))), 128 + 31, "{name}");
    }
}

/// Answers notifications: takes a listener from the socket argv[1] names, then answers every mkdir with error 99, and
/// writes the path's length and the message to stdout.
const AGENT: &str = r#"
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(int argc, char **argv) {
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
    if (bind(server, (void *)&address, sizeof address) || listen(server, 4)) return 1;
    puts("listening"); fflush(stdout);
    for (int n = atoi(argv[2]); n > 0; n--) {
        int peer = accept(server, 0, 0);
        char text[8192]; char control[CMSG_SPACE(sizeof(int))];
        struct iovec data = { text, sizeof text - 1 };
        struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
        long got = recvmsg(peer, &message, 0);
        if (got < 0) return 2;
        text[got] = 0;
        int listener;
        memcpy(&listener, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof listener);
        printf("%s\n", text); fflush(stdout);
        struct seccomp_notif asked; struct seccomp_notif_resp answer;
        for (;;) {
            memset(&asked, 0, sizeof asked); memset(&answer, 0, sizeof answer);
            if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked)) break;
            answer.id = asked.id; answer.error = -99;
            printf("asked %d\n", asked.data.nr); fflush(stdout);
            if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer)) break;
            break;
        }
        close(listener); close(peer);
    }
    return 0;
}
"#;

#[test]
fn a_listener_is_asked() {
    let mut bundle = Bundle::sh("notify", "mkdir /tmp/x; exec sleep 1000");
    let agent = bundle.path().join("agent");
    compile(AGENT, &agent, &[]);
    let socket = bundle.path().join("agent.sock");
    let notify = json!({
        "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": socket, "listenerMetadata": "some words",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
    });
    filter(&mut bundle, notify.clone());
    let heard = std::fs::File::create(bundle.path().join("heard")).unwrap();
    let mut child =
        Command::new(&agent).arg(&socket).arg("2").stdin(Stdio::null()).stdout(heard).spawn().unwrap();
    let heard = || std::fs::read_to_string(bundle.path().join("heard")).unwrap();
    crate::bundle::until("the agent listens", || heard().contains("listening"));
    let first = bundle.oci(&["run", "--detach", &bundle.id]);
    assert_eq!(first.code, 0, "{first:?}");
    crate::bundle::until("the agent was asked", || heard().contains("asked 83"));
    let state: Value = serde_json::from_str(heard().lines().nth(1).unwrap()).unwrap();
    assert_eq!(state["fds"], json!(["seccompFd"]));
    assert_eq!(state["metadata"], "some words");
    assert_eq!(state["pid"], bundle.pid());
    assert_eq!(state["state"]["id"], json!(bundle.id));
    assert_eq!(state["state"]["status"], "creating");
    // One more process has a filter, and a listener, of its own.
    let second = bundle.oci(&["exec", &bundle.id, "mkdir", "/tmp/y"]);
    assert!(
        second.stderr.contains("Address not available") || second.stderr.contains("Cannot assign"),
        "{second:?}"
    );
    assert_eq!(crate::bundle::end_of(&mut child), 0);
    let said = heard();
    assert_eq!(said.matches("asked 83").count(), 2, "{said}");
    let state: Value = serde_json::from_str(said.lines().nth(3).unwrap()).unwrap();
    assert_eq!(state["state"]["status"], "running");
    assert_ne!(state["pid"], bundle.pid());

    bundle.good(&["delete", "--force", &bundle.id]);
    // Nobody listens any more.
    let text = bundle.refused();
    assert!(text.contains("agent.sock"), "{text}");
    let mut without = notify.clone();
    without["listenerPath"] = json!("");
    filter(&mut bundle, without);
    assert!(bundle.refused().contains("listenerPath"));
    let mut own = notify;
    own["syscalls"][0]["names"] = json!(["mkdir", "sendmsg"]);
    filter(&mut bundle, own);
    assert!(bundle.refused().contains("SCMP_ACT_NOTIFY cannot be used for the sendmsg syscall"));
}

#[test]
fn dockers_profile() {
    let mut bundle = Bundle::new("profile");
    let directory = bundle.beside("spec").display().to_string();
    bundle.good(&["spec", "--bundle", &directory, "--seccomp", "default"]);
    let spec: Value =
        serde_json::from_slice(&std::fs::read(bundle.path().join("spec/config.json")).unwrap()).unwrap();
    filter(&mut bundle, spec["linux"]["seccomp"].clone());
    bundle.script(
        "grep Seccomp: /proc/self/status; unshare -n true 2>&1; mount -t tmpfs none /tmp 2>&1; \
         touch /tmp/x && chmod 600 /tmp/x && id -u",
    );
    bundle.spec["process"]["capabilities"]["bounding"].as_array_mut().unwrap().push(json!("CAP_SYS_ADMIN"));
    let said = bundle.run().stdout;
    assert_eq!(
        said,
        "Seccomp:\t2\nunshare: unshare(0x40000000): Operation not permitted\n\
         mount: permission denied (are you root?)\n0\n"
    );
    // exec is filtered as well.
    bundle.script("exec sleep 1000");
    bundle.start();
    assert!(bundle.oci(&["exec", &bundle.id, "unshare", "-n", "true"]).stderr.contains("not permitted"));
}
