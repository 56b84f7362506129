//! `network`. A network called `NAME` is one that no other scenario has.

#[test]
fn lives() {
    super::compare(LIVES);
}

#[test]
fn arguments() {
    super::compare(ARGUMENTS);
}

const LIVES: &[&[&str]] = &[
    &[
        "SH:docker network create --label a=b --subnet 10.77.0.0/24 --gateway 10.77.0.254 NAME | wc -c",
        "network create NAME",
        "SH:docker network inspect NAME | sed -E 's/\"(Created|Id)\": .*/\\1/'",
        "network inspect -f '{{.Name}} {{.Driver}} {{.Scope}} {{json .Labels}} {{json .Options}} {{json .IPAM}}' NAME",
        "network inspect -f '{{.Labels}} {{.Containers}} {{.ConfigFrom.Network}}|{{range .IPAM.Config}}{{.AuxAddress}}{{end}} {{range .Peers}}x{{end}}' NAME",
        "28:network inspect -f '{{.ConfigFrom}}' NAME",
        "network inspect nosuch NAME nosuch2 -f '{{.Name}}'",
        "inspect --type network -f '{{.Name}}' NAME",
        "network ls -f name=NAME --format '{{.Name}} {{.Driver}} {{.Scope}} {{.Internal}} {{.IPv6}} {{.Labels}}'",
        "network ls -f name=NAME --format raw | sed -E 's/_id: .*/_id/'",
        "network ls -f type=builtin --format '{{.Name}} {{.Driver}}'",
        "network ls -f label=a=b -f driver=bridge -f dangling=true --format '{{.Name}}'",
        "run --name NAME -d --network NAME --ip 10.77.0.9 --network-alias x bb sleep 1000",
        "network inspect -f '{{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}' NAME",
        "inspect -f '{{with index .NetworkSettings.Networks \"NAME\"}}{{.IPAddress}} {{.Gateway}} {{.IPPrefixLen}} {{.Aliases}}{{end}}' NAME",
        "SH:docker network rm NAME 2>&1 | sed -E 's/id:\"[0-9a-f]+\"/ID/'",
        "network connect NAME NAME",
        "network disconnect NAME NAME",
        "network disconnect NAME NAME",
        "network connect --ip 10.77.0.10 NAME NAME",
        "inspect -f '{{(index .NetworkSettings.Networks \"NAME\").IPAddress}}' NAME",
        "network connect host NAME",
        "rm -f NAME",
        "network rm NAME nosuch",
        "network rm -f NAME",
    ],
    &[
        "SH:docker network create NAME-10 | wc -c",
        "SH:docker network create --internal NAME-9 | wc -c",
        "SH:docker network ls -f name=NAME --format '{{.Name}} {{.Internal}}'",
        "IN:n network prune",
        "network prune -f --filter label=nosuch",
        "network prune -f --filter bogus=x",
        "SH:docker network prune -f | sort",
    ],
    &[
        "SH:docker network create --config-only --subnet 10.78.0.0/24 --label a=b NAME-c | wc -c",
        "SH:docker network create --config-from NAME-c NAME | wc -c",
        "network inspect -f '{{.Name}} {{.ConfigOnly}} {{.ConfigFrom.Network}} {{.Driver}} {{json .Labels}}' NAME-c NAME",
        "network inspect -f '{{json .IPAM.Config}}' NAME-c NAME",
        "network create --config-from NAME-c --subnet 10.79.0.0/24 NAME-d",
        "network create --config-from nosuch NAME-d",
        "network create --config-only --internal NAME-d",
        "run --rm --network NAME-c bb true",
        "network rm NAME-c",
        "network rm NAME NAME-c",
    ],
];

const ARGUMENTS: &[&[&str]] = &[
    &["network"],
    &["network create"],
    &["network create a b"],
    &["network create bridge"],
    &["network create host"],
    &["network create -d host NAME"],
    &["29:network create --subnet 10.1.2.3 NAME"],
    &["network create --subnet 10.1.2.3/24 NAME"],
    &["network create --subnet 10.1.2.0/24 --gateway 10.1.3.1 NAME"],
    &["network create --subnet 10.1.2.0/24 --ip-range 10.1.3.0/25 NAME"],
    &["network create --subnet 10.1.2.0/24 --aux-address a=10.1.3.1 NAME"],
    &["network create --gateway 10.1.2.1 NAME"],
    &["network create --subnet 10.1.0.0/16 --subnet 10.1.2.0/24 NAME"],
    &["network create -o com.docker.network.bridge.enable_icc=maybe NAME"],
    &["network create --ipv4=false NAME"],
    &["network create --ipv6 --subnet fd00::1/64 NAME"],
    &["network create --ipv6 --subnet fd00::/64 --gateway fd01::1 NAME"],
    &["network create --ipv6 --subnet fd00::/64 --ip-range 10.1.2.0/24 NAME"],
    &["network create -o com.docker.network.bridge.gateway_mode_ipv6=odd --ipv6 NAME"],
    &["network rm nosuch"],
    &["network rm host"],
    &["network rm -f nosuch"],
    &["network inspect nosuch"],
    &["network ls -f bogus=x"],
    &["network ls -f type=bogus"],
    &["network connect nosuch nosuch"],
    &["network connect bridge nosuch"],
    &["network disconnect bridge nosuch"],
    &["network connect bridge"],
    &["run --rm --network NAME bb true"],
    &["run --rm --network-alias x bb true"],
    &["run --rm --ip 10.0.0.9 bb true"],
];
