"""A container's life through docker-py: `DOCKER_HOST` has an engine with the image `bb`."""

import io
import socket as sockets
import tarfile
import threading
import time

import docker
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound
from docker.types import Healthcheck, LogConfig, Mount, Ulimit

client = docker.from_env()
api = client.api


def eventually(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def refused(status, call, text):
    try:
        call()
    except APIError as error:
        assert error.response.status_code == status, error
        assert text in error.explanation, error.explanation
    else:
        raise AssertionError(f"not refused: {text}")


def runs_and_fails():
    assert client.containers.run("bb", ["echo", "hello"], remove=True) == b"hello\n"
    try:
        client.containers.run("bb", ["sh", "-c", "echo why >&2; exit 3"], remove=True)
    except ContainerError as error:
        assert (error.exit_status, error.stderr) == (3, b"why\n"), error
    else:
        raise AssertionError("exit 3 went unnoticed")
    try:
        api.create_container("nosuch:image", "true")
    except ImageNotFound as error:
        assert "No such image: nosuch:image" in str(error)
    container = client.containers.create("bb", ["nosuch"])
    refused(400, container.start, "executable file not found")
    container.remove()


def lives():
    container = client.containers.run(
        "bb", ["sleep", "1000"], name="py", detach=True, labels={"by": "docker-py"}, environment=["A=1"],
        hostname="inside", working_dir="/tmp", user="1234:5678", mem_limit="64m", pids_limit=50,
        ulimits=[Ulimit(name="nofile", soft=100, hard=200)], cap_drop=["ALL"], read_only=True,
        tmpfs={"/scratch": "size=1m"}, log_config=LogConfig(type="json-file", config={"max-size": "1m"}),
    )
    assert container.status == "created" and container.name == "py"
    container.reload()
    assert container.status == "running"
    state, host = container.attrs["State"], container.attrs["HostConfig"]
    assert state["Pid"] > 0 and host["Memory"] == 64 << 20 and host["ReadonlyRootfs"]
    assert host["Ulimits"] == [{"Name": "nofile", "Hard": 200, "Soft": 100}]
    assert container.attrs["Config"]["Hostname"] == "inside"
    code, output = container.exec_run(["sh", "-c", "id -u; pwd; echo $A; hostname; ulimit -n"])
    assert (code, output) == (0, b"1234\n/tmp\n1\ninside\n100\n"), output
    assert container.exec_run("false").exit_code == 1
    out, err = container.exec_run(["sh", "-c", "echo o; echo e >&2"], demux=True).output
    assert (out, err) == (b"o\n", b"e\n")
    assert [c.id for c in client.containers.list(filters={"label": "by=docker-py"})] == [container.id]
    titles = container.top()["Titles"]
    assert "PID" in titles and "CMD" in titles, titles
    stats = container.stats(stream=False)
    assert stats["memory_stats"]["usage"] > 0 and stats["pids_stats"]["current"] == 1
    container.pause()
    container.reload()
    assert container.status == "paused"
    container.unpause()
    container.update(mem_limit="128m", memswap_limit="256m")
    container.reload()
    assert container.attrs["HostConfig"]["Memory"] == 128 << 20
    container.rename("renamed")
    assert client.containers.get("renamed").id == container.id
    refused(409, lambda: container.remove(), "cannot remove container")
    refused(409, lambda: client.containers.create("bb", "true", name="renamed"), "Conflict. The container name")
    container.restart(timeout=0)
    container.kill(signal="SIGKILL")
    assert container.wait()["StatusCode"] == 137
    container.remove()
    try:
        client.containers.get(container.id)
    except NotFound as error:
        assert "No such container" in str(error)
    else:
        raise AssertionError("it is still there")


def speaks():
    container = client.containers.create("bb", ["cat"], stdin_open=True)
    socket = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    container.start()
    socket._sock.sendall(b"echoed\n")
    socket._sock.shutdown(sockets.SHUT_WR)
    frame = socket.read(8 + 7)
    assert frame == b"\x01\0\0\0\0\0\0\x07echoed\n", frame
    # StdinOnce is not set: the end of one client's input is not the end of the container's.
    container.remove(force=True)
    container = client.containers.run("bb", ["sh", "-c", "for n in 1 2 3; do echo $n; done; echo e >&2"], detach=True)
    assert container.wait() == {"StatusCode": 0}
    assert container.logs(stderr=False) == b"1\n2\n3\n" and container.logs(stdout=False) == b"e\n"
    assert len(container.logs(tail=2)) == 4
    assert list(container.logs(stream=True, follow=True, stderr=False)) == [b"1\n", b"2\n", b"3\n"]
    stamp, line = container.logs(stderr=False, timestamps=True).splitlines()[0].split(b" ")
    assert line == b"1" and stamp.endswith(b"Z")
    container.remove()
    tty = client.containers.run("bb", ["sh", "-c", "stty size; tty"], tty=True, detach=True)
    tty.wait()
    assert tty.logs().endswith(b"/dev/pts/0\r\n"), tty.logs()
    tty.remove()


def carries_files():
    container = client.containers.run("bb", ["sleep", "1000"], detach=True)
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        entry = tarfile.TarInfo("put")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"there"))
    assert container.exec_run("mkdir -p /tmp").exit_code == 0
    assert container.put_archive("/tmp", tar.getvalue())
    assert container.exec_run("cat /tmp/put").output == b"there"
    stream, stat = container.get_archive("/tmp/put")
    assert stat["name"] == "put" and stat["size"] == 5
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        assert archive.extractfile("put").read() == b"there"
    changes = {change["Path"]: change["Kind"] for change in container.diff()}
    assert changes["/tmp/put"] == 1, changes
    image = container.commit(repository="committed", tag="it", changes=["ENV B=2"], message="why", author="who")
    assert "B=2" in image.attrs["Config"]["Env"] and image.attrs["Author"] == "who"
    assert client.containers.run("committed:it", ["cat", "/tmp/put"], remove=True) == b"there"
    with tarfile.open(fileobj=io.BytesIO(b"".join(container.export()))) as archive:
        assert "tmp/put" in archive.getnames()
    container.remove(force=True)
    saved = b"".join(image.save(named=True))
    client.images.remove("committed:it")
    assert client.images.load(saved)[0].tags == ["committed:it"]
    client.images.remove("committed:it")


def has_volumes_and_networks():
    volume = client.volumes.create(name="pyvol", labels={"a": "b"})
    assert volume.attrs["Driver"] == "local" and volume.attrs["Labels"] == {"a": "b"}
    mount = Mount(target="/data", source="pyvol", type="volume")
    client.containers.run("bb", ["sh", "-c", "echo kept > /data/f"], mounts=[mount], remove=True)
    volumes = {"pyvol": {"bind": "/again", "mode": "ro"}}
    assert client.containers.run("bb", ["cat", "/again/f"], volumes=volumes, remove=True) == b"kept\n"
    assert volume.name in [v.name for v in client.volumes.list()]
    network = client.networks.create("pynet", driver="bridge", labels={"n": "1"}, internal=True)
    container = client.containers.run("bb", ["sleep", "1000"], detach=True, network="pynet", name="member")
    network.reload()
    assert [member.id for member in network.containers] == [container.id]
    refused(403, lambda: network.remove(), "has active endpoints")
    refused(409, lambda: volume_in_use(volume), "volume is in use")
    network.disconnect(container)
    container.remove(force=True)
    network.remove()
    volume.remove()
    ports = client.containers.create("bb", ["sleep", "1"], ports={"80/tcp": ("127.0.0.1", None), "53/udp": None})
    assert ports.attrs["HostConfig"]["PortBindings"]["80/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": ""}]
    ports.remove()


def volume_in_use(volume):
    user = client.containers.create("bb", "true", volumes=["/x"], mounts=[Mount("/v", volume.name)])
    try:
        volume.remove()
    finally:
        user.remove(v=True)


def is_healthy():
    check = Healthcheck(test=["CMD-SHELL", "test -e /tmp/ok"], interval=200_000_000, timeout=5_000_000_000, retries=2)
    container = client.containers.run(
        "bb", ["sh", "-c", "mkdir -p /tmp; touch /tmp/ok; sleep 1000"], detach=True, healthcheck=check)
    health = lambda: client.api.inspect_container(container.id)["State"]["Health"]["Status"]
    eventually(lambda: health() == "healthy")
    container.exec_run("rm /tmp/ok")
    eventually(lambda: health() == "unhealthy")
    container.remove(force=True)


def tells():
    seen, since = [], int(time.time()) - 1
    stream = client.events(since=since, filters={"label": "watched"}, decode=True)
    watcher = threading.Thread(target=lambda: seen.extend(event["Action"] for event in stream), daemon=True)
    watcher.start()
    client.containers.run("bb", "true", remove=True, labels={"watched": ""})
    eventually(lambda: seen[-1:] == ["destroy"])
    stream.close()
    assert [action for action in seen if action in ("create", "start", "die", "destroy")] == \
        ["create", "start", "die", "destroy"], seen
    info = client.info()
    assert info["Containers"] >= 0 and info["Driver"] and client.ping()
    assert client.version()["ApiVersion"] and client.df()["Images"]
    assert client.images.get("bb").tags == ["bb:latest"]
    assert client.containers.prune(filters={"label": "nothing"})["ContainersDeleted"] in (None, [])


for scenario in (runs_and_fails, lives, speaks, carries_files, has_volumes_and_networks, is_healthy, tells):
    scenario()
    left = [container.name for container in client.containers.list(all=True)]
    assert left == [], f"{scenario.__name__} left {left}"
    print(f"@ok {scenario.__name__}", flush=True)
