/** Whole numbers below a bound, the same ones for the same seed (mulberry32). */
export function randomFrom(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

/** A payload, mostly damaged: by what a fuzzer does to text, and by what only someone who knows JSON does. */
export function mutate(random: (below: number) => number): string {
  const pick = <T>(choices: readonly T[]): T => choices[random(choices.length)]!
  const chance = (percent: number) => random(100) < percent

  const usual = ['http://r/', ...'aé😀"\\\u2028\u0000\u007f']
  const unusual = ['', '\n', '__proto__', '\ud800', 'x\udc00']
  // Some strings are spelled in escapes throughout, as no encoder of ours does but any peer may.
  const quote = (string: string) =>
    chance(75)
      ? JSON.stringify(string)
      : `"${Array.from({ length: string.length }, (_, i) => escaped(string.charCodeAt(i))).join('')}"`
  const escaped = (unit: number) => {
    const hex = unit.toString(16).padStart(4, '0')
    return `\\u${chance(50) ? hex : hex.toUpperCase()}`
  }
  const url = () => quote(pick(chance(96) ? usual : unusual))
  const list = () =>
    `[${Array.from({ length: chance(95) ? 1 + random(3) : 0 }, url).join(pick([',', ', ']))}]`
  const nested = () => {
    const depth = 1 + random(chance(5) ? 2_000 : 4)
    return `${'['.repeat(depth)}${']'.repeat(depth)}`
  }
  const junk = () =>
    pick([
      () => pick(['0', '-0', '1e999', '-1E-9', '01', '1.', '-', '.5', '12345678901234567890', 'NaN']),
      () => pick(['null', 'true', 'false', 'nul', 'True', '{}', '{"k":"global"}', '{"":{"":[{}]}}', '[,]']),
      nested,
      url,
      list,
    ])()
  const space = () =>
    chance(90) ? '' : pick(chance(95) ? [' ', '\t', '\r\n', '  '] : ['\u000b', '\u00a0', '\ufeff'])
  const member = (key: string, value: string) =>
    `${space()}${quote(key)}${space()}:${space()}${value}${space()}`
  const kind = () => pick(['module', 'realm', 'global'] as const)
  const field = (key: 'k' | 'r' | 'm', value: () => string) => member(key, chance(95) ? value() : junk())
  const fields = {
    k: () => field('k', () => quote(kind())),
    r: () => field('r', url),
    m: () => field('m', list),
  }
  const payload = () => {
    const k = kind()
    const members = [field('k', () => quote(k))]
    if (k !== 'global') members.push(fields.r())
    if (k === 'module') members.push(fields.m())
    for (let extra = chance(50) ? random(4) : 0; extra > 0; extra--) {
      const another = chance(50)
        ? fields[pick(['k', 'r', 'm'] as const)]()
        : member(pick(['x', 'K', ...usual, ...unusual]), junk())
      members.splice(random(members.length + 1), 0, another)
    }
    return `${space()}{${members.join(',')}}${space()}`
  }

  let damaged = payload()
  const structure = [' ', ...'{ } [ ] , : " \\ \\u \\u0 \\ud83d 0 e - \u0001 \ud83d 😀'.split(' ')]
  for (let damage = chance(50) ? 1 + random(3) : 0; damage > 0; damage--) {
    const at = random(damaged.length + 1)
    const to = at + random(4)
    damaged = pick([
      () => damaged.slice(0, at) + pick(structure) + damaged.slice(at),
      () => damaged.slice(0, at) + pick(structure) + damaged.slice(to),
      () => damaged.slice(0, at) + damaged.slice(to),
      () =>
        damaged.slice(0, at) +
        String.fromCharCode(damaged.charCodeAt(at) ^ (1 << random(8))) +
        damaged.slice(at + 1),
      () => damaged.slice(0, at) + damaged.slice(at, to) + damaged.slice(at),
      () => damaged.slice(0, at),
      () => {
        const other = payload()
        return damaged.slice(0, at) + other.slice(random(other.length + 1))
      },
    ])()
  }
  return damaged
}
