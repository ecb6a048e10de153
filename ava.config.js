// TypeScript runs as it is: this Node strips the types.
export default {
  files: ['test/**/*.test.ts'],
  extensions: ['ts'],
  workerThreads: false,
  timeout: '3m',
}
