// A container's life through dockerode: `DOCKER_HOST` has an engine with the image `bb`.
'use strict';
const assert = require('assert');
const { PassThrough } = require('stream');
const Docker = require('dockerode');

const docker = new Docker({ socketPath: process.env.DOCKER_HOST.replace('unix://', '') });

function collected() {
  const stream = new PassThrough();
  stream.text = '';
  stream.on('data', (bytes) => { stream.text += bytes; });
  return stream;
}

const ended = (stream) => new Promise((resolve, reject) => {
  for (const event of ['end', 'close']) stream.on(event, resolve);
  stream.on('error', reject);
});

async function refused(status, promise, text) {
  await assert.rejects(promise, (error) => error.statusCode === status && error.message.includes(text));
}

async function runs() {
  const out = collected();
  const err = collected();
  const [result, container] =
    await docker.run('bb', ['sh', '-c', 'echo out; echo err >&2; exit 4'], [out, err], { Tty: false });
  assert.strictEqual(result.StatusCode, 4);
  assert.deepStrictEqual([out.text, err.text], ['out\n', 'err\n']);
  await container.remove();
  await refused(404, docker.createContainer({ Image: 'nosuch' }), 'No such image: nosuch');
}

async function lives() {
  const container = await docker.createContainer({
    Image: 'bb', name: 'ode', Cmd: ['sleep', '1000'], Labels: { by: 'dockerode' }, Env: ['A=1'],
    HostConfig: { Memory: 64 << 20, RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 } },
  });
  await container.start();
  await refused(304, container.start(), 'container already started');
  const info = await container.inspect();
  assert(info.State.Running && info.HostConfig.RestartPolicy.MaximumRetryCount === 3);
  const [listed] = await docker.listContainers({ filters: { label: ['by=dockerode'] } });
  assert.deepStrictEqual([listed.Id, listed.Names, listed.State], [info.Id, ['/ode'], 'running']);
  await container.pause();
  await refused(409, container.pause(), 'is already paused');
  await container.unpause();
  const stats = await container.stats({ stream: false });
  assert(stats.memory_stats.usage > 0 && stats.cpu_stats.cpu_usage.total_usage > 0);
  assert((await container.top()).Processes.length === 1);
  const wait = container.wait({ condition: 'next-exit' });
  await container.stop({ t: 0 });
  assert.strictEqual((await wait).StatusCode, 137);
  await container.remove({ v: true });
  await refused(404, container.inspect(), 'No such container');
}

// An exec with a hijacked connection both ways, and its exit status.
async function executes() {
  const container = await docker.createContainer({ Image: 'bb', Cmd: ['sleep', '1000'] });
  await container.start();
  const exec = await container.exec({
    Cmd: ['sh', '-c', 'read line; echo "got $line"; echo e >&2; exit 5'],
    AttachStdin: true, AttachStdout: true, AttachStderr: true,
  });
  const stream = await exec.start({ hijack: true, stdin: true });
  const out = collected();
  const err = collected();
  docker.modem.demuxStream(stream, out, err);
  stream.write('words\n');
  await ended(stream);
  assert.deepStrictEqual([out.text, err.text], ['got words\n', 'e\n']);
  assert.strictEqual((await exec.inspect()).ExitCode, 5);
  const tty = await container.exec({ Cmd: ['sh', '-c', 'sleep 0.3; stty size'], AttachStdout: true, Tty: true });
  const screen = await tty.start({ Tty: true });
  const shown = collected();
  screen.pipe(shown);
  await tty.resize({ h: 33, w: 77 });
  await ended(screen);
  assert.strictEqual(shown.text, '33 77\r\n');
  await container.remove({ force: true });
}

// Attached before the start, with standard input that ends.
async function attaches() {
  const container = await docker.createContainer({
    Image: 'bb', Cmd: ['sh', '-c', 'cat; echo done'], OpenStdin: true, StdinOnce: true, AttachStdin: true,
  });
  const stream = await container.attach({ stream: true, hijack: true, stdin: true, stdout: true, stderr: true });
  const out = collected();
  docker.modem.demuxStream(stream, out, out);
  const over = ended(stream);
  await container.start();
  stream.end('in and out\n');
  assert.strictEqual((await container.wait()).StatusCode, 0);
  await over;
  assert.strictEqual(out.text, 'in and out\ndone\n');
  const log = await container.logs({ stdout: true, stderr: true, follow: false });
  assert(log.toString().includes('done'));
  const following = await container.logs({ stdout: true, follow: true });
  const followed = collected();
  docker.modem.demuxStream(following, followed, followed);
  await ended(following);
  assert.strictEqual(followed.text, 'in and out\ndone\n');
  await container.remove();
}

async function tells() {
  const since = Math.floor(Date.now() / 1000) - 1;
  const container = await docker.createContainer({ Image: 'bb', Cmd: ['true'], Labels: { ode: '' } });
  await container.start();
  await container.wait();
  await container.remove();
  const until = Math.floor(Date.now() / 1000) + 1;
  const events = collected();
  (await docker.getEvents({ since, until, filters: { label: ['ode'], type: ['container'] } })).pipe(events);
  await ended(events);
  const actions = events.text.trim().split('\n').map((line) => JSON.parse(line).Action);
  assert.deepStrictEqual(actions, ['create', 'start', 'die', 'destroy']);
  const image = await docker.getImage('bb').inspect();
  assert(image.RootFS.Layers.length === 1 && (await docker.info()).Images >= 1 && (await docker.version()).ApiVersion);
}

async function keeps() {
  await docker.createVolume({ Name: 'odevol', Labels: { a: 'b' } });
  const network = await docker.createNetwork({ Name: 'odenet', Internal: true });
  const container = await docker.createContainer({
    Image: 'bb', Cmd: ['sleep', '1000'], HostConfig: { Mounts: [{ Type: 'volume', Source: 'odevol', Target: '/data' }] },
  });
  await container.start();
  await network.connect({ Container: container.id, EndpointConfig: { Aliases: ['alias'] } });
  const { Networks } = (await container.inspect()).NetworkSettings;
  assert(Networks.odenet.Aliases.includes('alias') && Networks.odenet.IPAddress);
  await refused(409, docker.getVolume('odevol').remove(), 'volume is in use');
  await container.remove({ force: true });
  await network.remove();
  await docker.getVolume('odevol').remove();
}

(async () => {
  for (const scenario of [runs, lives, executes, attaches, tells, keeps]) {
    await scenario();
    assert.deepStrictEqual(await docker.listContainers({ all: true }), [], `${scenario.name} left containers`);
    console.log(`@ok ${scenario.name}`);
  }
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
