// @ts-check
'use strict'
// The addon for this platform. Where there is none, the error says which one it is and what to do about it: binding.js,
// which napi-rs generates and which looks for it, knows one remedy only.

// Those of package.json's `napi.targets`.
const PLATFORMS = [
  'darwin-arm64',
  'darwin-x64',
  'linux-arm64-gnu',
  'linux-arm64-musl',
  'linux-x64-gnu',
  'linux-x64-musl',
  'win32-x64-msvc',
]

const FROM_SOURCE =
  'build it from source (in a clone of pg-generations: npm run build, which needs Rust and a C compiler) ' +
  'and set NAPI_RS_NATIVE_LIBRARY_PATH to the .node file'

try {
  module.exports = require('./binding.js')
} catch (error) {
  throw explained(error)
}

/** @param {unknown} error What binding.js threw; its causes are what it tried. */
function explained(error) {
  const { platform, arch } = process
  const libc = libcOf(platform)
  const here = `Node ${process.version}, platform ${platform}, arch ${arch}${libc ? `, libc ${libc}` : ''}`
  const abi = { linux: libc === 'musl' ? '-musl' : '-gnu', win32: '-msvc' }[String(platform)] ?? ''
  const name = `${platform}-${arch}${abi}`
  const refusal = causesOf(error).find(isRefusal)

  const chosen = process.env.NAPI_RS_NATIVE_LIBRARY_PATH
  if (chosen) {
    const why = causesOf(error).at(-1)
    return failure(
      'PGGEN_BINARY_REFUSED',
      `pg-generations cannot load ${chosen}, to which NAPI_RS_NATIVE_LIBRARY_PATH is set (${here}): ${textOf(why)}. ` +
        'Unset it, or set it to the .node file of this version that was built for this platform.',
      error,
    )
  }
  if (refusal !== undefined) {
    return failure(
      'PGGEN_BINARY_REFUSED',
      `pg-generations has a native binary for ${name}, but the system does not load it (${here}): ${textOf(refusal)}. ` +
        `Install anew on the platform it is to run on; if the system is older than the binary, ${FROM_SOURCE}.`,
      error,
    )
  }
  if (!PLATFORMS.includes(name)) {
    return failure(
      'PGGEN_NO_BINARY',
      `pg-generations has no native binary for ${name} (${here}). There is one for each of ` +
        `${PLATFORMS.join(', ')}. Run it on one of these, or ${FROM_SOURCE}.`,
      error,
    )
  }
  return failure(
    'PGGEN_NO_BINARY',
    `pg-generations does not find its native binary for ${name} (${here}). It is in the package ` +
      `pg-generations-${name}, an optional dependency that is not installed. Install without --omit=optional or ` +
      '--no-optional, on the platform it is to run on; if node_modules or package-lock.json come from another ' +
      'platform, remove both first. A bundler has to leave pg-generations external. There is a binary for each of ' +
      `${PLATFORMS.join(', ')}; for another platform, ${FROM_SOURCE}.`,
    error,
  )
}

/** @param {NodeJS.Platform} platform */
function libcOf(platform) {
  if (platform !== 'linux') return undefined
  // Otherwise the report looks up the names of all peers.
  const report = Object.assign(process.report, { excludeNetwork: true }).getReport()
  const { header } = /** @type {{ header: { glibcVersionRuntime?: string } }} */ (report)
  return header.glibcVersionRuntime === undefined ? 'musl' : 'glibc'
}

/** Itself and all that led to it. @param {unknown} error */
function causesOf(error) {
  const causes = []
  for (let cause = error; cause instanceof Error; cause = cause.cause) causes.push(cause)
  return causes
}

/** Whether there was a binary. Of what went wrong, binding.js keeps the texts. @param {Error} cause */
function isRefusal({ message }) {
  return !/^(Cannot find|Unsupported) /.test(message)
}

/** @param {Error | undefined} error */
function textOf(error) {
  return error?.message.split('\n', 1)[0]?.replace(/\.$/, '')
}

/** @param {string} code @param {string} message @param {unknown} cause */
function failure(code, message, cause) {
  return Object.assign(new Error(message, { cause }), { code })
}
