runs() {
  cd /project
  echo 'const answer: number = 42; console.log(answer)' >/tmp/typed.ts
  same "$(node /tmp/typed.ts)" 42
  node -e 'import("undici").then(u => { if (typeof u.request !== "function") process.exit(1) })'
}
check 'node runs' runs
