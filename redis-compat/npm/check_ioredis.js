// Uses ioredis against the server on the port in argv[2]; ends with 0 when all is as Redis does it.
'use strict';

const assert = require('node:assert');
const Redis = require('ioredis');

const port = Number(process.argv[2]);

function connect(options) {
  return new Redis(Object.assign({ port, host: '127.0.0.1', db: 9, maxRetriesPerRequest: 1 }, options));
}

async function keys(client) {
  assert.strictEqual(await client.set('key', 'value', 'EX', 100, 'NX'), 'OK');
  assert.strictEqual(await client.set('key', 'other', 'NX'), null);
  assert.strictEqual(await client.get('key'), 'value');
  assert.ok(await client.ttl('key') > 90);
  const binary = Buffer.from([0, 13, 10, 255, 34]);
  await client.set('binary', binary);
  assert.deepStrictEqual(await client.getBuffer('binary'), binary);
  assert.strictEqual(await client.incrby('counter', 5), 5);
  assert.strictEqual(await client.incrbyfloat('counter', 0.5), '5.5');
  await assert.rejects(client.incr('key'), /not an integer or out of range/);
  await client.mset({ a: '1', b: '2' });
  assert.deepStrictEqual(await client.mget('a', 'missing', 'b'), ['1', null, '2']);
  await client.hset('hash', { field: 'value', number: 7 });
  assert.deepStrictEqual(await client.hgetall('hash'), { field: 'value', number: '7' });
  await assert.rejects(client.get('hash'), /WRONGTYPE/);
  const big = 'x'.repeat(1 << 20);
  await client.set('big', big);
  assert.strictEqual(await client.get('big'), big);
}

async function scans(client) {
  const pipeline = client.pipeline();
  for (let i = 0; i < 1000; i++) {
    pipeline.set(`scan:${i}`, i);
  }
  assert.strictEqual((await pipeline.exec()).length, 1000);
  const found = new Set();
  for await (const names of client.scanStream({ match: 'scan:*', count: 50 })) {
    names.forEach((name) => found.add(name));
  }
  assert.strictEqual(found.size, 1000);
}

async function transactions(client) {
  const results = await client.multi().set('t', '1').incr('t').hget('t', 'f').exec();
  assert.deepStrictEqual(results.slice(0, 2), [[null, 'OK'], [null, 2]]);
  assert.match(results[2][0].message, /WRONGTYPE/);
  await client.watch('t');
  const other = connect();
  await other.set('t', 'changed');
  assert.strictEqual(await client.multi().set('t', 'mine').exec(), null);
  await other.quit();
}

async function messages(client) {
  const subscriber = connect();
  const received = [];
  subscriber.on('message', (channel, text) => received.push([channel, text]));
  subscriber.on('pmessage', (pattern, channel, text) => received.push([pattern, channel, text]));
  await subscriber.subscribe('news', 'other');
  await subscriber.psubscribe('n*');
  assert.strictEqual(await client.publish('news', 'hello'), 2);
  while (received.length < 2) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.deepStrictEqual(received, [['news', 'hello'], ['n*', 'news', 'hello']]);
  await subscriber.quit();
}

async function main() {
  const client = connect({ connectionName: 'check' });
  await client.flushdb();
  assert.strictEqual(await client.client('GETNAME'), 'check');
  for (const part of [keys, scans, transactions, messages]) {
    await part(client);
  }
  assert.match(await client.info('server'), /redis_version:7\./);
  await client.quit();
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
