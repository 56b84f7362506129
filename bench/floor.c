/* The floor: the least that a container costs on this kernel. Clones all namespaces, mounts an overlay,
 * pivots into it, mounts proc, and executes the program. No cgroup, no network, no seccomp, no checks.
 * usage: floor LOWER UPPER WORK MERGED PROGRAM [ARG...] */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char stack[1 << 16];

static int fail(const char *what) { perror(what); _exit(111); }

static int child(void *p) {
    char **argv = p, options[3 * 4096];
    snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", argv[1], argv[2], argv[3]);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) fail("private");
    if (mount("overlay", argv[4], "overlay", 0, options)) fail("overlay");
    if (chdir(argv[4])) fail("chdir");
    if (mount("proc", "proc", "proc", 0, NULL)) fail("proc");
    if (syscall(SYS_pivot_root, ".", ".")) fail("pivot_root");
    if (umount2(".", MNT_DETACH)) fail("umount");
    execv(argv[5], argv + 5);
    return fail("execv");
}

int main(int argc, char **argv) {
    int status;
    if (argc < 6) return 2;
    pid_t pid = clone(child, stack + sizeof stack,
                      CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | SIGCHLD, argv);
    if (pid < 0) return fail("clone");
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
