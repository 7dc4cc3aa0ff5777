// Writes with ioredis' cluster client while nodes fail, through the node on the port in argv[2], keys of
// the tags behind it; see failures.js.
'use strict';

const { Cluster } = require('ioredis');
const { run } = require('./failures');

const client = new Cluster([{ host: '127.0.0.1', port: Number(process.argv[2]) }], {
  slotsRefreshInterval: 1000,
});
client.on('error', () => {});

run(client, 'io', process.argv.slice(3)).then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
