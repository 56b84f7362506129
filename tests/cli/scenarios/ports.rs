//! Published ports.

#[test]
fn ports() {
    super::compare(PORTS);
}

/// Both sides have their engines on one host: what is started takes ports that are free, of loopback.
const PORTS: &[&[&str]] = &[
    &["port", "port a b c", "port --bogus", "container port", "port nosuch", "port nosuch 80"],
    &[
        "create -p 80/foo bb",
        "create -p x:80 bb",
        "create -p 80:x bb",
        "create -p 70000:80 bb",
        "create -p 1.2.3:80:80 bb",
        "create -p 8000-8001:80-82 bb",
        "create -p 8080: bb",
        "create -p '' bb",
        "create -p published=80,target bb",
        "29:create --expose x bb",
    ],
    &[
        "SH:docker create --name NAME -p 8080:80 -p 127.0.0.1:53:53/udp -p 9000-9001:9000-9001 -p 7000-7009:7 --expose 99 bb sleep 100 | wc -l",
        "inspect -f '{{json .HostConfig.PortBindings}} {{json .Config.ExposedPorts}} {{json .NetworkSettings.Ports}}' NAME",
        "inspect -f '{{.HostConfig.PortBindings}} {{.Config.ExposedPorts}} {{.NetworkSettings.Ports}}' NAME",
        "port NAME",
        "29:port NAME 80",
        "ps -a --filter name=NAME --format '{{.Ports}}|'",
        "ps -a --filter name=NAME --filter publish=80 --format '{{.Names}}'",
        "ps -a --filter name=NAME --filter publish=9000-9100 --format '{{.Names}}'",
        "ps -a --filter name=NAME --filter publish=53 --format '{{.Names}}'",
        "ps -a --filter name=NAME --filter publish=53/udp --format '{{.Names}}'",
        "ps -a --filter name=NAME --filter expose=99 --format '{{.Names}}'",
        "ps -a --filter name=NAME --filter expose=x",
        "rm NAME",
    ],
    &[
        "SH:docker run -d --name NAME -p 127.0.0.1::80 -p 127.0.0.1::53/udp --expose 99 bb sleep 100 | wc -l",
        "SH:docker port NAME | sed 's/:[0-9]*$/:PORT/'",
        "SH:docker port NAME 80 | sed 's/:[0-9]*$/:PORT/'",
        "SH:docker port NAME 53/udp | sed 's/:[0-9]*$/:PORT/'",
        "29:port NAME 81",
        "29:port NAME 99/tcp",
        "29:port NAME x",
        "SH:docker ps --filter name=NAME --format '{{.Ports}}' | sed 's/:[0-9]*-/:PORT-/g'",
        "SH:docker inspect -f '{{json .NetworkSettings.Ports}}' NAME | sed 's/\"[0-9]*\"/PORT/g'",
        "SH:docker inspect -f '{{.NetworkSettings.Ports}}' NAME | sed -E 's/ [0-9]+}/ PORT}/g'",
        "SH:docker run --rm --name NAME-b -p $(docker port NAME 80):81 bb true 2>&1 | sed 's/[0-9a-f]\\{64\\}/ID/; s/:[0-9]\\{1,\\} /:PORT /'",
        "rm -f NAME",
        "run --rm --network host -p 80:80 bb true",
    ],
];
