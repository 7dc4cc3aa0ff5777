// Uses node-redis against the server on the port in argv[2], in the protocol in argv[3].
'use strict';

const assert = require('node:assert');
const { createClient } = require('redis');

const port = Number(process.argv[2]);
const RESP = Number(process.argv[3]);

async function connect(options) {
  const client = createClient(Object.assign({
    socket: { port, host: '127.0.0.1', reconnectStrategy: false }, database: 8, RESP,
  }, options));
  client.on('error', (error) => { throw error; });
  await client.connect();
  return client;
}

async function keys(client) {
  assert.strictEqual(await client.set('key', 'value', { EX: 100, NX: true }), 'OK');
  assert.strictEqual(await client.set('key', 'other', { NX: true }), null);
  assert.strictEqual(await client.get('key'), 'value');
  assert.ok(await client.ttl('key') > 90);
  assert.strictEqual(await client.incrBy('counter', 5), 5);
  await assert.rejects(client.incr('key'), /not an integer or out of range/);
  await client.mSet([['a', '1'], ['b', '2']]);
  assert.deepStrictEqual(await client.mGet(['a', 'missing', 'b']), ['1', null, '2']);
  await client.hSet('hash', { field: 'value', number: 7 });
  assert.deepStrictEqual({ ...await client.hGetAll('hash') }, { field: 'value', number: '7' });
  await assert.rejects(client.get('hash'), /WRONGTYPE/);
  const big = 'x'.repeat(1 << 20);
  await client.set('big', big);
  assert.strictEqual(await client.get('big'), big);
  assert.strictEqual(await client.exists(['a', 'b', 'missing']), 2);
}

async function pipelines(client) {
  const all = [];
  for (let i = 0; i < 1000; i++) {
    all.push(client.set(`scan:${i}`, String(i)));
  }
  assert.ok((await Promise.all(all)).every((reply) => reply === 'OK'));
  const found = new Set();
  for await (const names of client.scanIterator({ MATCH: 'scan:*', COUNT: 50 })) {
    [names].flat().forEach((name) => found.add(name));
  }
  assert.strictEqual(found.size, 1000);
}

async function transactions(client) {
  assert.deepStrictEqual(await client.multi().set('t', '1').incr('t').get('t').exec(), ['OK', 2, '2']);
  await client.watch('t');
  const other = await connect();
  await other.set('t', 'changed');
  await assert.rejects(client.multi().set('t', 'mine').exec(),
    (error) => error.constructor.name === 'WatchError');
  await other.close();
}

async function messages(client) {
  const subscriber = await connect();
  const received = [];
  await subscriber.subscribe('news', (text, channel) => received.push([channel, text]));
  await subscriber.pSubscribe('n*', (text, channel) => received.push(['pattern', channel, text]));
  await subscriber.sSubscribe('shard', (text, channel) => received.push(['shard', channel, text]));
  assert.strictEqual(await client.publish('news', 'hello'), 2);
  assert.strictEqual(await client.sPublish('shard', 'there'), 1);
  while (received.length < 3) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.deepStrictEqual(received.sort(), [
    ['news', 'hello'], ['pattern', 'news', 'hello'], ['shard', 'shard', 'there']]);
  await subscriber.close();
}

async function main() {
  const client = await connect({ name: 'check' });
  await client.flushDb();
  assert.strictEqual(await client.clientGetName(), 'check');
  for (const part of [keys, pipelines, transactions, messages]) {
    await part(client);
  }
  assert.match(await client.info('server'), /redis_version:7\./);
  await client.close();
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
