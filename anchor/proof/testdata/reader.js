// Reads OpenTimestamps files by the npm package opentimestamps, for TestOtherReader. Each line of standard input is a
// file in hexadecimal; each line of standard output is what it holds: {"leaves": ["attestation message" …], "file": as
// the package writes it again}, or {"error": text}.
'use strict';
const ots = require('opentimestamps');

console.log = console.error; // the package talks

const { DetachedTimestampFile, Notary } = ots;
const hex = (b) => Buffer.from(b).toString('hex');

function name(a) {
  if (a instanceof Notary.PendingAttestation) return 'pending at ' + a.uri;
  if (a instanceof Notary.BitcoinBlockHeaderAttestation) return 'bitcoin block ' + a.height;
  if (a instanceof Notary.LitecoinBlockHeaderAttestation) return 'litecoin block ' + a.height;
  return 'unknown attestation ' + hex(a._TAG());
}

function leaves(node, all) {
  for (const a of node.attestations) all.push(name(a) + ' ' + hex(node.msg));
  for (const next of node.ops.values()) leaves(next, all);
  return all;
}

function read(line) {
  try {
    const file = DetachedTimestampFile.deserialize(Array.from(Buffer.from(line, 'hex')));
    const all = leaves(file.timestamp, []);
    return { leaves: all, file: hex(file.serializeToBytes()) };
  } catch (error) {
    return { error: String(error) };
  }
}

const lines = require('node:fs').readFileSync(0, 'utf8').split('\n').filter((line) => line !== '');
for (const line of lines) process.stdout.write(JSON.stringify(read(line)) + '\n');
