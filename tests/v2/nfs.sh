# ---- volumes on a server

# The kernel's own server, without the programs that it has elsewhere: what they are asked stands in its tables before
# anybody asks, as rpc.mountd(8) would answer it: who a client is, what all may have, and where that is.
a_server() {
    mkdir -p /export/part /var/lib/nfs/v4recovery
    mount -t nfsd nfsd /proc/fs/nfsd
    for_ever=2147483647
    # Read and write, from any port, root stays root, no checks of subtrees, a number for a name.
    flags=$((0x2 + 0x10 + 0x400 + 0x2000))
    echo "nfsd 127.0.0.1 $for_ever all" > /proc/net/rpc/auth.unix.ip/channel
    echo "all /export $for_ever $flags 65534 65534 0" > /proc/net/rpc/nfsd.export/channel
    echo "all 1 \\x00000000 $for_ever /export" > /proc/net/rpc/nfsd.fh/channel
    # Without version 3 there is nothing to tell a portmapper.
    echo '-3 +4 +4.1 +4.2' > /proc/fs/nfsd/versions
    echo 'tcp 2049' > /proc/fs/nfsd/portlist
    echo 2 > /proc/fs/nfsd/threads
    echo Y > /proc/fs/nfsd/v4_end_grace
}

mounts_of_servers() {
    grep -c ' nfs4 ' /proc/mounts || true
}

check_a_volume_on_a_server() {
    a_server
    wharf volume create --opt type=nfs --opt o=addr=127.0.0.1,rw,nfsvers=4.2 --opt device=:/ far
    wharf run --rm -v far:/data busybox sh -c 'echo kept > /data/file'
    same "$(cat /export/file)" kept
    same "$(mounts_of_servers)" 0
    # Two have it at a time, and the last one's end unmounts it.
    wharf run -d --name one -v far:/data busybox sleep 1000
    wharf run -d --name two -v far:/data:ro busybox sleep 1000
    has "$(wharf exec one grep ' /data ' /proc/mounts)" ' nfs4 rw,'
    same "$(wharf exec two cat /data/file)" kept
    if wharf exec two touch /data/no; then fail 'written where it is read-only'; fi
    wharf rm -f one
    same "$(wharf exec two cat /data/file)" kept
    wharf rm -f two
    same "$(mounts_of_servers)" 0
    # The connection is the host's: whoever has no network has the volume all the same.
    same "$(wharf run --rm --network none -v far:/data busybox cat /data/file)" kept
    # A server by its name, and a directory below what it has.
    echo '127.0.0.1 files.example' >> /etc/hosts
    wharf volume create --opt type=nfs --opt o=addr=files.example,ro,nfsvers=4.2 --opt device=:/part part
    echo below > /export/part/file
    same "$(wharf run --rm -v part:/data busybox cat /data/file)" below
    if wharf run --rm -v part:/data busybox touch /data/no; then fail 'written where it is read-only'; fi
    # What is not there is told, and nothing stays.
    wharf volume create --opt type=nfs --opt o=addr=127.0.0.1,nfsvers=4.2 --opt device=:/nosuch nosuch
    said=$(wharf run --rm -v nosuch:/data busybox true 2>&1 || true)
    has "$said" 'failed to mount local volume'
    has "$said" 'no such file or directory'
    same "$(mounts_of_servers)" 0
    same "$(wharf ps -aq)" ''
    wharf volume rm far part nosuch
    echo 0 > /proc/fs/nfsd/threads
    umount /proc/fs/nfsd
}

