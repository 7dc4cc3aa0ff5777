// Uses ioredis' cluster client, on the cluster of the node on the port in argv[2], with keys in the
// slots of the tags behind it, which move meanwhile; ends with 0 when nothing was lost or refused.
'use strict';

const assert = require('node:assert');
const { Cluster } = require('ioredis');

const port = Number(process.argv[2]);
const tags = process.argv.slice(3);
const MILLISECONDS = 1000;

async function main() {
  const client = new Cluster([{ host: '127.0.0.1', port }]);
  const until = Date.now() + MILLISECONDS;
  let rounds = 0;
  for (const tag of tags) {
    await client.del(`{${tag}}:io`);
  }
  while (Date.now() < until) {
    rounds += 1;
    await Promise.all(tags.map(async (tag) => {
      assert.strictEqual(await client.incr(`{${tag}}:io`), rounds);
      await client.set(`{${tag}}:io:${rounds % 10}`, rounds);
      assert.strictEqual(await client.get(`{${tag}}:io:${rounds % 10}`), String(rounds));
      await client.set(`io:${tag}:${rounds % 10}`, 'x');
    }));
  }
  for (const tag of tags) {
    assert.strictEqual(await client.get(`{${tag}}:io`), String(rounds));
  }
  await client.quit();
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
