//! The engine about itself.

#[test]
fn system() {
    super::compare(SYSTEM);
}

const SYSTEM: &[&[&str]] = &[
    &[
        "info -f '{{.Driver}} {{.DefaultRuntime}}'",
        "info -f '{{.Bogus}}'",
        "info -f '{{'",
        "info x",
        "system info -f '{{.OSType}}'",
    ],
    &[
        "29:SH:docker info 2>/dev/null | sed -n '/^Server:/,$p' | grep -vE 'Containers|Running|Stopped|Images|Goroutines|Descriptors|^ ID:|^ Runtimes'",
    ],
    &[
        "SH:docker info -f '{{json .Runtimes}}' | grep -c runc",
        "28:SH:docker info -f json | grep -c ServerVersion",
    ],
    &[
        "version -f '{{.Server.Version}} {{.Server.APIVersion}} {{.Server.MinAPIVersion}} {{.Server.Os}} {{.Server.Arch}}'",
        "version -f '{{.Bogus}}'",
        "version x",
        "SH:docker version | sed -n '/^Server/,$p'",
    ],
    &[
        "events --since 1 --until 2",
        "events --since bogus",
        "events --filter bogus=1 --until 1",
        "events x",
        "events --filter x",
        "events --format '{{' --until 1",
    ],
    &[
        "SH:docker run --name NAME -l a=b bb true; docker rm NAME",
        "SH:docker events --since 1m --until $(date +%s.%N) -f container=NAME --format '{{.Type}} {{.Action}} {{.Actor.Attributes.name}}'",
        "29:SH:docker events --since 1m --until $(date +%s.%N) -f container=NAME --format '{{.Type}} {{.Action}} {{.Status}} {{.From}}'",
        "SH:docker events --since 1m --until $(date +%s.%N) -f label=a=b -f container=NAME --format '{{json .}}' | grep -c .",
        "SH:docker events --since 1m --until $(date +%s.%N) -f container=NAME -f event=die",
        "SH:docker events --since 1m --until $(date +%s.%N) -f container=NAME -f type=container -f event=start -f event=die --format '{{.Action}}'",
        "29:SH:docker events --since 1m --until $(date +%s.%N) -f container=NAME --format '{{.ID}} {{.Time}} {{.Scope}}' | wc -l",
        "SH:docker events --since 1m --until $(date +%s.%N) -f container=NAME -f image=nosuch",
    ],
    &[
        // live: it follows what comes, and ends with its reader
        "SH:set -m; docker events -f container=NAME -f event=create -f event=destroy --format '{{.Action}} {{.Actor.Attributes.name}}' > DIR/live & until docker create --name NAME bb >/dev/null && docker rm NAME >/dev/null && grep -q create DIR/live && grep -q destroy DIR/live; do :; done; kill -INT -- -$!; wait 2>/dev/null; sort -u DIR/live",
    ],
    &[
        "SH:docker tag bb NAME:ev; docker rmi NAME:ev",
        "SH:docker events --since 1m --until $(date +%s.%N) -f type=image -f event=tag -f event=untag --format '{{.Action}} {{.Actor.Attributes.name}}' | grep NAME",
    ],
    &[
        "system df --format '{{.Type}}'",
        "29:system df",
        "29:system df --format json",
        "29:system df --format raw",
        "29:system df --format '{{.Bogus}}'",
        "system df x",
    ],
    &[
        "29:system df -v",
        "SH:docker create --name NAME -v /anon bb >/dev/null",
        "29:SH:docker system df -v | grep -vE '^[0-9a-zID]+ +1 '",
        "29:system df -v --format '{{range .Containers}}{{.Names}} {{.Image}}{{end}} {{range .Images}}{{.Repository}}{{end}}'",
        "rm -v NAME",
    ],
    &[
        "SH:docker create --name NAME -l a=b bb true >/dev/null; docker run --name NAME-2 bb true",
        "IN:n container prune",
        "IN:no container prune --filter until=24h",
        "container prune",
        "container prune -f --filter until=24h",
        "container prune -f --filter label=a=c",
        "container prune -f --filter label=a",
        "container prune --force --filter bogus=x",
        "container prune x",
        "container prune -f",
        "image prune -f --filter until=24h",
        "IN:n image prune",
        "IN:n image prune -a",
        "image prune -f",
        "image prune -f --filter bogus=x",
        "system prune x",
        "system prune --bogus",
    ],
    &["28:bogus", "--bogus", "-z", "--host", "28:-D bogus"],
];
