#!/usr/bin/env node
// Plain JavaScript, so that an older Node can still read it and say what is missing.

const major = Number(process.versions.node.split('.')[0])
if (major < 24) {
  console.error(
    `tahoe-nfs needs Node 24 or newer; this is ${process.version}. In a checkout: npx tahoe-nfs …`,
  )
  process.exit(1)
}
await import('../src/cli/main.ts')
