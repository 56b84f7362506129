//! What changes a container or waits for it: `update`, `rename`, `wait`, `diff`, `top`; what takes many away: prune's filters;
//! and what `events` tells of all that.

#[test]
fn changes() {
    super::compare(CHANGES);
}

#[test]
fn prunes() {
    super::compare(PRUNES);
}

#[test]
fn tells() {
    super::compare(TELLS);
}

const CHANGES: &[&[&str]] = &[
    &[
        "SH:docker run -d --name NAME -m 64m bb sleep 1000 | wc -l",
        "update --cpus 0.5 --cpuset-cpus 0 --pids-limit 50 NAME",
        "inspect -f '{{.HostConfig.NanoCpus}} {{.HostConfig.CpusetCpus}} {{.HostConfig.PidsLimit}}' NAME",
        "update --memory 128m NAME",
        "update --memory 128m --memory-swap 256m --memory-reservation 32m NAME",
        "inspect -f '{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.MemoryReservation}}' NAME",
        "stats --no-stream --format '{{.PIDs}}' NAME",
        "update --cpu-period 100000 --cpu-quota 20000 NAME",
        "update --cpu-period 1 NAME",
        "update --cpuset-mems 99 NAME",
        "update --restart always NAME",
        "update --restart unless-stopped NAME",
        "inspect -f '{{json .HostConfig.RestartPolicy}}' NAME",
        "update --restart no NAME",
        "update --restart always:3 NAME",
        "update --restart on-failure:-1 NAME",
        "update --pids-limit -1 NAME",
        "inspect -f '{{json .HostConfig.PidsLimit}}' NAME",
        "update --blkio-weight 5 NAME",
        "update --memory -1 NAME",
        "update -c 512 NAME nosuch NAME",
        "inspect -f '{{.HostConfig.CpuShares}}' NAME",
        "container update --cpu-shares 2 NAME",
        "rm -f NAME",
        "SH:docker run -d --rm --name NAME bb sleep 1000 | wc -l",
        "update --restart always NAME",
        "rm -f NAME",
    ],
    &[
        "create --name NAME bb true",
        "create --name NAME-b bb true",
        "29:rename NAME NAME-b",
        "29:rename NAME _x",
        "29:rename NAME x",
        "rename NAME NAME.c-d_e",
        "ps -a --filter name=NAME --format '{{.Names}}'",
        "rename NAME.c-d_e NAME",
        "29:rename nosuch NAME-c",
        "rename NAME",
        "rename NAME a b",
        "container rename NAME NAME-c",
        "SH:docker rename $(docker inspect -f '{{.Id}}' NAME-c) NAME; docker inspect -f '{{.Name}}' NAME",
        "rm NAME NAME-b",
    ],
    &[
        "create --name NAME bb sh -c 'exit 9'",
        "wait NAME",
        "SH:docker start NAME; docker wait NAME NAME",
        "SH:docker wait $(docker inspect -f '{{.Id}}' NAME)",
        "rm NAME",
        "SH:docker run -d --name NAME bb sh -c 'until [ -e /go ]; do sleep 0.02; done; exit 7' >/dev/null; docker wait NAME & docker exec NAME touch /go; wait",
        "rm NAME",
        "SH:docker run -d --rm --name NAME bb sleep 1000 >/dev/null; docker wait NAME & sleep 0.5; docker kill NAME >/dev/null; wait",
        "SH:docker run -d --name NAME bb sleep 1000 >/dev/null; docker wait NAME & sleep 0.5; docker rm -f NAME >/dev/null; wait",
        "SH:docker run -d --name NAME --restart on-failure:2 bb sh -c 'exit 6' >/dev/null; until [ $(docker inspect -f '{{.RestartCount}}{{.State.Status}}' NAME) = 2exited ]; do sleep 0.05; done; docker wait NAME",
        "inspect -f '{{.RestartCount}} {{.State.ExitCode}} {{.State.Status}}' NAME",
        "rm NAME",
    ],
    &[
        "create --name NAME -v /data bb sh -c 'echo x > /new; mkdir -p /dir/sub; rm /bin/ls; chmod 700 /tmp; touch /data/in; ln -s a /link; mkfifo /pipe'",
        "diff NAME",
        "SH:docker start -a NAME; docker diff NAME | sort",
        "container diff nosuch",
        "diff",
        "diff NAME NAME",
        "diff --bogus NAME",
        "rm -v NAME",
        "SH:docker run -d --name NAME bb sleep 1000 | wc -l",
        "exec NAME touch /while-it-runs",
        "diff NAME",
        "top NAME -o pid,bogus",
        "top NAME -eo comm",
        "top NAME o comm",
        "top NAME -C sleep -o args=COMMAND",
        "SH:docker top NAME aux | head -1 | tr -s ' '",
        "SH:docker top NAME -ef | head -1 | tr -s ' '",
        "container top NAME -o args",
        "rm -f NAME",
        "top NAME",
    ],
];

const PRUNES: &[&[&str]] = &[&[
    "SH:docker create --name NAME-a --label keep=yes bb | wc -l",
    "SH:docker create --name NAME-b --label keep=no --label x bb | wc -l",
    "SH:docker create --name NAME-c bb | wc -l",
    "SH:docker run -d --name NAME-d bb sleep 1000 | wc -l",
    "container prune -f --filter until=1h",
    "container prune -f --filter until=x",
    "container prune -f --filter until=1h --filter until=2h",
    "container prune -f --filter label=nosuch",
    "SH:docker container prune -f --filter label=keep=no | tail -n 1",
    "ps -a --filter name=NAME --format '{{.Names}}'",
    "SH:docker container prune -f --filter label!=keep | tail -n 1",
    "ps -a --filter name=NAME --format '{{.Names}}'",
    "SH:docker container prune -f --filter label!=keep=no --filter until=$(date +%s) | tail -n 1",
    "SH:docker container prune -f --filter until=2100-01-01 | tail -n 1",
    "ps -a --filter name=NAME --format '{{.Names}}'",
    "IN:y container prune",
    "IN:Y container prune --filter label=x",
    "image prune -f --filter label=nosuch",
    "image prune -f --filter dangling=x",
    "SH:docker import -c 'LABEL p=1' FIX/bb.tar.gz NAME:one | wc -l; docker image prune -af --filter label=p=2",
    "SH:docker image prune -af --filter label=p=1 | sed 's/sha256:[0-9a-f]*/ID/' | sort",
    "image prune -a -f --filter until=24h",
    "network prune -f --filter until=x",
    "network prune -f --filter label!=x",
    "container prune --bogus",
    "rm -f NAME-d",
]];

const TELLS: &[&[&str]] = &[&[
    "SH:docker run -d --name NAME --label team=a bb sleep 1000 | wc -l",
    "SH:docker update --cpu-shares 100 NAME; docker pause NAME; docker unpause NAME; docker rename NAME NAME-b; docker rename NAME-b NAME",
    "SH:docker exec NAME true; docker top NAME >/dev/null; docker kill -s CONT NAME; docker restart -t 0 NAME; docker stop -t 0 NAME",
    "SH:docker events --since 1m --until $(date +%s.%N) -f container=NAME -f type=container --format '{{.Action}}'",
    "SH:docker events --since 1m --until $(date +%s.%N) -f container=NAME -f event=kill --format '{{.Action}} {{.Actor.Attributes.signal}}'",
    "SH:docker events --since 1m --until $(date +%s.%N) -f container=NAME -f event=die --format '{{.Actor.Attributes.exitCode}}'",
    "SH:docker events --since 1m --until $(date +%s.%N) -f container=NAME -f event=exec_create -f event=exec_start -f event=exec_die --format '{{.Action}}'",
    "SH:docker events --since 1m --until $(date +%s.%N) -f container=NAME -f event=rename --format '{{.Actor.Attributes.oldName}} {{.Actor.Attributes.name}}'",
    "SH:docker events --since 1m --until $(date +%s.%N) -f container=NAME -f type=network --format '{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.type}}'",
    "SH:docker events --since 1m --until $(date +%s.%N) -f label=team=a -f event=start -f event=stop --format '{{.Action}} {{.Actor.Attributes.team}}'",
    "SH:docker events --since 1m --until $(date +%s.%N) -f container=NAME -f label=team=b --format '{{.Action}}'",
    "SH:docker events --since 1m --until $(date +%s.%N) -f container=NAME -f image=bb -f event=pause -f event=unpause --format '{{.Actor.Attributes.image}} {{.Action}}'",
    "SH:docker events --since 1m --until $(date +%s.%N) -f container=NAME -f container=nosuch -f event=update --format '{{.Action}}'",
    "SH:docker events --since 1m --until $(date +%s.%N) -f container=NAME -f event=top -f event=pause | sed 's/^[^ ]* //; s/[0-9a-f]\\{64\\}/ID/'",
    "SH:docker events --since 2100-01-01 --until 2100-01-02 -f container=NAME",
    "SH:docker events --since 1m --until 1h -f container=NAME",
    "events --since 1m --until x",
    "events --until 1 -f event",
    "SH:docker system events --since 1m --until $(date +%s.%N) -f container=NAME -f event=create --format '{{.Type}}'",
    "rm NAME",
]];
