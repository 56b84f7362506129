//! `run` and its flags, by what the process inside sees.

#[test]
fn processes() {
    super::compare(PROCESSES);
}

#[test]
fn flags() {
    super::compare(FLAGS);
}

#[test]
fn refusals() {
    super::compare(REFUSALS);
}

const PROCESSES: &[&[&str]] = &[
    &["run --rm bb echo hi"],
    &["run --rm bb sh -c 'echo out; exit 3'"],
    &["run --rm bb nosuch"],
    &["run --rm bb /bin"],
    &["run --rm bb /nosuch/x"],
    &["run --rm bb sh -c 'kill -9 $$'"],
    &["run --rm -a stdout bb sh -c 'echo out; echo err >&2'"],
    &["run --rm -a stderr bb sh -c 'echo out; echo err >&2'"],
    &["run --rm -a stdin -a stdout bb cat", "IN:typed run --rm -i -a stdin -a stdout bb cat"],
    &["run --rm -t bb sh -c 'echo tty; exit 4'", "run --rm -t bb sh -c 'tty; echo $TERM; echo err >&2'"],
    &["IN:hello run --rm -i bb cat", "IN: run --rm -i bb cat", "IN:hello run --rm bb cat"],
    &["SH:head -c 3000000 /dev/zero | docker run --rm -i bb wc -c"],
    &["SH:docker run --rm bb head -c 3000000 /dev/zero | wc -c"],
    &["SH:docker run --rm -i bb sh -c 'read x; echo got $x' < <(echo one; echo two)"],
    &["run --rm --init bb sh -c 'cat /proc/1/comm >/dev/null; exit 9'"],
    &["SH:docker run --rm --init bb sh -c 'tr \"\\0\" \" \" </proc/1/cmdline'"],
    &["run -d --rm -i --name NAME bb cat", "rm -f NAME"],
    &["SH:docker run -d --name NAME bb sleep 100 | wc -c", "rm -f NAME"],
    &["run --log-driver none --name NAME bb echo x", "logs NAME", "rm NAME"],
    &[
        "run --name NAME --cidfile DIR/cid bb true",
        "SH:[ $(cat DIR/cid) = $(docker inspect -f '{{.Id}}' NAME) ] && echo same",
        "run --cidfile DIR/cid bb true",
        "run --cidfile DIR/nosuch/cid bb true",
        "run --rm --cidfile DIR/cid2 nosuch:1 true",
        "SH:test -e DIR/cid2; echo $?",
        "rm NAME",
    ],
    &["run --name NAME bb false", "run --name NAME bb true", "rm NAME"],
    &["run --name NAME --restart on-failure:1 bb false", "rm -f NAME"],
    &[
        "28:run -q --rm bb echo quiet",
        "run --rm --pull never bb echo here",
        "run --rm --pull missing bb echo here",
    ],
    &["run --rm --platform linux/amd64 bb echo here"],
];

const FLAGS: &[&[&str]] = &[
    // the process
    &["run --rm -e A=1 -e B= bb sh -c 'echo $A-$B-$HOME'"],
    &["SH:B=b docker run --rm -e B -e NOT_SET_HERE bb sh -c 'echo $B; env | grep -c NOT_SET'"],
    &["SH:B=b docker run --rm --env-file FIX/env -e A=flag bb sh -c 'env | sort | grep -v HOSTNAME'"],
    &["29:run --rm --env-file FIX/env-bad bb true", "29:run --rm --env-file FIX/nosuch bb true"],
    &["run --rm --env-file /dev/null -e HOME=/x bb sh -c 'echo $HOME'"],
    &[
        "create --name NAME --label-file FIX/labels -l four=4 -l one=over bb",
        "inspect -f '{{json .Config.Labels}}' NAME",
        "rm NAME",
        "29:create --label-file FIX/nosuch bb",
        "create --label =x bb",
        "create --label 'a b=c' bb",
    ],
    &["run --rm -w /bin --entrypoint ls bb -d ."],
    &["run --rm --entrypoint '' bb echo no entrypoint", "run --rm --entrypoint '' bb"],
    &["run --rm -w /new/dir bb pwd"],
    &[
        "run --rm -u nobody bb id",
        "run --rm -u 7:8 bb id",
        "run --rm -u nosuch bb id",
        "run --rm -u root:nogroup bb id",
    ],
    &["run --rm -u :nogroup bb id", "run --rm -u 7:nosuch bb id"],
    &[
        "run --rm --group-add 99 bb id",
        "run --rm --group-add nogroup --group-add 5 bb id",
        "run --rm --group-add nosuch bb id",
    ],
    &[
        "run --rm --hostname foo bb cat /etc/hostname",
        "run --rm --hostname foo.bar bb sh -c 'hostname; grep foo /etc/hosts | cut -f2-'",
    ],
    &[
        "run --rm -h foo --domainname example.org bb sh -c 'hostname; cat /proc/sys/kernel/domainname; grep foo /etc/hosts | cut -f2-'",
    ],
    &[
        "run --rm --ulimit nofile=100:200 bb sh -c 'ulimit -n; ulimit -Hn'",
        "run --rm --ulimit nofile=9 --ulimit core=0:0 bb sh -c 'ulimit -n; ulimit -Hc'",
    ],
    &["run --rm --oom-score-adj 300 bb cat /proc/self/oom_score_adj"],
    // what it may do
    &["run --rm bb grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status"],
    &["run --rm --cap-drop ALL bb grep Cap /proc/self/status"],
    &["run --rm --cap-add ALL bb grep CapEff /proc/self/status"],
    &[
        "run --rm --cap-add NET_ADMIN bb grep CapEff /proc/self/status",
        "run --rm --cap-add cap_sys_ptrace --cap-drop CAP_CHOWN bb grep CapEff /proc/self/status",
    ],
    &["run --rm --cap-drop ALL --cap-add CHOWN -u 5 bb grep Cap /proc/self/status"],
    &["run --rm --privileged bb grep -E 'Cap|Seccomp:' /proc/self/status"],
    &[
        "run --rm --security-opt no-new-privileges bb grep NoNewPrivs /proc/self/status",
        "run --rm --security-opt no-new-privileges=false bb grep NoNewPrivs /proc/self/status",
    ],
    &["run --rm --security-opt seccomp=unconfined bb grep Seccomp: /proc/self/status"],
    &[
        "run --rm --security-opt seccomp=FIX/seccomp.json bb sh -c 'grep Seccomp: /proc/self/status; mkdir /x'",
    ],
    &["run --rm --security-opt systempaths=unconfined bb sh -c 'mount | grep -c \"/proc/\"'"],
    &["run --rm --read-only bb touch /x", "run --rm --read-only --tmpfs /t bb touch /t/x"],
    &[
        "run --rm --cgroupns host bb sh -c 'grep -c / /proc/self/cgroup >/dev/null; readlink /proc/self/ns/cgroup' | wc -l",
    ],
    &[
        "SH:[ $(docker run --rm --cgroupns host bb readlink /proc/self/ns/cgroup) = $(readlink /proc/self/ns/cgroup) ] && echo host",
        "SH:[ $(docker run --rm --cgroupns private bb readlink /proc/self/ns/cgroup) = $(readlink /proc/self/ns/cgroup) ] || echo private",
        "SH:for ns in pid ipc uts net; do f=$ns; [ $ns = net ] && f=network; [ $(docker run --rm --$f host bb readlink /proc/self/ns/$ns) = $(readlink /proc/self/ns/$ns) ] && echo $ns; done",
    ],
    &[
        "SH:docker run -d --name NAME --ipc shareable bb sleep 100 | wc -l",
        "SH:for f in pid ipc network; do ns=$f; [ $f = network ] && ns=net; [ $(docker run --rm --$f container:NAME bb readlink /proc/self/ns/$ns) = $(docker exec NAME readlink /proc/self/ns/$ns) ] && echo $f; done",
        "run --rm --pid container:NAME bb sh -c 'cat /proc/1/comm'",
        "run --rm --network container:NAME --hostname x bb true",
        "run --rm --network container:NAME --dns 1.1.1.1 bb true",
        "run --rm --network container:NAME --add-host a:1.1.1.1 bb true",
        "run --rm --network container:NAME -h '' bb sh -c 'hostname | wc -c'",
        "run --rm --uts container:NAME bb true",
        "rm -f NAME",
        "run --rm --pid container:NAME bb true",
        "run --rm --ipc container:NAME bb true",
    ],
    &[
        "SH:docker run -d --name NAME --ipc private bb sleep 100 | wc -l",
        "run --rm --ipc container:NAME bb true",
        "rm -f NAME",
    ],
    &["run --rm --ipc none bb sh -c 'grep -c /dev/shm /proc/mounts'", "run --rm --ipc bogus bb true"],
    // what it sees
    &["run --rm -v /etc:/x:ro bb ls -d /x", "run --rm -v /etc:/x:ro bb touch /x/y"],
    &[
        "SH:mkdir -p DIR/src; echo in > DIR/src/f",
        "run --rm -v DIR/src:/x bb sh -c 'cat /x/f; echo more > /x/g'",
        "SH:cat DIR/src/g",
        "28:run --rm -v ./src:/x bb cat /x/f",
    ],
    &["run --rm -v DIR/made:/x bb touch /x/y", "SH:ls DIR/made"],
    &["run --rm --mount type=bind,source=DIR/nosuch,target=/x bb true"],
    &[
        "run --rm --mount type=bind,source=/etc,target=/x,readonly bb touch /x/y",
        "run --rm --mount type=bind,src=/etc,dst=/x,ro=true bb touch /x/y",
    ],
    &[
        "28:run --rm --mount type=bind,src=/etc,dst=/x,bind-propagation=rslave,bind-recursive=disabled bb ls -d /x",
    ],
    &[
        "run --rm --tmpfs /t:size=64k bb sh -c 'grep \" /t \" /proc/mounts'",
        "run --rm --tmpfs /t bb sh -c 'grep \" /t \" /proc/mounts'",
    ],
    &[
        "run --rm --tmpfs /t:exec,mode=700,uid=5 bb sh -c 'grep \" /t \" /proc/mounts'",
        "run --rm --tmpfs /t:bogus bb true",
    ],
    &[
        "run --rm --mount type=tmpfs,target=/t bb sh -c 'grep \" /t \" /proc/mounts'",
        "run --rm --mount type=tmpfs,target=/t,tmpfs-size=64k,tmpfs-mode=0700 bb sh -c 'grep \" /t \" /proc/mounts; stat -c %a /t'",
    ],
    &[
        "create --name NAME -v /anon -v DIR/vf:/bound bb",
        "run --rm --volumes-from NAME bb sh -c 'echo x > /anon/f; echo y > /bound/f'",
        "run --rm --volumes-from NAME:ro bb sh -c 'cat /anon/f /bound/f; touch /anon/g'",
        "run --rm --volumes-from NAME:bogus bb true",
        "run --rm --volumes-from nosuch bb true",
        "inspect -f '{{range .Mounts}}{{.Type}} {{.Destination}} {{.RW}}{{println}}{{end}}' NAME",
        "rm -v NAME",
    ],
    &[
        "run --rm --device /dev/null:/dev/zed bb ls /dev/zed",
        "run --rm --device /dev/null:/dev/zed:r bb sh -c 'cat /dev/zed; echo x > /dev/zed'",
    ],
    &["run --rm --device-cgroup-rule 'c 42:* rmw' bb true", "run --rm --device-cgroup-rule bogus bb true"],
    &["run --rm --shm-size 1m bb sh -c 'df /dev/shm | tail -1'"],
    &[
        "run --rm --sysctl net.ipv4.ip_unprivileged_port_start=7 bb cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
        "run --rm --sysctl kernel.shmmax=4096 --sysctl fs.mqueue.msg_max=20 bb cat /proc/sys/kernel/shmmax /proc/sys/fs/mqueue/msg_max",
        "run --rm --sysctl kernel.bogus=1 bb true",
        "run --rm --sysctl net.bogus=1 bb true",
        "run --rm --network host --sysctl net.ipv4.ip_forward=1 bb true",
    ],
    // network
    &[
        "run --rm --network none bb sh -c 'grep : /proc/net/dev | cut -d: -f1'",
        "run --rm --network host bb true",
        "run --rm --net none bb echo net",
    ],
    &[
        "28:run --rm --add-host foo:1.2.3.4 --add-host six=::1 bb grep -E 'foo|six' /etc/hosts",
        "run --rm --add-host foo:bogus bb true",
        "run --rm --add-host foo bb true",
    ],
    &["SH:docker run --rm --add-host gw:host-gateway bb grep -c gw /etc/hosts"],
    &[
        "run --rm --dns 9.9.9.9 --dns-search example.com bb grep -v '^#' /etc/resolv.conf",
        "run --rm --dns 9.9.9.9 --dns-option ndots:3 --dns-opt rotate --dns-search . bb grep -v '^#' /etc/resolv.conf",
        "run --rm --dns bogus bb true",
    ],
    &["run --rm --dns-search 'a b' bb true"],
    // cgroups: the process's own view
    &[
        "run --rm -m 64m bb sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max'",
    ],
    &[
        "run --rm -m 64m --memory-swap 128m --memory-reservation 32m bb sh -c 'cat /sys/fs/cgroup/memory/memory.soft_limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.low'",
    ],
    &["run --rm --memory-swappiness 7 bb sh -c 'cat /sys/fs/cgroup/memory/memory.swappiness 2>/dev/null'"],
    &[
        "run --rm --cpus 0.5 bb sh -c 'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.cfs_period_us 2>/dev/null || cat /sys/fs/cgroup/cpu.max'",
    ],
    &[
        "run --rm --cpu-period 50000 --cpu-quota 25000 bb sh -c 'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.cfs_period_us 2>/dev/null || cat /sys/fs/cgroup/cpu.max'",
    ],
    &[
        "run --rm -c 512 bb sh -c 'cat /sys/fs/cgroup/cpu/cpu.shares 2>/dev/null || cat /sys/fs/cgroup/cpu.weight'",
    ],
    &[
        "run --rm --cpuset-cpus 0 --cpuset-mems 0 bb sh -c 'grep Cpus_allowed_list /proc/self/status; cat /sys/fs/cgroup/cpuset/cpuset.mems 2>/dev/null || cat /sys/fs/cgroup/cpuset.mems'",
    ],
    &[
        "run --rm --pids-limit 50 bb sh -c 'cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max'",
        "run --rm --pids-limit -1 bb sh -c 'cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max'",
    ],
    &[
        "run --rm --oom-kill-disable -m 64m bb sh -c 'head -1 /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null'",
        "run --rm --oom-kill-disable bb true",
    ],
    &["run --rm -m 20m bb sh -c 'head -c 100m /dev/zero | tail'"],
    &["run --rm --memory 64m --cpus 0.5 --pids-limit 50 bb true"],
    // logs, stops, annotations: what inspect shows
    &[
        "28:create --name NAME --log-driver json-file --log-opt max-size=1m --log-opt max-file=2 --stop-signal USR1 --stop-timeout 3 --annotation a.b=c --init --cgroup-parent /x --restart unless-stopped --expose 80 --expose 90-91/udp --runtime runc --isolation default bb",
        "28:inspect -f '{{json .HostConfig.LogConfig}} {{.Config.StopSignal}} {{.Config.StopTimeout}} {{json .HostConfig.Annotations}} {{.HostConfig.Init}} {{.HostConfig.CgroupParent}} {{json .HostConfig.RestartPolicy}} {{json .Config.ExposedPorts}} {{.HostConfig.Runtime}}' NAME",
        "28:rm NAME",
    ],
    &["create --name NAME --no-healthcheck bb", "inspect -f '{{json .Config.Healthcheck}}' NAME", "rm NAME"],
    &[
        "29:create --name NAME --blkio-weight 300 --device-read-bps /dev/null:1mb --device-write-iops /dev/null:10 --kernel-memory 1m --oom-score-adj 5 --memory 100m bb",
        "29:inspect -f '{{.HostConfig.BlkioWeight}} {{json .HostConfig.BlkioDeviceReadBps}} {{json .HostConfig.BlkioDeviceWriteIOps}} {{.HostConfig.OomScoreAdj}} {{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}' NAME",
        "rm NAME",
    ],
];

const REFUSALS: &[&[&str]] = &[
    &["run --rm -m 4 bb true", "run --rm -m abc bb true", "run --rm -m 1x bb true", "run --rm -m -5 bb true"],
    &[
        "run --rm -m 64m --memory-swap 32m bb true",
        "run --rm --memory-swap 32m bb true",
        "run --rm -m 64m --memory-reservation 65m bb true",
    ],
    &["run --rm --memory-swappiness 101 bb true"],
    &["run --rm --cpus 1000 bb true", "run --rm --cpus x bb true", "run --rm --cpus 0.00000000001 bb true"],
    &[
        "run --rm --cpus 1 --cpu-quota 5000 bb true",
        "run --rm --cpu-quota 5 bb true",
        "run --rm --cpu-period 5 bb true",
        "run --rm --cpuset-cpus 99 bb true",
        "run --rm --cpuset-cpus x bb true",
    ],
    &[
        "run --rm --blkio-weight 5 bb true",
        "run --rm --blkio-weight-device /dev/null:5 bb true",
        "run --rm --device-read-bps /dev/null bb true",
        "run --rm --device-read-iops null:5 bb true",
    ],
    &["run --rm --name a/b bb true", "run --rm --name '' bb echo unnamed"],
    &["run --rm --cap-add SYS_ADMIN --cap-add BOGUS bb true", "run --rm --cap-drop BOGUS bb true"],
    &[
        "run --rm --security-opt bogus bb true",
        "run --rm --security-opt bogus=x bb true",
        "run --rm --security-opt seccomp=FIX/nosuch bb true",
        "run --rm --security-opt seccomp=FIX/seccomp-bad.json bb true",
        "run --rm --security-opt no-new-privileges=x bb true",
    ],
    &[
        "run --rm --device /dev/nosuch bb true",
        "run --rm --device /dev/null:x bb true",
        "run --rm --device '' bb true",
    ],
    &[
        "run --rm --network container:nosuch bb true",
        "run --rm --network nosuch bb true",
        "run --rm --network '' bb true",
        "run --rm --network container: bb true",
    ],
    &[
        "run --rm --uts host --pid host --ipc host bb true",
        "run --rm --uts host --hostname x bb true",
        "run --rm --uts bogus bb true",
    ],
    &[
        "run --rm --pid bogus bb true",
        "run --rm --cgroupns bogus bb true",
        "run --rm --userns bogus bb true",
        "run --rm --userns host bb true",
    ],
    &["run --rm --oom-score-adj 3000 bb true", "run --rm --oom-score-adj x bb true"],
    &[
        "run --rm --log-driver bogus bb true",
        "run --rm --log-opt bogus=1 bb true",
        "run --rm --log-driver none --log-opt a=b bb true",
        "run --rm --log-opt max-size=x bb true",
    ],
    &[
        "run --rm --restart on-failure:2 bb true",
        "run --restart bogus bb true",
        "run --restart on-failure:x bb true",
        "run --restart on-failure:-1 bb true",
        "run --restart always:3 bb true",
        "28:run --restart :3 bb true",
    ],
    &["run --rm --stop-signal BOGUS bb true", "run --rm --stop-timeout x bb true"],
    &[
        "run --rm -v relative:x:zz bb true",
        "run --rm -v /a:relative bb true",
        "run --rm -v :/x bb true",
        "run --rm -v '' bb true",
        "run --rm -v /a:/b:ro:x bb true",
        "run --rm -v /a:/ bb true",
        "run --rm -v /a:/x:bogus bb true",
    ],
    &[
        "run --rm --mount type=bogus,target=/x bb true",
        "run --rm --mount type=bind,target=/x bb true",
        "run --rm --mount target bb true",
        "run --rm --mount type=bind,source=x,target=/x bb true",
        "run --rm --mount type=tmpfs,source=/x,target=/x bb true",
        "29:run --rm --mount type=bind,source=/etc,target=/x,bogus=1 bb true",
        "29:run --rm --mount '' bb true",
    ],
    &[
        "run --rm --tmpfs relative bb true",
        "run --rm --tmpfs /t:size=x bb true",
        "run --rm -v /etc:/t --tmpfs /t bb true",
    ],
    &["run --rm -w relative bb true"],
    &["run --rm -i -t bb true", "run -d -a stdout bb true", "run -a bogus bb true"],
    &["run --rm --shm-size x bb true", "run --rm --shm-size 0 bb true"],
    &[
        "run --rm --ulimit bogus=1 bb true",
        "run --rm --ulimit nofile bb true",
        "run --rm --ulimit nofile=5:3 bb true",
        "run --rm --ulimit nofile=x bb true",
        "run --rm --ulimit nofile=1:2:3 bb true",
    ],
    &["29:run --rm --detach-keys bogus bb true", "29:run --rm --detach-keys ctrl-! bb true"],
    &["28:run --rm --pull bogus bb true", "run --rm --pull never nosuch:1 true"],
    &["run --rm --isolation hyperv bb true", "run --rm --runtime nosuch bb true"],
    &[
        "run --rm --init=x bb true",
        "run --rm --rm=x bb true",
        "run --bogus bb true",
        "run -z bb",
        "run --env",
        "run -e",
    ],
    &["run --rm -e =x bb true", "run --rm -e '' bb true"],
    &[
        "run --rm --health-cmd x --no-healthcheck bb true",
        "run --rm --health-retries -1 bb true",
        "run --rm --health-interval -1s bb true",
        "run --rm --health-interval x bb true",
    ],
    &["run --rm --mac-address bogus bb true", "29:run --rm --ip bogus bb true"],
    &["29:run --rm --expose x bb true", "29:run --rm --expose 5-3 bb true"],
    &["run --rm UPPER true", "run --rm bb:no:such true", "run --rm 'b b' true"],
    &["run --rm --storage-opt bogus bb true"],
    &["run --rm --platform bogus/x/y/z bb true"],
    &["run", "create", "run --rm"],
];
