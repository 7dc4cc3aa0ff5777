// Writes with node-redis' cluster client while nodes fail, through the node on the port in argv[2], keys
// of the tags behind it; see failures.js.
'use strict';

const { createCluster } = require('redis');
const { run } = require('./failures');

async function main() {
  const client = createCluster({
    rootNodes: [{ url: `redis://127.0.0.1:${process.argv[2]}` }],
  });
  client.on('error', () => {});
  await client.connect();
  await run(client, 'node', process.argv.slice(3));
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
