#!/bin/busybox sh
# /init of the machine, in two lives: first it loads modules and leaves the initramfs, which has no mount below it and
# so cannot be pivoted away from; then it runs every function below whose name begins with check_, in order, each in a
# shell that ends at its first failing command. One line per check goes to the console; of a failed one, all it did.

export PATH=/bin:/sbin HOME=/root
if [ -z "$1" ]; then
    /bin/busybox mkdir -p /proc /new && /bin/busybox --install -s /bin
    mount -t proc proc /proc
    while read -r module; do insmod "/modules/$module"; done < /modules/order
    mount -t tmpfs -o mode=755,size=80% tmpfs /new
    cp -a /bin /disks /init /lib /lib64 /new/
    mkdir /new/dev /new/etc /new/proc /new/root /new/run /new/sys /new/tmp /new/var
    umount /proc
    exec switch_root /new /init checks
fi

if [ "$1" = checks ]; then
    mount -t devtmpfs devtmpfs /dev
    exec > /dev/ttyS0 2>&1 < /dev/null
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
    mkdir /dev/pts /dev/shm
    mount -t devpts -o ptmxmode=666,mode=620 devpts /dev/pts
    mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
    ln -s /proc/self/fd /dev/fd
    ip link set lo up
    hostname guest
    echo 'root:x:0:0::/root:/bin/sh' > /etc/passwd
    echo 'nameserver 192.0.2.53' > /etc/resolv.conf
    : > /tmp/engine.log
    for name in $(sed -n 's/^\(check_[a-z0-9_]*\)() {$/\1/p' "$0"); do
        seen=$(wc -l < /tmp/engine.log)
        begun=$(cut -d . -f 1 /proc/uptime)
        if timeout 180 "$0" "$name" > "/tmp/$name" 2>&1; then
            echo "@ok $name"
        else
            echo "@failed $name"
            sed 's/^/| /' "/tmp/$name" | cut -c 1-400
            echo "| ---- engine"
            tail -n +$((seen + 1)) /tmp/engine.log | sed 's/^/| /'
            # So that only what fails is told as failed.
            wharf ps -aq | xargs -r wharf rm -f > /dev/null 2>&1
        fi
        echo "@took $(($(cut -d . -f 1 /proc/uptime) - begun)) $name"
    done
    echo @end
    poweroff -f
fi

top=/sys/fs/cgroup
export DOCKER_HOST=unix:///run/engine.sock WHARF_AUTOSTART=0

fail() {
    echo "$*" >&2
    exit 1
}

same() {
    [ "$1" = "$2" ] || fail "not '$2' but '$1'"
}

# A text has a part.
has() {
    case $1 in *"$2"*) ;; *) fail "no '$2' in '$1'" ;; esac
}

lacks() {
    case $1 in *"$2"*) fail "'$2' in '$1'" ;; esac
}

now() {
    cut -d . -f 1 /proc/uptime
}

# Until a command succeeds; the machine is slow, so long.
until_ok() {
    { set +x; } 2> /dev/null
    deadline=$(($(now) + 30))
    until ("$@") > /tmp/until 2>&1; do
        [ "$(now)" -lt $deadline ] || { cat /tmp/until; fail "never: $*"; }
        usleep 50000
    done
    set -x
}

inspect() {
    wharf inspect -f "$2" "$1"
}

is() {
    [ "$(inspect "$1" "$2")" = "$3" ]
}

# Processes that have a text in their command line, but for whoever asks.
find_process() {
    for process in /proc/[0-9]*; do
        case $(tr '\000' ' ' < "$process/cmdline" 2> /dev/null) in
        *find_process*) ;;
        *"$1"*) echo "${process#/proc/}" ;;
        esac
    done
}

is_found() {
    [ -n "$(find_process "$1")" ]
}

is_gone() {
    [ -z "$(find_process "$1")" ]
}

is_silent() {
    if wharf version; then return 1; fi
}

pid_of() {
    inspect "$1" '{{.State.Pid}}'
}

group_of() {
    echo "$top/docker/$(inspect "$1" '{{.Id}}')"
}

# shellcheck disable=SC2086,SC2068 # words
engine() {
    wharf daemon --data-root /var/wharf --exec-root /run/wharf --pidfile /run/engine.pid -H $DOCKER_HOST $@ \
        >> /tmp/engine.log 2>&1 &
    until_ok wharf version
}

# ---- the machine

check_machine_is_fit() {
    found=$(wharf check)
    echo "$found"
    has "$found" 'This machine is fit'
    lacks "$found" FATAL
    for line in 'hierarchy +version 2' 'memory +/sys' 'cpu +/sys' 'cpuset +/sys' 'pids +/sys' 'io +/sys' 'swap limit' \
        'nftables' 'bridge +with veth' 'overlay'; do
        echo "$found" | grep -E "^  ok +$line" || fail "$line"
    done
    # systemd's names are not there, and v1's controllers have no row here.
    lacks "$found" freezer
}

check_engine_starts() {
    engine
    same "$(wharf info -f '{{.CgroupVersion}} {{.CgroupDriver}} {{.Driver}}')" '2 cgroupfs overlay2'
    warnings=$(wharf info -f '{{json .Warnings}}')
    for text in memory swap cpu cpuset io. blkio; do lacks "$warnings" "$text"; done
    has "$(wharf info -f '{{json .SecurityOptions}}')" name=cgroupns
    mkdir -p /tmp/image/bin /tmp/image/etc
    cp /bin/busybox /tmp/image/bin/
    busybox --install -s /tmp/image/bin 2> /dev/null || busybox --list | while read -r name; do
        [ "$name" = busybox ] || ln -sf busybox "/tmp/image/bin/$name"
    done
    echo 'root:x:0:0::/root:/bin/sh' > /tmp/image/etc/passwd
    tar -C /tmp/image -c . | wharf import - busybox
}

check_first_containers() {
    has "$(wharf run --rm hello-world)" 'Hello from'
    same "$(wharf run --rm busybox echo hi)" hi
    set +e
    wharf run --rm busybox sh -c 'exit 7'
    same $? 7
    wharf run --rm busybox nothing-like-it
    same $? 127
}

# ---- limits

check_limits_are_in_the_files() {
    wharf run -d --name lim -m 64m --memory-swap 96m --memory-reservation 32m --cpu-shares 512 --cpus 0.5 \
        --cpuset-cpus 1 --cpuset-mems 0 --pids-limit 50 --blkio-weight 300 --device-read-bps /dev/loop0:1mb \
        --device-write-iops /dev/loop0:100 busybox sleep 1000
    group=$(group_of lim)
    for pair in memory.max=67108864 memory.swap.max=33554432 memory.low=33554432 cpu.weight=59 cpuset.cpus=1 \
        cpuset.mems=0 pids.max=50; do
        same "${pair%%=*}=$(cat "$group/${pair%%=*}")" "$pair"
    done
    same "$(cat "$group/cpu.max")" '50000 100000'
    has "$(cat "$group/io.max")" '7:0 rbps=1048576 wbps=max riops=max wiops=100'
    # Weights belong to BFQ where it is, to the cost model elsewhere. (300 - 10) * 9999 / 990 + 1
    if [ -e "$group/io.bfq.weight" ]; then
        has "$(cat "$group/io.bfq.weight")" 'default 300'
    else
        has "$(cat "$group/io.weight")" 'default 2930'
    fi
    same "$(wharf exec lim cat /sys/fs/cgroup/memory.max)" 67108864
    same "$(wharf exec lim nproc)" 1
    wharf rm -f lim
    [ ! -e "$group" ]
}

check_pids_are_limited() {
    said=$(wharf run --rm --pids-limit 6 busybox sh -c 'for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done; wait' 2>&1) &&
        fail "all were forked: $said"
    has "$said" "can't fork"
}

check_out_of_memory_is_told() {
    set +e
    wharf run --name fat -m 16m --memory-swap 16m busybox tail /dev/zero
    same $? 137
    set -e
    same "$(inspect fat '{{.State.Status}} {{.State.OOMKilled}} {{.State.ExitCode}}')" 'exited true 137'
    # One of its processes, not the first: the container goes on, and is told of.
    wharf run -d --name some -m 16m --memory-swap 16m busybox sh -c 'tail /dev/zero; sleep 1000'
    until_ok is some '{{.State.Running}} {{.State.OOMKilled}}' 'true true'
    grep -q '^oom_kill 1' "$(group_of some)/memory.events"
    has "$(wharf events --since 1 --until "$(($(date +%s) + 1))" --filter container=some --filter event=oom)" oom
    wharf kill some
    until_ok is some '{{.State.Status}} {{.State.OOMKilled}}' 'exited true'
    same "$(wharf events --since 1 --until "$(($(date +%s) + 1))" --filter container=some --filter event=oom | wc -l)" 1
    wharf rm -f fat some
}

# ---- devices

check_devices_are_filtered_by_a_program() {
    # The node can be made (CAP_MKNOD), and not be opened; c 1:1 is /dev/mem, b 7:1 a loop device.
    said=$(wharf run --rm busybox sh -c 'mknod /tmp-loop b 7 1; cat /tmp-loop' 2>&1) && fail "opened: $said"
    has "$said" 'Operation not permitted'
    said=$(wharf run --rm busybox sh -c 'echo x > /dev/null && head -c 1 /dev/zero | wc -c && mknod /m c 1 1 &&
        head -c 1 /m' 2>&1) && fail "opened: $said"
    has "$said" 1
    has "$said" 'Operation not permitted'
    same "$(wharf run --rm --device /dev/loop1 busybox sh -c 'cat /dev/loop1 | wc -c')" 0
    same "$(wharf run --rm --device /dev/loop1:/dev/disk:r busybox sh -c 'cat /dev/disk | wc -c')" 0
    said=$(wharf run --rm --device /dev/loop1:/dev/disk:r busybox sh -c 'echo > /dev/disk' 2>&1) && fail "written: $said"
    has "$said" 'Operation not permitted'
    same "$(wharf run --rm --device-cgroup-rule 'b 7:* r' busybox sh -c 'mknod /l b 7 1; cat /l | wc -c')" 0
    same "$(wharf run --rm --privileged busybox sh -c 'cat /dev/loop1 | wc -c')" 0
}

# ---- the life of a group

check_pause_freezes() {
    wharf run -d --name pa busybox sh -c 'while :; do :; done'
    group=$(group_of pa)
    wharf pause pa
    same "$(inspect pa '{{.State.Status}}')" paused
    same "$(cat "$group/cgroup.freeze")" 1
    grep -q 'frozen 1' "$group/cgroup.events"
    used=$(grep usage_usec "$group/cpu.stat")
    usleep 200000
    same "$(grep usage_usec "$group/cpu.stat")" "$used"
    wharf unpause pa
    grep -q 'frozen 0' "$group/cgroup.events"
    # A paused container dies, too.
    wharf pause pa
    wharf kill pa
    until_ok is pa '{{.State.Status}} {{.State.ExitCode}}' 'exited 137'
    wharf rm pa
}

check_all_of_a_group_dies() {
    # Daemons that no signal to the first process reaches, in a pid namespace that is the host's.
    wharf run -d --name many --pid host busybox sh -c 'for i in 1 2 3; do setsid sleep 4711 & done; trap "" TERM
        while :; do sleep 1; done'
    group=$(group_of many)
    until_ok sh -c "[ \$(wc -l < $group/cgroup.procs) -ge 5 ]"
    wharf stop -t 1 many
    [ ! -e "$group" ]
    is_gone 'sleep 4711'
    wharf rm many
}

check_exec_is_born_in_the_group() {
    wharf run -d --name ex busybox sleep 1000
    id=$(inspect ex '{{.Id}}')
    same "$(cat "/proc/$(pid_of ex)/cgroup")" "0::/docker/$id"
    wharf exec -d ex sleep 4712
    until_ok is_found 'sleep 4712'
    same "$(cat "/proc/$(find_process 'sleep 4712' | head -n 1)/cgroup")" "0::/docker/$id"
    same "$(wharf exec ex cat /proc/self/cgroup)" '0::/'
    wharf rm -f ex
    is_gone 'sleep 4712'
}

check_cgroup_namespaces() {
    same "$(wharf run --rm busybox cat /proc/self/cgroup)" '0::/'
    same "$(wharf run --rm --cgroupns private busybox cat /proc/self/cgroup)" '0::/'
    seen=$(wharf run --rm --cgroupns host busybox sh -c 'cat /proc/self/cgroup; ls /sys/fs/cgroup')
    has "$seen" '0::/docker/'
    has "$seen" docker
    same "$(wharf run --rm busybox grep ' /sys/fs/cgroup ' /proc/mounts | grep -c '^cgroup.* cgroup2 ro,')" 1
    said=$(wharf run --rm busybox mkdir /sys/fs/cgroup/x 2>&1) && fail "$said"
    has "$said" 'Read-only file system'
    wharf run --rm --privileged busybox sh -c 'mkdir /sys/fs/cgroup/x && rmdir /sys/fs/cgroup/x'
}

check_a_parent_of_ones_own() {
    wharf run -d --name par --cgroup-parent /one/two -m 32m busybox sleep 1000
    group=$top/one/two/$(inspect par '{{.Id}}')
    same "$(cat "$group/memory.max")" 33554432
    has "$(cat $top/one/cgroup.subtree_control)" memory
    wharf rm -f par
    [ ! -e "$group" ]
    # Somebody's processes live in the parent: the kernel allows no controllers below it, and the error names it.
    mkdir $top/busy
    sleep 1000 &
    echo $! > $top/busy/cgroup.procs
    said=$(wharf run --rm --cgroup-parent /busy -m 32m busybox true 2>&1) && fail "$said"
    has "$said" "cgroup $top/busy has processes of its own"
    has "$said" memory
    # Without limits, there is nothing that it needs.
    wharf run --rm --cgroup-parent /busy busybox true
    kill %1
    wait || true
    # Threads only live below a threaded group.
    mkdir -p $top/loom/threads
    echo threaded > $top/loom/threads/cgroup.type
    said=$(wharf run --rm --cgroup-parent /loom/threads busybox true 2>&1) && fail "$said"
    has "$said" "cgroup $top/loom/threads is threaded"
    rmdir $top/loom/threads $top/loom $top/busy $top/one/two $top/one
}

check_an_engine_in_a_container() {
    cp /bin/wharf /tmp/image/bin/
    tar -C /tmp/image -c . | wharf import - nested
    rm /tmp/image/bin/wharf
    mkdir /var/nested
    wharf run -d --name outer --privileged -m 400m -v /var/nested:/var nested wharf daemon --data-root /var/data \
        --exec-root /run/wharf --pidfile /run/pid -H unix:///var/sock
    inner() { DOCKER_HOST=unix:///var/nested/sock wharf "$@"; }
    until_ok test -S /var/nested/sock
    until_ok inner version
    tar -C /tmp/image -c . | inner import - busybox
    same "$(inner run --rm -m 32m --pids-limit 20 busybox sh -c 'cd /sys/fs/cgroup && cat memory.max pids.max' | xargs echo)" \
        '33554432 20'
    inner run -d --name in -m 32m --cpus 0.5 busybox sleep 1000
    group=$(group_of outer)
    same "$(cat "$group/docker/$(inner inspect -f '{{.Id}}' in)/memory.max")" 33554432
    same "$(inner inspect -f '{{.HostConfig.NanoCpus}} {{.State.Running}}' in)" '500000000 true'
    # All of its own are out of the way, and whoever is sent in later, too.
    same "$(cat "$group/cgroup.procs")" ''
    same "$(wharf exec outer cat /proc/self/cgroup)" '0::/init'
    has "$(wharf top outer)" 'sleep 1000'
    inner rm -f in
    wharf rm -f outer
    is_gone /var/data
    [ ! -e "$group" ]
    wharf rmi nested
    rm -r /var/nested
}

# ---- network

check_bridge() {
    has "$(ip addr show docker0)" 'inet 172.17.0.1/16'
    same "$(cat /proc/sys/net/ipv4/ip_forward)" 1
    wharf run -d --name web --hostname webhost busybox sh -c 'echo page > /index.html && httpd -f -h /'
    address=$(inspect web '{{.NetworkSettings.Networks.bridge.IPAddress}}')
    same "$address" 172.17.0.2
    same "$(inspect web '{{.NetworkSettings.Networks.bridge.MacAddress}}')" 02:42:ac:11:00:02
    until_ok wget -q -O /tmp/page "http://$address/"
    same "$(cat /tmp/page)" page
    wharf run --rm busybox ping -c 1 -W 5 "$address"
    same "$(wharf run --rm busybox wget -q -O - "http://$address/")" page
    same "$(wharf run --rm --network container:web busybox wget -q -O - http://127.0.0.1/)" page
    has "$(wharf exec web cat /etc/hosts)" "$address	webhost"
    has "$(wharf run --rm busybox cat /etc/resolv.conf)" 'nameserver 192.0.2.53'
    same "$(wharf run --rm --network none busybox ls /sys/class/net)" lo
    has "$(wharf run --rm --network host busybox ls /sys/class/net)" docker0
    wharf rm -f web
}

# ---- the runtime by itself

check_oci() {
    mkdir -p /tmp/bundle
    cp -a /tmp/image /tmp/bundle/rootfs
    mkdir -p /tmp/bundle/rootfs/proc /tmp/bundle/rootfs/sys /tmp/bundle/rootfs/dev
    cd /tmp/bundle
    wharf oci spec
    sed -i -e 's/"terminal": true/"terminal": false/' -e 's/"sh"/"sleep", "1000"/' config.json
    wharf oci run --detach --pid-file /tmp/oci.pid c1 < /dev/null > /tmp/oci.out 2>&1
    has "$(wharf oci list)" running
    path=$(sed -n 's/^0:://p' "/proc/$(cat /tmp/oci.pid)/cgroup")
    has "$path" c1
    wharf oci update --memory 67108864 --cpu-quota 20000 --cpu-period 100000 --pids-limit 20 c1
    same "$(cat "$top$path/memory.max") $(cat "$top$path/cpu.max") $(cat "$top$path/pids.max")" \
        '67108864 20000 100000 20'
    stats=$(wharf oci events --stats c1)
    has "$stats" '"limit":67108864'
    has "$(wharf oci ps c1)" 'sleep 1000'
    wharf oci pause c1
    has "$(wharf oci state c1)" '"paused"'
    wharf oci resume c1
    same "$(wharf oci exec c1 cat /proc/self/cgroup)" '0::/'
    wharf oci kill c1 KILL
    until_ok sh -c "wharf oci state c1 | grep stopped"
    wharf oci delete c1
    [ ! -e "$top$path" ]
    # Files of the tree as they stand, also such as no option knows.
    sed -i -e 's|"linux": {|"linux": { "cgroupsPath": "/unified/c2",|' -e 's|"resources": {|"resources": { "unified": {\
        "memory.high": "50331648", "cgroup.max.descendants": "3" },|' config.json
    wharf oci run --detach c2 < /dev/null > /tmp/oci.out 2>&1 || { cat /tmp/oci.out config.json; exit 1; }
    same "$(cat $top/unified/c2/memory.high) $(cat $top/unified/c2/cgroup.max.descendants)" '50331648 3'
    wharf oci delete --force c2
    rmdir $top/unified
}

# ---- the engine and its place

check_a_killed_engine_is_adopted() {
    wharf run -d --name on -m 64m busybox sh -c 'while :; do echo line; sleep 1; done'
    wharf run -d --name ends busybox sh -c 'sleep 3; exit 9'
    pid=$(pid_of on)
    kill -9 "$(cat /run/engine.pid)"
    until_ok is_silent
    kill -0 "$pid"
    usleep 3000000
    engine
    same "$(pid_of on)" "$pid"
    until_ok is ends '{{.State.Status}} {{.State.ExitCode}}' 'exited 9'
    has "$(wharf logs -n 1 on)" line
    same "$(wharf exec on cat /sys/fs/cgroup/memory.max)" 67108864
    wharf pause on
    wharf unpause on
    # Who is adopted keeps its address; the next one has another.
    lacks "$(wharf run --rm busybox hostname -i) " '172.17.0.2 '
    wharf rm -f on ends
}

check_an_engine_in_a_group_of_its_own() {
    # As a service manager does it: the engine lives in a leaf, its containers beside it, below the root.
    kill "$(cat /run/engine.pid)"
    until_ok is_silent
    mkdir -p $top/system/engine
    sh -c "echo 0 > $top/system/engine/cgroup.procs; exec wharf daemon --data-root /var/wharf --exec-root /run/wharf \
        --pidfile /run/engine.pid -H $DOCKER_HOST >> /tmp/engine.log 2>&1" &
    until_ok wharf version
    same "$(cat "/proc/$(cat /run/engine.pid)/cgroup")" '0::/system/engine'
    wharf run -d --name own -m 64m busybox sleep 1000
    same "$(cat "$(group_of own)/memory.max")" 67108864
    # Nothing of a container's is left in the engine's own group: what that group may use is the engine's.
    for pid in $(cat $top/system/engine/cgroup.procs); do
        [ "$pid" != "$(pid_of own)" ] || fail 'a container in the group of the engine'
    done
    wharf rm -f own
}

# ---- checkpoints

count_of() {
    # One more may have been written meanwhile.
    wharf logs -n 1 "$1" 2> /dev/null | tail -n 1
}

# Started anew it would begin at 1.
goes_on_after() {
    count=$(count_of "$1")
    [ "$count" -gt "$2" ] && [ "$count" -lt $(($2 + 200)) ]
}

check_checkpoints_bring_processes_back() {
    criu check
    mkdir -p /srv/given
    echo given > /srv/given/file
    wharf run -d --name count --restart always --read-only --tmpfs /t -v /srv/given:/given:ro -v kept:/kept -m 64m busybox \
        sh -c 'echo of-memory > /t/file; i=0; while :; do i=$((i+1)); echo $i; usleep 100000; done'
    until_ok goes_on_after count 3
    first=$(pid_of count)
    same "$(wharf checkpoint ls count)" 'CHECKPOINT NAME'
    # It goes on, and nobody who looks at it sees a difference.
    same "$(wharf checkpoint create --leave-running count kept)" kept
    same "$(pid_of count) $(inspect count '{{.State.Status}}')" "$first running"
    until_ok goes_on_after count "$(count_of count)"
    # It ends, and is not restarted.
    same "$(wharf checkpoint create count last)" last
    same "$(inspect count '{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}')" 'exited 137 0'
    has "$(wharf why count)" 'made a checkpoint of it'
    same "$(wharf checkpoint ls count | xargs)" 'CHECKPOINT NAME kept last'
    count=$(count_of count)
    [ "$count" -gt 3 ]
    wharf start --checkpoint last count
    until_ok goes_on_after count "$count"
    # Nothing was written twice, nothing is missing.
    wharf logs count > /tmp/counted
    same "$(sort -n /tmp/counted | uniq | wc -l)" "$(wc -l < /tmp/counted)"
    same "$(tail -n 1 /tmp/counted)" "$(wc -l < /tmp/counted)"
    address=$(inspect count '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}')
    has "$(wharf exec count ip addr show eth0)" "inet $address/"
    same "$(wharf exec count sh -c 'cat /t/file /given/file /sys/fs/cgroup/memory.max; hostname' | xargs)" \
        "of-memory given 67108864 $(inspect count '{{.Config.Hostname}}')"
    has "$(wharf exec count touch /x 2>&1)" 'Read-only file system'
    has "$(wharf exec count touch /given/x 2>&1)" 'Read-only file system'
    grep -q "^$(pid_of count)$" "$(group_of count)/cgroup.procs"
    # From the older one, after another engine; written down once more; stopped like any other.
    kill -9 "$(cat /run/engine.pid)"
    until_ok is_silent
    engine
    until_ok goes_on_after count "$(count_of count)"
    wharf stop -t 0 count
    wharf start --checkpoint kept count
    wharf checkpoint create count again
    wharf start -a --checkpoint again count > /tmp/attached &
    until_ok [ -s /tmp/attached ]
    [ "$(head -n 1 /tmp/attached)" -gt 3 ]
    wharf stop -t 0 count
    wharf checkpoint rm count kept
    same "$(wharf checkpoint ls count | xargs)" 'CHECKPOINT NAME again last'
    says=$(wharf start --checkpoint kept count 2>&1) && fail "started: $says"
    has "$says" 'checkpoint kept does not exist for container count'
    same "$(wharf events --since 1 --until "$(($(date +%s) + 1))" --filter event=checkpoint | wc -l)" 3
    wharf start count
    until_ok goes_on_after count 0
    wharf rm -f count
    wharf volume rm kept
}

check_a_checkpoint_that_cannot_be_leaves_the_container_alone() {
    wharf run -dt --name terminal busybox sleep 1000
    says=$(wharf checkpoint create terminal cp 2>&1) && fail "made: $says"
    has "$says" 'it has a terminal'
    wharf create --name idle busybox true
    says=$(wharf checkpoint create idle cp 2>&1) && fail "made: $says"
    has "$says" 'is not running'
    # What criu itself refuses.
    wharf run -d --name held --device /dev/loop1 busybox sh -c 'exec 3< /dev/loop1; sleep 1000'
    until_ok [ -e "/proc/$(pid_of held)/fd/3" ]
    says=$(wharf checkpoint create held cp 2>&1) && fail "made: $says"
    has "$says" 'criu dump failed'
    same "$(inspect held '{{.State.Status}}')" running
    same "$(wharf checkpoint ls held)" 'CHECKPOINT NAME'
    wharf rm -f terminal idle held
}

# ---- quotas of projects

# A container or volume takes 4 MB, and not 16. The text is the kernel's: of ext4, and of xfs.
is_limited() {
    seen=$(wharf run --rm --network none "$@" sh -c 'cd /v && rm -f a b && dd if=/dev/zero of=a bs=1M count=4 && sync -f a &&
        dd if=/dev/zero of=b bs=1M count=16; echo end $?' 2>&1)
    has "$seen" 'end 1'
    case $seen in *'Disk quota exceeded'* | *'No space left on device'*) ;; *) fail "$seen" ;; esac
}

# An engine beside the first one, on a disk of this kind, mounted with options.
second() {
    export DOCKER_HOST="unix:///run/$1.sock"
    if [ -n "$2" ]; then
        mkdir -p "/tmp/$1"
        gunzip -c "/disks/$1.gz" > "/tmp/$1.disk"
        mount -t "$1" -o "$2" "/tmp/$1.disk" "/tmp/$1"
    fi
    wharf daemon --data-root "/tmp/$1/data" --exec-root "/run/$1" --pidfile "/run/$1.pid" -H "$DOCKER_HOST" -b none \
        >> /tmp/engine.log 2>&1 &
    until_ok wharf version
}

second_ends() {
    kill "$(cat "/run/$1.pid")"
    until_ok is_silent
    # Its process is ending.
    until_ok umount "/tmp/$1"
    rm "/tmp/$1.disk"
}

quotas_hold() {
    second "$1" loop,prjquota
    same "$(wharf info -f '{{.Driver}}')" overlay2
    mkdir -p /tmp/image/v
    tar -C /tmp/image -c . | wharf import - bb
    # Also for root with all rights, since it is the overlay that writes.
    is_limited --storage-opt size=8m bb
    is_limited --storage-opt size=8m --privileged bb
    wharf volume create -o size=8m limited
    is_limited -v limited:/v bb
    is_limited --mount type=volume,src=other,dst=/v,size=8m bb
    same "$(wharf run --rm --network none bb sh -c 'dd if=/dev/zero of=/f bs=1M count=16 2>/dev/null; echo $?')" 0
    wharf create --name kept --network none --storage-opt size=8m bb sh -c 'dd if=/dev/zero of=/f bs=1M count=16'
    same "$(inspect kept '{{json .HostConfig.StorageOpt}}')" '{"size":"8m"}'
    # Killed: the next one knows all of them, and gives no id away twice.
    kill -9 "$(cat "/run/$1.pid")"
    until_ok is_silent
    second "$1" ''
    is_limited --storage-opt size=8m bb
    is_limited -v limited:/v bb
    said=$(wharf start -a kept 2>&1) && fail "$said"
    wharf volume create -o size=12m third
    is_limited -v third:/v bb
    wharf rm kept
    wharf volume rm limited other third
    second_ends "$1"
}

# Refused, with what to do.
quotas_are_missed() {
    second "$1" loop
    tar -C /tmp/image -c . | wharf import - bb
    said=$(wharf create --storage-opt size=8m bb true 2>&1) && fail "$said"
    has "$said" "is supported only for overlay over xfs with 'pquota' mount option: /tmp/$1/data/"
    has "$said" " is on $1, mounted without quotas of projects: "
    said=$(wharf volume create -o size=8m limited 2>&1) && fail "$said"
    has "$said" 'quota size requested but no quota support: '
    has "$said" 'prjquota'
    second_ends "$1"
}

check_quotas_on_ext4() {
    quotas_hold ext4
}

check_quotas_on_xfs() {
    quotas_hold xfs
}

check_quotas_that_are_off() {
    quotas_are_missed ext4
    quotas_are_missed xfs
}

# ---- the clock

# Lines of the follower.
heard_more_than() {
    [ "$(wc -l < /tmp/ticks)" -gt "$1" ]
}

checks() {
    inspect ticks '{{json .State.Health.Log}}'
}

# The log of checks is another than it was.
checked_since() {
    [ "$(checks)" != "$1" ]
}

restarted_more_than() {
    [ "$(inspect again '{{.RestartCount}}')" -gt "$1" ]
}

check_steps_of_the_clock() {
    wharf run -d --name ticks --health-cmd true --health-interval 1s busybox sh -c \
        'trap "" TERM; i=0; while :; do echo $i; i=$((i+1)); usleep 200000; done'
    wharf run -d --name again --restart always busybox false
    wharf logs -f ticks > /tmp/ticks &
    until_ok heard_more_than 3
    for step in -3600 7200 -3600; do
        # What waits goes by the time that passes: lines come, checks are made, what ends is restarted.
        date -s "@$(($(date +%s) + step))"
        until_ok heard_more_than "$(($(wc -l < /tmp/ticks) + 2))"
        # The second one was certainly begun after the step.
        until_ok checked_since "$(checks)"
        until_ok checked_since "$(checks)"
        until_ok restarted_more_than "$(inspect again '{{.RestartCount}}')"
        same "$(inspect ticks '{{.State.Health.Status}}')" healthy
    done
    # Bounded patience, also while the clock steps.
    begun=$(now)
    (usleep 500000; date -s "@$(($(date +%s) - 7200))") &
    wharf stop -t 2 ticks
    [ $(($(now) - begun)) -lt 20 ] || fail "stop -t 2 took $(($(now) - begun)) s"
    wait
    # Nothing is lost, doubled or out of order, and the follower ended with the container.
    wharf logs ticks > /tmp/all
    seq 0 "$(($(wc -l < /tmp/all) - 1))" | cmp - /tmp/all
    cmp /tmp/all /tmp/ticks
    date -s "@$(($(date +%s) + 7200))"
    wharf rm -f ticks again
}

# ---- the end

check_nothing_is_left() {
    same "$(wharf ps -aq)" ''
    same "$(find $top/docker -mindepth 1 -type d)" ''
    wharf rmi busybox hello-world
    kill "$(cat /run/engine.pid)"
    until_ok is_gone 'wharf'
    same "$(find $top -mindepth 1 -type d | sort | xargs echo)" "$top/docker $top/system $top/system/engine"
    until_ok sh -c 'ls /sys/class/net | grep -c veth | grep -qx 0'
    same "$(grep -c -e overlay -e /run/wharf -e netns /proc/mounts)" 0
    # The resolver ends when it hears that its engine has.
    until_ok sh -c "find /run/wharf -type s -o -path '*/containers/*' | grep -c . | grep -qx 0"
}

set -ex
"$1"
