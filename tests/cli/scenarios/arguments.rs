//! Every command's arguments and flags, where they are wrong.

#[test]
fn arguments() {
    super::compare(ARGUMENTS);
}

#[test]
fn values() {
    super::compare(VALUES);
}

/// None where some are needed, too many, and flags that are not there.
const ARGUMENTS: &[&[&str]] = &[
    &["run --bogus", "run -Z", "run --rm=maybe bb", "container run", "container run --bogus", "run --name"],
    &["create", "create --bogus", "container create", "create --name", "create -d bb"],
    &[
        "ps --bogus",
        "ps -Z",
        "ps a b",
        "container ls a",
        "container list a",
        "container ps a",
        "ps --all=maybe",
    ],
    &["start", "start --bogus", "container start", "start -Z x", "start --attach=maybe x"],
    &[
        "stop",
        "stop --bogus",
        "container stop",
        "stop -t",
        "stop --timeout x y",
        "28:stop --time 1 --timeout 2 x",
    ],
    &[
        "restart",
        "restart --bogus",
        "container restart",
        "restart -t x y",
        "28:restart --time 1 --timeout 2 x",
    ],
    &["kill", "kill --bogus", "container kill", "kill -s", "kill --signal"],
    &["rm", "rm --bogus", "container rm", "container remove", "rm -fvx x"],
    &[
        "exec",
        "exec x",
        "exec --bogus",
        "container exec",
        "container exec x",
        "exec -e",
        "exec -e =x y z",
        "exec -e '' y z",
    ],
    &["logs", "logs a b", "logs --bogus", "container logs", "logs -n", "logs --follow=maybe x"],
    &["attach", "attach a b", "attach --bogus", "container attach", "attach --sig-proxy=maybe x"],
    &["inspect", "inspect --bogus", "inspect -f", "inspect --type", "container inspect --type image x"],
    &[
        "container inspect",
        "container inspect --bogus",
        "image inspect",
        "image inspect --bogus",
        "image inspect -s x",
    ],
    &["top", "container top", "top --bogus"],
    &["wait", "wait --bogus", "container wait"],
    &["rename", "rename a", "rename a b c", "rename --bogus", "container rename"],
    &["pause", "pause --bogus", "container pause", "unpause", "unpause --bogus", "container unpause"],
    &["images a b", "images --bogus", "image ls a b", "image list a b", "images -Z", "images --format"],
    &["import --bogus", "image import", "import -c", "IN: import - x y", "import -m"],
    &["load x", "load --bogus", "image load x", "load -i"],
    &["save", "save --bogus", "image save", "save -o"],
    &["tag", "tag a", "tag a b c", "tag --bogus a b", "image tag", "image tag a"],
    &["rmi", "rmi --bogus", "image rm", "image remove", "rmi -x y"],
    &[
        "history",
        "history a b",
        "history --bogus",
        "image history",
        "history --human=maybe x",
        "history -H=x y",
    ],
    &["info a", "info --bogus", "system info a", "info -f", "version a", "version --bogus", "version -f"],
    &["events a", "events --bogus", "system events a", "events --since", "events --until", "events -f"],
    &["system df a", "system df --bogus", "system df --format", "system bogus", "system --bogus"],
    &["container bogus", "container --bogus", "container -Z", "image bogus", "image --bogus"],
];

/// A value that each flag refuses.
const VALUES: &[&[&str]] = &[
    &[
        "run --cpu-period x bb",
        "run --cpu-quota x bb",
        "run --cpu-rt-period x bb",
        "run --cpu-rt-runtime x bb",
    ],
    &["run -c x bb", "run --cpu-shares 99999999999999999999 bb", "run --cpus -1x bb", "run --cpus '' bb"],
    &[
        "run --memory '' bb",
        "run --memory-reservation x bb",
        "run --memory-swap x bb",
        "run --memory-swap -2 bb",
    ],
    &["run --memory-swappiness x bb", "run --memory-swappiness -2 bb", "run --kernel-memory x bb"],
    &[
        "run --pids-limit x bb",
        "run --oom-score-adj '' bb",
        "run --stop-timeout '' bb",
        "run --stop-timeout 1s bb",
    ],
    &["run --blkio-weight x bb", "run --blkio-weight 70000 bb", "run --blkio-weight -1 bb"],
    &[
        "run --blkio-weight-device x bb",
        "run --blkio-weight-device /dev/x:y bb",
        "run --blkio-weight-device x:5 bb",
    ],
    &[
        "run --device-read-bps x bb",
        "run --device-read-bps /dev/x:y bb",
        "run --device-write-bps /dev/x:-1 bb",
    ],
    &[
        "run --device-read-iops x bb",
        "run --device-read-iops /dev/x:y bb",
        "run --device-write-iops /dev/x:-1 bb",
    ],
    &["run --shm-size '' bb", "run --shm-size -1 bb", "run --shm-size 1y bb"],
    &[
        "run --ulimit '' bb",
        "run --ulimit =5 bb",
        "run --ulimit nofile= bb",
        "run --ulimit nofile=1:x bb",
        "run --ulimit nofile=-1 bb true",
    ],
    &["run --sysctl x bb", "run --sysctl '' bb", "run --sysctl =1 bb", "run --sysctl kernel.shmmax bb"],
    &["run -l '' bb", "run -l =x bb", "run -l 'a b=c' bb", "29:run --label-file '' bb"],
    &["29:run --annotation '' bb true", "29:run --annotation =x bb true"],
    &["run -a '' bb", "run -a stdin,stdout bb", "run -a STDOUT --rm bb echo x"],
    &["run --dns '' bb", "run --dns 1.2.3 bb", "run --dns 1.2.3.4.5 bb", "run --dns-search '' bb"],
    &[
        "29:run --add-host '' bb",
        "29:run --add-host x bb",
        "29:run --add-host :1.2.3.4 bb",
        "29:run --add-host x: bb",
        "29:run --add-host x=y bb",
    ],
    &["29:run --ip '' --rm bb true", "29:run --ip 1.2.3 bb", "29:run --ip6 x bb"],
    &["29:run --mac-address 1:2 bb", "29:run --mac-address '' --rm bb true"],
    &[
        "29:run --expose '' bb",
        "29:run --expose 70000 bb",
        "29:run --expose 1- bb",
        "29:run --expose -1 bb",
        "29:run --expose 80/bogus bb true",
    ],
    &["run --restart x:y:z bb", "29:run --restart on-failure: bb true", "run --restart no:1 bb true"],
    &[
        "run --log-opt x --rm bb true",
        "run --log-opt '' bb true",
        "run --log-driver json-file --log-opt max-file=x bb true",
    ],
    &[
        "run --security-opt '' bb",
        "run --security-opt =x bb",
        "run --security-opt label bb",
        "run --security-opt seccomp= bb",
    ],
    &[
        "run --security-opt apparmor=unconfined --rm bb true",
        "run --security-opt writable-cgroups=maybe bb true",
    ],
    &[
        "run --device :x bb true",
        "run --device a:b:c:d bb true",
        "run --device /dev/null:/dev/x:z bb true",
        "run --device-cgroup-rule '' bb",
    ],
    &[
        "29:run --mount type=bind bb",
        "29:run --mount type=tmpfs,target=x,tmpfs-mode=9 bb",
        "29:run --mount type=tmpfs,target=/x,tmpfs-size=x bb",
    ],
    &[
        "29:run --mount type=bind,source=/a,target=/b,readonly=maybe bb",
        "29:run --mount type=bind,source=/a,target=/b,bind-propagation=x bb true",
    ],
    &[
        "29:run --mount type=volume,target=/x,volume-nocopy=maybe bb",
        "29:run --mount type=bind,src=/etc,dst=/x,tmpfs-size=1 bb",
    ],
    &[
        "29:run --mount type=tmpfs,dst=/x,volume-nocopy bb",
        "29:run --mount type=bind,src=/etc,dst=/x,bind-recursive=x bb",
        "29:run --mount '\"' bb",
    ],
    &[
        "29:run --mount type=bind,src=/etc,dst=/x,bind-nonrecursive=maybe bb",
        "29:run --mount type=bind,dst=/x bb",
        "29:run --mount foo=bar bb",
    ],
    &[
        "run --tmpfs '' bb true",
        "29:run -v aa:bb:cc:dd bb",
        "29:run -v /a:/b: bb",
        "29:run -v /a:/b:ro,rw bb true",
    ],
    &[
        "run --pid container: bb",
        "run --pid '' --rm bb true",
        "run --uts '' --rm bb true",
        "run --ipc container: bb true",
        "run --ipc '' --rm bb true",
    ],
    &[
        "run --cgroupns '' --rm bb true",
        "run --userns '' --rm bb true",
        "run --isolation '' --rm bb true",
        "run --runtime '' --rm bb true",
    ],
    &[
        "29:run --storage-opt '' bb",
        "29:run --platform '' --rm bb true",
        "29:run --platform 'a b' bb",
        "29:run --platform linux/bogus bb true",
    ],
    &[
        "29:run --health-cmd x --health-timeout -1s bb",
        "29:run --health-start-period -1s bb",
        "29:run --health-start-interval -1s bb",
        "29:run --health-retries x bb",
    ],
    &[
        "29:run --no-healthcheck --health-interval 1s bb",
        "run --health-timeout 5 bb",
        "run --health-timeout 5d bb",
    ],
    &["29:run --network a=b bb", "29:run --network name= bb", "28:run --network-alias '' --rm bb true"],
    &[
        "29:run --volumes-from '' bb true",
        "29:run --volumes-from x:bogus bb true",
        "run --group-add '' bb true",
    ],
    &[
        "29:run --cidfile / bb true",
        "29:run --env-file / bb true",
        "29:run --entrypoint nosuch --rm bb",
        "29:run --workdir '' --rm bb pwd",
    ],
    &[
        "run --hostname 'a b' --rm bb true",
        "run --hostname -x --rm bb true",
        "run --stop-signal 99 bb true",
        "run --stop-signal '' --rm bb true",
    ],
    &[
        "29:start --detach-keys x nosuch",
        "29:exec --detach-keys a,b nosuch x",
        "29:attach --detach-keys ctrl- nosuch",
    ],
    &[
        "logs --since x nosuch",
        "logs --until x nosuch",
        "logs --tail -1 nosuch",
        "ps --last x",
        "ps -n 99999999999999999999",
    ],
    &[
        "29:load --platform '' -i FIX/nosuch",
        "29:save --platform x bb",
        "29:history --platform x bb",
        "29:image inspect --platform x bb",
        "29:rmi --platform x bb",
    ],
    &[
        "29:IN: import --platform a/b/c/d - x",
        "29:IN: import --platform x - x",
        "IN: import - x@y",
        "IN: import - ''",
    ],
    &[
        "events --since 1x",
        "events --until 1x",
        "events -f a=b=c --until 1",
        "29:events --format '{{.Bogus}}' --until 1",
        "events --format '{{bogus .}}'",
    ],
    &["info -f '{{bogus}}'", "29:version -f '{{bogus}}'", "29:version -f '{{'"],
];
