// What a cache needs of the way in which it is kept; `plain.ts` and `strict.ts` are the two ways.
import type { Built } from './modules'
import type { Scope } from './rows'

/** `'changed'`: something that it was built from was invalidated. `'unproven'`: whether it was, cannot be told now. */
export type Outcome = 'persisted' | 'changed' | 'unproven'

export interface Protocol {
  /** Hears of the invalidations so far, as well as it can, before a build that is under way is joined. */
  catchUp(): Promise<void>
  /** Writes a result, unless something that it was built from was invalidated since the snapshot. */
  persist(snapshot: number, built: Built): Promise<Outcome>
  /** Deletes what became stale, notifies, and resolves to the URLs of the rows that it deleted. */
  invalidate(scope: Scope): Promise<string[]>
}
