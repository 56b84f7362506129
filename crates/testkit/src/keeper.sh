# Takes away what an engine of a test left. Run by `sh -c`; its arguments:
#   $1  directory of the engine ('' for none)
#   $2 $3 $4  cgroup, bridge and nftables table ('' for none)
# First it waits for standard input to end, as it does with whoever holds the other end, however that ends. A line
# on it means that there is nothing to do.
trap '' HUP INT TERM
if read -r _; then exit 0; fi
directory=$1 group=$2 bridge=$3 table=$4

cgroups() {
    [ -n "$group" ] && ls -d "/sys/fs/cgroup/$group" /sys/fs/cgroup/*/"$group" 2>/dev/null
}

# Engines and clients by their environment, containers by their cgroup. Spawner and monitors end when these have.
pids() {
    [ -z "$directory" ] || grep -alsF -- "$directory" /proc/[0-9]*/environ | cut -d/ -f3
    cgroups | while read -r place; do find "$place" -name cgroup.procs -exec cat {} + 2>/dev/null; done
}

for _ in $(seq 100); do
    # What is frozen does not die.
    cgroups | while read -r place; do
        find "$place" -name freezer.state | while read -r file; do echo THAWED >"$file"; done
        find "$place" -name cgroup.freeze | while read -r file; do echo 0 >"$file"; done
    done 2>/dev/null
    found=$(pids)
    [ -n "$found" ] || break
    # shellcheck disable=SC2086 # a list of numbers
    kill -9 $found 2>/dev/null
    sleep 0.1
done
for _ in $(seq 50); do
    [ -n "$(cgroups)" ] || break
    cgroups | while read -r place; do find "$place" -depth -type d -exec rmdir {} \; ; done 2>/dev/null
    [ -z "$(cgroups)" ] || sleep 0.1
done
[ -z "$bridge" ] || ip link del "$bridge" 2>/dev/null
[ -z "$bridge" ] || nft -a list chain ip filter FORWARD 2>/dev/null |
    sed -n "s/.*comment \"wharf: $bridge\".* # handle //p" | while read -r handle; do
    nft delete rule ip filter FORWARD handle "$handle"
done
[ -z "$table" ] || nft delete table inet "$table" 2>/dev/null
[ -n "$directory" ] || exit 0
cut -d' ' -f5 /proc/self/mountinfo | grep -F -- "$directory" | sort -r | while read -r place; do
    umount -l "$place"
done 2>/dev/null
for _ in $(seq 50); do
    rm -rf --one-file-system "$directory" 2>/dev/null
    [ -e "$directory" ] || break
    sleep 0.1
done
