// Reads Chainpoint proofs by the npm packages chainpoint-proof-json-schema and chainpoint-parse, for the tests of exports.
// Each line of standard input is a proof; each line of standard output is what the parser makes of it, or
// {"error": text}.
'use strict';
const schema = require('chainpoint-proof-json-schema');
const { parse } = require('chainpoint-parse');

function read(line) {
  try {
    const proof = JSON.parse(line);
    const { valid, errors } = schema.validate(proof);
    return valid ? parse(proof) : { error: JSON.stringify(errors) };
  } catch (error) {
    return { error: String(error) };
  }
}

const lines = require('node:fs').readFileSync(0, 'utf8').split('\n').filter((line) => line !== '');
for (const line of lines) process.stdout.write(JSON.stringify(read(line)) + '\n');
