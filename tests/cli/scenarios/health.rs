//! Health checks: what is asked for, how it is shown, and what comes of it.

#[test]
fn health() {
    super::compare(HEALTH);
}

const HEALTH: &[&[&str]] = &[
    &[
        "SH:docker run -d --name NAME --health-cmd 'cat /well' --health-interval 100ms --health-retries 2 bb sleep 1000 | wc -l",
        "inspect -f '{{json .Config.Healthcheck}}' NAME",
        "SH:until [ $(docker inspect -f '{{.State.Health.Status}}' NAME) = unhealthy ]; do sleep 0.05; done",
        "SH:docker ps --filter name=NAME --format '{{.Names}} {{.State}} {{.Status}}'",
        "29:ps --filter name=NAME --format '{{.HealthStatus}}'",
        "ps --filter name=NAME --filter health=unhealthy --format '{{.Names}}'",
        "ps --filter name=NAME --filter health=healthy --format '{{.Names}}'",
        "SH:docker inspect -f '{{range .State.Health.Log}}{{.ExitCode}} {{.Output}}{{end}}' NAME | tail -2 | head -1",
        "SH:[ $(docker inspect -f '{{.State.Health.FailingStreak}}' NAME) -ge 2 ] && echo failing",
        "exec NAME sh -c 'echo fine > /well'",
        "SH:until [ $(docker inspect -f '{{.State.Health.Status}} {{.State.Health.FailingStreak}}' NAME | tr -d ' ') = healthy0 ]; do sleep 0.05; done",
        "SH:docker ps --filter name=NAME --format '{{.Names}} {{.State}} {{.Status}}'",
        "SH:docker inspect -f '{{json .State.Health}}' NAME | sed 's/\"Log\":.*//'",
        "SH:docker inspect -f '{{(index .State.Health.Log 4).Output}}|{{len .State.Health.Log}}' NAME",
        "SH:docker events --since 1m --until $(date +%s.%N) -f container=NAME -f event=health_status --format '{{.Action}}'",
        "SH:docker events --since 1m --until $(date +%s.%N) -f container=NAME -f event='health_status: healthy' --format '{{.Action}}'",
        "SH:docker pause NAME; docker ps --filter name=NAME --format '{{.Status}}'; docker unpause NAME",
        "stop -t 0 NAME",
        "SH:docker ps -a --filter name=NAME --format '{{.Status}}'",
        "inspect -f '{{.State.Health.Status}}' NAME",
        "rm NAME",
    ],
    &[
        "SH:docker run -d --name NAME --health-cmd true --health-interval 1h --health-start-period 5s --health-timeout 3s bb sleep 1000 | wc -l",
        "SH:docker ps --filter name=NAME --format '{{.Status}}'",
        "ps --filter name=NAME --filter health=starting --format '{{.Names}}'",
        "inspect -f '{{.State.Health.Status}} {{.State.Health.FailingStreak}} {{json .State.Health.Log}}' NAME",
        "inspect -f '{{json .Config.Healthcheck}}' NAME",
        "rm -f NAME",
    ],
    &[
        // Of the image, changed by flags, and switched off.
        "SH:docker import -c 'HEALTHCHECK --interval=1h --retries=7 CMD [\"true\", \"a b\"]' -c 'CMD [\"sleep\", \"1000\"]' FIX/bb.tar.gz NAME:h | wc -l",
        "image inspect -f '{{json .Config.Healthcheck}}' NAME:h",
        "create --name NAME-1 NAME:h",
        "inspect -f '{{json .Config.Healthcheck}}' NAME-1",
        "create --name NAME-2 --health-retries 2 --health-start-interval 2s NAME:h",
        "inspect -f '{{json .Config.Healthcheck}} {{.Config.Healthcheck}}' NAME-2",
        "inspect -f '{{with .Config.Healthcheck}}{{.Interval}} {{.StartInterval}} {{.StartPeriod}} {{.Retries}} {{json .Timeout}}{{end}}' NAME-2",
        "create --name NAME-3 --health-cmd 'exit 1' NAME:h",
        "inspect -f '{{json .Config.Healthcheck}}' NAME-3",
        "create --name NAME-4 --no-healthcheck NAME:h",
        "inspect -f '{{json .Config.Healthcheck}} {{json .State.Health}}' NAME-4",
        "inspect -f '{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}} {{with .State.Health}}x{{end}}' NAME-4",
        "SH:docker start NAME-4; docker ps --filter name=NAME-4 --format '{{.Status}}'",
        "inspect -f '{{.State.Health.Status}}' NAME-4",
        "rm -f NAME-1 NAME-2 NAME-3 NAME-4",
        "rmi NAME:h",
    ],
    &[
        // Too late, and too much.
        "SH:docker run -d --name NAME --health-cmd 'echo begun; sleep 100' --health-interval 100ms --health-timeout 200ms --health-retries 1 bb sleep 1000 | wc -l",
        "SH:until [ $(docker inspect -f '{{.State.Health.Status}}' NAME) = unhealthy ]; do sleep 0.05; done",
        "SH:docker inspect -f '{{(index .State.Health.Log 0).ExitCode}} {{(index .State.Health.Log 0).Output}}' NAME",
        "rm -f NAME",
        "SH:docker run -d --name NAME --health-cmd 'head -c 10000 /dev/zero | tr \"\\0\" x' --health-interval 100ms bb sleep 1000 | wc -l",
        "SH:until [ $(docker inspect -f '{{.State.Health.Status}}' NAME) = healthy ]; do sleep 0.05; done",
        "SH:docker inspect -f '{{(index .State.Health.Log 0).Output}}' NAME | tr -d x; docker inspect -f '{{len (index .State.Health.Log 0).Output}}' NAME",
        "rm -f NAME",
    ],
];
