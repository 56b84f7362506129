# ---- networks over interfaces of the host's

# A second host behind the link up0: 10.9.0.2, and 10.11.0.2 in VLAN 7. This machine is 10.9.0.1.
a_world() {
    wharf run -d --name world --network none --cap-add NET_ADMIN busybox sleep 1000
    ip link add up0 type veth
    # The kernel has called its other end by itself.
    other=$(cat /sys/class/net/up0/iflink)
    for link in /sys/class/net/*; do
        [ "$(cat "$link/ifindex")" != "$other" ] || ip link set "${link##*/}" name far0
    done
    ip link set far0 netns "$(pid_of world)"
    ip addr add 10.9.0.1/24 dev up0
    ip link set up0 up
    in_the_world ip addr add 10.9.0.2/24 dev far0
    in_the_world ip link set far0 up
}

in_the_world() {
    wharf exec world "$@"
}

no_world() {
    wharf rm -f world
    until_ok [ ! -e /sys/class/net/up0 ]
}

pings() {
    until_ok wharf exec "$1" ping -c 1 -W 2 "$2"
}

check_ipvlan_in_the_parents_network() {
    a_world
    wharf network create -d ipvlan -o parent=up0 --subnet 10.9.0.0/24 --gateway 10.9.0.2 lan
    wharf run -d --name ca --network lan busybox sleep 1000
    wharf run -d --name cb --network lan --ip 10.9.0.20 busybox sleep 1000
    same "$(inspect cb '{{.NetworkSettings.Networks.lan.IPAddress}}')" 10.9.0.20
    # All have their parent's hardware address.
    same "$(wharf exec ca cat /sys/class/net/eth0/address)" "$(cat /sys/class/net/up0/address)"
    has "$(wharf exec ca ip route)" 'default via 10.9.0.2 dev eth0'
    pings ca 10.9.0.2
    pings ca cb
    until_ok in_the_world ping -c 1 -W 2 10.9.0.20
    # The next engine knows them, and gives nobody else their addresses.
    kill -9 "$(cat /run/engine.pid)"
    until_ok is_silent
    engine
    wharf run -d --name cc --network lan busybox sleep 1000
    lacks "$(inspect ca '{{.NetworkSettings.Networks.lan.IPAddress}}') 10.9.0.20" \
        "$(inspect cc '{{.NetworkSettings.Networks.lan.IPAddress}}')"
    pings cc ca
    wharf rm -f ca cb cc
    wharf network rm lan
    [ -e /sys/class/net/up0 ] || fail 'the parent is the host'\''s'
    no_world
}

check_ipvlan_keeps_neighbours_apart() {
    a_world
    wharf network create -d ipvlan -o parent=up0 -o ipvlan_flag=private --subnet 10.9.0.0/24 lan
    wharf run -d --name ca --network lan --ip 10.9.0.20 busybox sleep 1000
    wharf run -d --name cb --network lan --ip 10.9.0.21 busybox sleep 1000
    pings ca 10.9.0.2
    if wharf exec ca ping -c 1 -W 2 10.9.0.21; then fail 'a neighbour is reached'; fi
    wharf rm -f ca cb
    wharf network rm lan
    no_world
}

check_ipvlan_as_a_router() {
    a_world
    in_the_world ip route add 10.10.0.0/24 via 10.9.0.1
    for mode in l3 l3s; do
        wharf network create -d ipvlan -o parent=up0 -o ipvlan_mode=$mode --subnet 10.10.0.0/24 routed
        wharf run -d --name ca --network routed busybox sleep 1000
        wharf run -d --name cb --network routed busybox sleep 1000
        # There are no neighbours: everything goes to the link.
        has "$(wharf exec ca ip route)" 'default dev eth0'
        pings ca cb
        pings ca 10.9.0.2
        until_ok in_the_world ping -c 1 -W 2 "$(inspect ca '{{.NetworkSettings.Networks.routed.IPAddress}}')"
        wharf rm -f ca cb
        wharf network rm routed
    done
    no_world
}

check_a_vlan_is_made_and_goes() {
    a_world
    in_the_world ip link add link far0 name far0.7 type vlan id 7
    in_the_world ip addr add 10.11.0.2/24 dev far0.7
    in_the_world ip link set far0.7 up
    for driver in macvlan ipvlan; do
        wharf network create -d $driver -o parent=up0.7 --subnet 10.11.0.0/24 tagged
        grep -E 'up0.7 *\| 7 *\| up0' /proc/net/vlan/config
        wharf run -d --name ca --network tagged --ip 10.11.0.20 busybox sleep 1000
        pings ca 10.11.0.2
        kill -9 "$(cat /run/engine.pid)"
        until_ok is_silent
        engine
        wharf run --rm --network tagged --ip 10.11.0.21 busybox ping -c 1 -W 10 10.11.0.2
        wharf rm -f ca
        wharf network rm tagged
        [ ! -e /sys/class/net/up0.7 ] || fail 'up0.7 is still there'
    done
    if wharf network create -d macvlan -o parent=nosuch.7 --subnet 10.12.0.0/24 wrong; then fail 'over nothing'; fi
    no_world
}

check_a_network_without_a_parent_leads_nowhere() {
    for driver in macvlan ipvlan; do
        wharf network create -d $driver --subnet 10.12.0.0/24 inner
        id=$(wharf network inspect -f '{{.Id}}' inner | cut -c 1-12)
        [ -e /sys/class/net/dm-"$id" ] || [ -e /sys/class/net/di-"$id" ]
        wharf run -d --name ca --network inner busybox sleep 1000
        wharf run -d --name cb --network inner busybox sleep 1000
        pings ca cb
        lacks "$(wharf exec ca ip route)" default
        wharf rm -f ca cb
        wharf network rm inner
        [ ! -e /sys/class/net/dm-"$id" ] && [ ! -e /sys/class/net/di-"$id" ]
    done
}

