#!/usr/bin/env node
// The native solc's command line, as far as forge uses it, over the compiler from npm.
'use strict';
const solc = require('../node_modules/solc');
if (process.argv.includes('--version')) {
  console.log('solc, the solidity compiler commandline interface\nVersion: ' + solc.version());
} else if (process.argv.includes('--standard-json')) {
  process.stdout.write(solc.compile(require('fs').readFileSync(0, 'utf8')) + '\n');
} else {
  console.error('solc: this wrapper answers --version and --standard-json only');
  process.exitCode = 1;
}
