// One round: an invalidation while something goes wrong, and a subject that checks.
import type { CheckResult } from 'pg-generations'
import { now } from './protocol'
import { type Scene, type Subject, pass } from './scene'

const RECOVERY_MS = 20_000

interface Round {
  /** How long after the acknowledgement a check last said "unchanged"; 0 if none did. */
  staleMs: number
  /** What the first check said that did not. */
  verdict: CheckResult
  /** For a process that was frozen: from its thaw to the last check that said "unchanged", 0 if none did, … */
  wrongAfterThawMs?: number
  /** … and to the first that did not. */
  rightAfterThawMs?: number
}

export interface Outcome {
  rounds: Round[]
  /** How often an older snapshot was unchanged again. */
  relapses: number
  /** Whether a new snapshot was unchanged, some time after the last round. */
  recovered: boolean
}

/** Times of one round. */
export interface Times {
  acknowledged: number
  thawed?: number
}

/** Fails and invalidates. Gives the time of the acknowledgement. */
type Strike = (scene: Scene, subject: Subject) => Promise<Times | number>
/** Back to health, so that the subject is listening and the next round can begin. */
type Heal = (scene: Scene, subject: Subject) => Promise<void>

/** Does `rounds` rounds with one subject. */
export async function repeat(
  scene: Scene,
  subject: Subject,
  rounds: number,
  strike: Strike,
  heal: Heal = async () => {},
): Promise<Outcome> {
  const outcome: Outcome = { rounds: [], relapses: 0, recovered: false }
  while (outcome.rounds.length < rounds) {
    await subject.watch()
    const begun = now()
    const struck = await strike(scene, subject)
    const { acknowledged, thawed } = typeof struck === 'number' ? { acknowledged: struck } : struck
    const { lastUnchanged, firstOther, verdict } = await subject.next('seen')
    await heal(scene, subject)
    // Something else made an end of it before anything was done: a machine too busy for these timings, say.
    if (firstOther < begun) continue
    const round: Round = { staleMs: Math.max(0, lastUnchanged - acknowledged), verdict }
    if (thawed !== undefined) {
      round.wrongAfterThawMs = Math.max(0, lastUnchanged - thawed)
      round.rightAfterThawMs = firstOther - thawed
    }
    outcome.rounds.push(round)
  }
  // It may be in another gap, on a machine too busy for these timings.
  for (const end = now() + RECOVERY_MS; !outcome.recovered && now() < end; await pass(10)) {
    const { relapses, fresh } = await subject.finish()
    outcome.relapses = relapses
    outcome.recovered = fresh === 'unchanged'
  }
  return outcome
}
