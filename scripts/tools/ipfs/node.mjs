// Runs an IPFS node that speaks the Kubo RPC, for tests: node.mjs REPO PORT. It listens on loopback alone, knows no
// peer, and keeps its blocks and pins in the folder REPO. Once it answers it writes "listening on 127.0.0.1:PORT".
// Without arguments it only loads what it needs.
import { rmSync } from 'node:fs'
import { join } from 'node:path'

// Its dependencies ask for what Node.js has from version 22 on.
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new Promise((ok, no) => { resolve = ok; reject = no })
  return { promise, resolve, reject }
}
const { create } = await import('ipfs-core')
const { HttpApi } = await import('ipfs-http-server')

const [repo, port] = process.argv.slice(2)
if (repo === undefined) process.exit(0)
rmSync(join(repo, 'repo.lock'), { recursive: true, force: true }) // what a node that was killed leaves
const ipfs = await create({
  repo,
  offline: true,
  silent: true,
  preload: { enabled: false },
  init: { emptyRepo: true, algorithm: 'Ed25519' },
  config: {
    Addresses: { Swarm: [], API: `/ip4/127.0.0.1/tcp/${port}`, Gateway: '', Delegates: [], RPC: '' },
    Bootstrap: [],
    Discovery: { MDNS: { Enabled: false }, webRTCStar: { Enabled: false } },
    Routing: { Type: 'none' }
  }
})
const api = new HttpApi(ipfs)
await api.start()
console.log(`listening on 127.0.0.1:${api._apiServers[0].info.port}`)

let leaving = false
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, async () => {
    if (leaving) return
    leaving = true
    await api.stop()
    await ipfs.stop()
    process.exit(0)
  })
}
