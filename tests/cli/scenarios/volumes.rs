//! `volume` and what is mounted. A volume called `NAME` is one that no other scenario has.

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
        "volume create --label a=b --label c NAME",
        "volume create NAME",
        "SH:docker volume inspect NAME | sed -E 's/(CreatedAt|Mountpoint)\": .*/\\1/'",
        "volume inspect -f '{{.Name}} {{.Driver}} {{.Scope}} {{json .Labels}} {{json .Options}}' NAME",
        "29:volume inspect -f '{{.Nope}}' NAME",
        "volume inspect nosuch NAME nosuch2 -f '{{.Name}}'",
        "inspect --type volume -f '{{.Name}}' NAME",
        "inspect -f '{{.Name}}' NAME",
        "inspect --size -f '{{.Name}}' NAME",
        "volume ls -f name=NAME",
        "volume ls -q -f name=NAME",
        "volume list -f name=NAME --format '{{json .}}' | sed -E 's/\"Mountpoint\":\"[^\"]*\"//'",
        "volume ls -f name=NAME --format 'table {{.Name}}\\t{{.Label \"a\"}}\\t{{.Labels}}\\t{{.Links}}\\t{{.Size}}'",
        "29:volume ls -f name=NAME --format 'table {{.Group}}\\t{{.Availability}}\\t{{.Status}}'",
        "volume ls -f name=NAME --format '{{.Driver}} {{.Scope}}'",
        "volume ls -f name=NAME --format raw",
        "volume ls -f name=NAME --format raw -q",
        "volume ls -f label=a=b -q",
        "volume ls -f label=a=c -q",
        "volume ls -f label=c -f dangling=true -f driver=local -q",
        "volume ls -f name=NAME --format '{{.Bogus}}'",
        "run --rm -v NAME:/x bb sh -c 'echo hello > /x/f'",
        "create --name NAME -v NAME:/x bb",
        "volume ls -f dangling=false -f name=NAME -q",
        "volume ls -f dangling=true -f name=NAME -q",
        "SH:docker volume rm NAME 2>&1 | sed -E 's/[0-9a-f]{64}/ID/'",
        "SH:docker volume rm -f NAME 2>&1 | sed -E 's/[0-9a-f]{64}/ID/'",
        "inspect -f '{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.Driver}} {{.Mode}} {{.RW}} {{.Propagation}}{{end}}' NAME",
        "rm -v NAME",
        "run --rm -v NAME:/x bb cat /x/f",
        "volume rm NAME nosuch",
        "volume rm NAME",
        "volume rm -f NAME",
    ],
    &[
        "SH:docker volume create | wc -c",
        "SH:docker volume ls -q | grep -cE '^[0-9a-f]{64}$'",
        "volume create NAME-10",
        "volume create NAME-9",
        "volume ls -q -f name=NAME",
        "IN:n volume prune",
        "SH:yes n | docker volume prune -a",
        "SH:echo y | docker volume prune -f --filter label=nosuch",
        "volume prune -f --filter all=x",
        "volume prune -f --filter bogus=x",
        "volume prune -f -a --filter all=1",
        "SH:echo y | docker volume prune | sed -E 's/[0-9a-f]{64}/ID/'",
        "SH:docker volume prune -a -f --filter label!=x | grep NAME",
        "volume prune -a -f",
    ],
    &[
        "volume create NAME",
        "SH:docker run --rm -v NAME:/x bb true; docker volume rm NAME; docker events --since 1m --until $(date +%s.%N) -f volume=NAME --format '{{.Type}} {{.Action}} {{.Actor.ID}} {{.Actor.Attributes.driver}}'",
    ],
    &["29:system df", "29:system df -v --format '{{range .Volumes}}{{.Name}} {{.Links}} {{.Size}}{{end}}'"],
];

const ARGUMENTS: &[&[&str]] = &[
    &[
        "volume create a",
        "volume create /abc",
        "volume create a/b",
        "volume create 'a b'",
        "volume create -d nosuch NAME",
        "volume create --name NAME NAME",
        "volume create a b",
        "volume create --bogus",
        "volume create -o",
        "29:volume create NAME -o bogus=1",
        "volume inspect",
        "volume inspect ''",
        "volume inspect nosuch",
        "volume ls x",
        "volume ls -f bogus=1",
        "volume ls -f dangling=maybe",
        "volume ls -f x",
        "volume rm",
        "volume rm nosuch",
        "volume rm -f nosuch",
        "volume prune x",
        "volume bogus",
        "volume --bogus",
    ],
    &[
        "run --rm -v a:/x bb true",
        "run --rm -v NAME:/x:bogus bb true",
        "run --rm -v NAME:/x:ro,rw bb true",
        "run --rm -v NAME:ro bb true",
        "run --rm -v /x:rw bb true",
        "run --rm -v 'a b:/x' bb true",
        "run --rm -v NAME:/ bb true",
        "run --rm --volume-driver nosuch -v NAME:/x bb true",
        "run --rm --mount type=volume,src=NAME,dst=/x,volume-driver=nosuch bb true",
        "run --rm -v NAME:/x -v NAME:/x bb true",
    ],
];
