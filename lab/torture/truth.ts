// What is true, outside of PostgreSQL: which version every source has, and which invalidations are complete. Two files
// that are only ever appended to, shared by all processes. An append is whole or not at all, whatever kills its process,
// and the order of the records is the order of the appends.
//
// A version is the number of the record that made it. So of two versions of a source the greater is the later.
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** A source, by its number: see `World`. */
export type Source = number

/** The version of every source that something was built from. */
export type Versions = Record<Source, number>

/** A position in both files. */
export interface Moment {
  changes: number
  endings: number
}

/** How far an invalidation has come: its DELETE is acknowledged; so are its notifications. */
const DELETED = 0
const TOLD = 1

export class Truth {
  readonly #changes: Log
  readonly #endings: Log
  readonly #writer: number
  #written = 0
  /** By the number of a change: its source. */
  readonly #sources: Source[] = [-1]
  /** By source: its version, and the latest version whose invalidation is complete. */
  readonly #versions: number[] = []
  readonly #completed: number[] = []
  /** By source: the latest record of the other file that speaks of it. */
  readonly #lastDeleted: number[] = []
  readonly #lastEnding: number[] = []
  /** Written by this process, and not read back yet. */
  readonly #own = new Map<number, number>()

  /** `writer` tells the processes apart that write. */
  constructor(directory: string, writer: number) {
    this.#changes = new Log(join(directory, 'changes'))
    this.#endings = new Log(join(directory, 'endings'))
    this.#writer = writer
  }

  /** Changes a source; gives its new version. */
  change(source: Source): number {
    const mark = (((this.#writer & 0xfff) << 20) | (++this.#written & 0xfffff)) >>> 0
    this.#own.set(mark, 0)
    this.#changes.append(source, mark)
    this.#catchUp()
    const version = this.#own.get(mark)
    this.#own.delete(mark)
    if (!version) throw new Error('a change is not where it was written')
    return version
  }

  /** The server has acknowledged the DELETE of the invalidation that this version was the reason for. */
  deleted(version: number): void {
    this.#endings.append(version, DELETED)
  }

  /** The server has acknowledged its notifications. */
  told(version: number): void {
    this.#endings.append(version, TOLD)
  }

  /** The version of a source at this moment. */
  version(source: Source): number {
    this.#catchUp()
    return this.#versions[source] ?? 0
  }

  /** This moment. */
  now(): Moment {
    this.#catchUp()
    return { changes: this.#changes.records, endings: this.#endings.records }
  }

  /** By source: the latest version whose invalidation is complete at this moment. What is older is stale. */
  completed(): readonly number[] {
    this.#catchUp()
    return [...this.#completed]
  }

  /** Whether an invalidation of one of the sources was completed after `moment`. */
  invalidatedSince({ endings }: Moment, sources: Source[]): boolean {
    this.#catchUp()
    return sources.some((source) => (this.#lastDeleted[source] ?? 0) > endings)
  }

  /** Whether an invalidation of one of the sources is under way. */
  isUnsettled(sources: Source[]): boolean {
    this.#catchUp()
    return sources.some((source) => (this.#versions[source] ?? 0) > (this.#completed[source] ?? 0))
  }

  /** Whether an invalidation of one of the sources began, was completed or was told of after `moment`. */
  touchedSince({ changes, endings }: Moment, sources: Source[]): boolean {
    this.#catchUp()
    return sources.some(
      (source) => (this.#versions[source] ?? 0) > changes || (this.#lastEnding[source] ?? 0) > endings,
    )
  }

  close(): void {
    this.#changes.close()
    this.#endings.close()
  }

  #catchUp(): void {
    for (;;) {
      // The endings first: the changes that they speak of have been written before them.
      const endings = this.#endings.next()
      for (let changes = this.#changes.next(); changes.length > 0; changes = this.#changes.next()) {
        for (const { first: source, second: mark, number: version } of changes) {
          this.#sources[version] = source
          this.#versions[source] = version
          if (this.#own.has(mark)) this.#own.set(mark, version)
        }
      }
      for (const { first: version, second: kind, number } of endings) {
        const source = this.#sources[version] as Source
        this.#lastEnding[source] = number
        if (kind !== DELETED) continue
        this.#lastDeleted[source] = number
        this.#completed[source] = Math.max(this.#completed[source] ?? 0, version)
      }
      if (endings.length === 0) return
    }
  }
}

/** Two 32-bit numbers, and the number of the record that holds them. */
interface LogRecord {
  first: number
  second: number
  number: number
}

/** Records, numbered from 1. */
class Log {
  records = 0
  readonly #file: number
  readonly #buffer = Buffer.alloc(8 * 1024)

  constructor(path: string) {
    this.#file = openSync(path, 'a+')
  }

  append(first: number, second: number): void {
    const record = Buffer.alloc(8)
    record.writeUInt32LE(first, 0)
    record.writeUInt32LE(second, 4)
    writeSync(this.#file, record)
  }

  /** What follows, or as much of it as there is room for. */
  next(): LogRecord[] {
    const bytes = readSync(this.#file, this.#buffer, 0, this.#buffer.length, this.records * 8)
    const read: LogRecord[] = []
    for (let at = 0; at + 8 <= bytes; at += 8) {
      read.push({
        first: this.#buffer.readUInt32LE(at),
        second: this.#buffer.readUInt32LE(at + 4),
        number: ++this.records,
      })
    }
    return read
  }

  close(): void {
    closeSync(this.#file)
  }
}

/** Why something is older than an invalidation that was complete then, for people; or nothing, if it is not. */
export function staleness(built: Versions, completed: readonly number[]): string | undefined {
  const older = Object.entries(built).flatMap(([source, version]) => {
    const latest = completed[Number(source)] ?? 0
    return version < latest ? `source ${source} at version ${version}, and ${latest} is complete` : []
  })
  return older.length > 0 ? older.join('; ') : undefined
}
