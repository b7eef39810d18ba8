// Drives the npm package opentimestamps for TestOtherClient. Files are told and answered in hexadecimal; the result is
// one line of JSON on standard output.
//
//   read FILE EXPLORER     read a file, write it again, and verify it by an explorer's answers
//   stamp DIGEST CALENDAR  stamp a SHA-256 digest
//   upgrade FILE CALENDAR  ask the calendar for what it promised
'use strict';
const ots = require('opentimestamps');

console.log = console.error; // the package talks

const { DetachedTimestampFile, Ops, Calendar } = ots;
const bytes = (hex) => Array.from(Buffer.from(hex, 'hex'));
const hex = (b) => Buffer.from(b).toString('hex');
const file = (text) => DetachedTimestampFile.deserialize(bytes(text));
const written = (detached) => hex(detached.serializeToBytes());

async function read(text, explorer) {
  const detached = file(text);
  const original = DetachedTimestampFile.fromHash(new Ops.OpSHA256(), detached.fileDigest());
  const options = { ignoreBitcoinNode: true, url: explorer, timeout: 10000 };
  const again = written(detached);
  const verified = await ots.verify(detached, original, options);
  return { file: again, digest: hex(detached.fileDigest()), verified, info: ots.info(detached) };
}

async function stamp(digest, calendar) {
  const detached = DetachedTimestampFile.fromHash(new Ops.OpSHA256(), bytes(digest));
  await ots.stamp(detached, { calendars: [calendar], m: 1 });
  return { file: written(detached) };
}

async function upgrade(text, calendar) {
  const detached = file(text);
  const changed = await ots.upgrade(detached, { whitelist: new Calendar.UrlWhitelist([calendar]) });
  return { file: written(detached), changed };
}

const [command, ...args] = process.argv.slice(2);
({ read, stamp, upgrade })[command](...args).then(
  (result) => process.stdout.write(JSON.stringify(result) + '\n'),
  (error) => { console.error(error); process.exitCode = 1; });
