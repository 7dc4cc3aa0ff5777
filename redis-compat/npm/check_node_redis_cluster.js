// Uses node-redis' cluster client, on the cluster of the node on the port in argv[2], with keys in the
// slots of the tags behind it, which move meanwhile; ends with 0 when nothing was lost or refused.
'use strict';

const assert = require('node:assert');
const { createCluster } = require('redis');

const port = Number(process.argv[2]);
const tags = process.argv.slice(3);
const MILLISECONDS = 1000;

async function main() {
  const client = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${port}` }] });
  client.on('error', (error) => { throw error; });
  await client.connect();
  const until = Date.now() + MILLISECONDS;
  let rounds = 0;
  for (const tag of tags) {
    await client.del(`{${tag}}:node`);
  }
  while (Date.now() < until) {
    rounds += 1;
    await Promise.all(tags.map(async (tag) => {
      assert.strictEqual(await client.incr(`{${tag}}:node`), rounds);
      await client.set(`{${tag}}:node:${rounds % 10}`, String(rounds));
      assert.strictEqual(await client.get(`{${tag}}:node:${rounds % 10}`), String(rounds));
      await client.set(`node:${tag}:${rounds % 10}`, 'x');
    }));
  }
  for (const tag of tags) {
    assert.strictEqual(await client.get(`{${tag}}:node`), String(rounds));
  }
  await client.close();
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
