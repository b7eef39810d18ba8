// Verifies OpenTimestamps files by the npm package opentimestamps, for the tests of exports. The argument is the URL of a
// block explorer. Each line of standard input is {"ots": file, "shown": what it stamps}, both in hexadecimal; each line
// of standard output is {"height", "time"} of the block that proves it, or {"error": text}.
'use strict';
const ots = require('opentimestamps');

console.log = console.error; // the package talks

const { DetachedTimestampFile, Ops } = ots;
const bytes = (hex) => Array.from(Buffer.from(hex, 'hex'));
const options = { ignoreBitcoinNode: true, url: process.argv[2], timeout: 20000 };

async function verify(line) {
  try {
    const { ots: file, shown } = JSON.parse(line);
    const stamped = DetachedTimestampFile.deserialize(bytes(file));
    const original = DetachedTimestampFile.fromBytes(new Ops.OpSHA256(), bytes(shown));
    const { bitcoin } = await ots.verify(stamped, original, options);
    return bitcoin ? { height: bitcoin.height, time: bitcoin.timestamp } : { error: 'no block' };
  } catch (error) {
    return { error: String(error) };
  }
}

async function main() {
  const lines = require('node:fs').readFileSync(0, 'utf8').split('\n').filter((line) => line !== '');
  for (const line of lines) process.stdout.write(JSON.stringify(await verify(line)) + '\n');
}

main();
