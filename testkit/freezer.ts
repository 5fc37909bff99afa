// Freezes a process as a container's pause does: by a control group, whose processes get no signal and see nothing of
// it but that time has passed.
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

interface Kind {
  /** The directory that holds groups of this kind. */
  parent: string
  /** File and text that freeze and thaw a group, and the text that another file has as soon as it is frozen. */
  freeze: [file: string, text: string]
  thaw: [file: string, text: string]
  frozen: [file: string, text: string]
}

const DEADLINE_MS = 10_000
let groups = 0

/** A control group that can be frozen. */
export class Freezer {
  readonly #kind: Kind
  readonly #directory: string

  /** A new group, or why there can be none. */
  static make(): Freezer | string {
    const reasons: string[] = []
    for (const kind of kinds()) {
      try {
        return new Freezer(kind)
      } catch (error) {
        reasons.push(error instanceof Error ? error.message : String(error))
      }
    }
    return reasons.join('; ') || 'no freezer of control groups is mounted'
  }

  private constructor(kind: Kind) {
    this.#kind = kind
    this.#directory = join(kind.parent, `pg-generations-${process.pid}-${groups++}`)
    mkdirSync(this.#directory)
    process.once('exit', this.thaw)
    try {
      // Throws where there is no such file, or where it is not ours to write.
      this.thaw()
    } catch (error) {
      this.dispose()
      throw error
    }
  }

  /** Moves a process with all its threads into the group. */
  add(pid: number): void {
    this.#write('cgroup.procs', String(pid))
  }

  /** Resolves when every thread stands still. */
  async freeze(): Promise<void> {
    this.#write(...this.#kind.freeze)
    const [file, text] = this.#kind.frozen
    for (const end = performance.now() + DEADLINE_MS; performance.now() < end;) {
      if (readFileSync(join(this.#directory, file), 'utf8').includes(text)) return
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    this.thaw()
    throw new Error(`the group did not freeze within ${DEADLINE_MS} ms`)
  }

  readonly thaw = (): void => this.#write(...this.#kind.thaw)

  /** To be called when its processes have ended. */
  dispose(): void {
    process.off('exit', this.thaw)
    rmdirSync(this.#directory)
  }

  #write(file: string, text: string): void {
    // 'r+': a file that is missing must not be made, which some kernels would try.
    writeFileSync(join(this.#directory, file), text, { flag: 'r+' })
  }
}

/** The freezers of this system, version 2 first. */
function kinds(): Kind[] {
  const found: Kind[] = []
  for (const [, root, mountPoint, type, options] of readLines('/proc/self/mountinfo').matchAll(
    /^\S+ \S+ \S+ (\S+) (\S+) .* - (cgroup2?) \S+ (\S+)$/gm,
  )) {
    if (type === 'cgroup2') {
      found.unshift({
        parent: join(mountPoint!, own('0::', root!)),
        freeze: ['cgroup.freeze', '1'],
        thaw: ['cgroup.freeze', '0'],
        frozen: ['cgroup.events', 'frozen 1'],
      })
    } else if (options!.split(',').includes('freezer')) {
      found.push({
        parent: join(mountPoint!, own('[0-9]+:(?:[^:]*,)?freezer(?:,[^:]*)?:', root!)),
        freeze: ['freezer.state', 'FROZEN'],
        thaw: ['freezer.state', 'THAWED'],
        frozen: ['freezer.state', 'FROZEN'],
      })
    }
  }
  return found
}

/** The path of our own group, below which we may be allowed to make others, in a mount of `root`. */
function own(controller: string, root: string): string {
  const path = new RegExp(`^${controller}(.*)$`, 'm').exec(readLines('/proc/self/cgroup'))?.[1] ?? '/'
  return path.startsWith(root) ? path.slice(root === '/' ? 0 : root.length) : '/'
}

function readLines(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    // Another system than Linux.
    return ''
  }
}
