// What the checks of ioredis and node-redis share while nodes fail: writes keys of the tags until the
// input ends, repeats nothing and builds no client anew; then every acknowledged key is read.
'use strict';

const assert = require('node:assert');

const TIMEOUT_MS = 500;
const PAUSE_MS = 10;
const READ_ATTEMPTS_MAX = 200;

const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

// A promise that fails when the other one takes too long, as applications do it.
function within(promise, ms) {
  let timer;
  const late = new Promise((done, fail) => {
    timer = setTimeout(() => fail(new Error('no answer in time')), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function run(client, name, tags) {
  let goesOn = true;
  let last = '';
  process.stdin.on('end', () => { goesOn = false; });
  process.stdin.resume();
  const acknowledged = [];
  let errors = 0;
  const attempt = async (work) => {
    try {
      return await within(work(), TIMEOUT_MS);
    } catch (error) {
      errors += 1;
      last = error.message;
      await pause(PAUSE_MS);
      return undefined;
    }
  };
  for (let count = 0; goesOn; count += 1) {
    await Promise.all(tags.map(async (tag) => {
      const key = `{${tag}}:${name}:${count}`;
      if (await attempt(() => client.set(key, key)) === 'OK') {
        acknowledged.push(key);
      }
    }));
  }
  for (const key of acknowledged) {
    let value;
    for (let i = 0; i < READ_ATTEMPTS_MAX && value === undefined; i += 1) {
      value = await attempt(() => client.get(key));
    }
    assert.strictEqual(value, key, `${key} is lost`);
  }
  console.log(`${acknowledged.length} acknowledged, ${errors} errors: ${last}`);
}

module.exports = { run };
