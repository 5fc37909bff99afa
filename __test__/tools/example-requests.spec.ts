// What is asked of the example's realm servers by HTTP: what they count, and what they refuse.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { test } from 'node:test'
import { RealmServer, ground } from '../support/realm-server'

const of = (prefix: string, type: string, names: string): Record<string, string> =>
  Object.fromEntries(names.split(' ').map((name) => [`${prefix}_${name}`, type]))

const METRICS = {
  ...of('realm_server', 'counter', 'lookups_total builds_total persists_total invalidations_total'),
  ...of('realm_server', 'gauge', 'waiting_lookups'),
  ...of(
    'pg_generations',
    'counter',
    'notifications_total module_bumps_total realm_bumps_total global_bumps_total malformed_total gaps_total undecodable_total reconnects_total',
  ),
  ...of(
    'pg_generations',
    'gauge',
    'listening state_since_timestamp_seconds last_notification_timestamp_seconds last_echo_timestamp_seconds echo_round_trip_seconds',
  ),
}

for (const [mode, more] of [
  ['plain', []],
  ['strict', ['--strict']],
] as const) {
  test(`a realm server counts what it does, ${mode}`, async (t) => {
    const { args } = await ground(t)
    const a = await RealmServer.start(t, [...args, ...more])
    const text = await a.metrics()
    const types = Array.from(text.matchAll(/^# TYPE (\S+) (\S+)$/gm), ([, name, type]) => [name, type])
    assert.deepEqual(Object.fromEntries(types), METRICS)
    for (const line of text.split('\n')) {
      if (line !== '')
        assert.match(line, /^# (HELP|TYPE) \w+ .+$|^\w+(\{\w+="[\w-]+"\})? -?\d+(\.\d+)?(e[+-]\d+)?$/)
    }
    assert.equal((await fetch(`${a.url}/metrics`)).headers.get('content-type')?.split(';')[0], 'text/plain')

    const BUMPS = 'pg_generations_module_bumps_total'
    const bumps = await a.metric(BUMPS)
    await a.invalidate({ module: 'counted/app.gts' })
    await a.untilMetric(BUMPS, bumps + 1)
    assert.equal(await a.metric('pg_generations_listening'), 1)
  })

  test(`a realm server refuses what makes no sense, and goes on, ${mode}`, async (t) => {
    const { realms, args } = await ground(t)
    const a = await RealmServer.start(t, [...args, ...more])
    realms.write('agree/lib.gts', '')
    const post = (body: string) => ({ method: 'POST', body })
    const here = '/invalidate'
    for (const [status, path, init] of [
      [404, '/'],
      [404, '/lookup'],
      [404, '//'],
      [400, '/lookup/'],
      [400, '/lookup/realm'],
      [400, '/lookup/realm/'],
      [400, '/lookup/.hidden/app.gts'],
      [400, '/lookup/realm/.hidden'],
      [400, '/lookup/realm//app.gts'],
      [400, '/lookup/realm/%00'],
      [400, '/lookup/realm/..%2f..%2fetc%2fpasswd'],
      [404, `/lookup/realm/${'a'.repeat(4_000)}`],
      [404, '/lookup/realm/nothing.gts'],
      [404, '/lookup/agree/lib.gts/lib.gts'],
      [405, '/lookup/agree/lib.gts', { method: 'DELETE' }],
      [405, '/invalidate'],
      [405, '/health', post('')],
      [405, '/metrics', post('')],
      [400, here, post('')],
      [400, here, post('{')],
      [400, here, post('null')],
      [400, here, post('[]')],
      [400, here, post('{}')],
      [400, here, post('{"module": 1}')],
      [400, here, post('{"module": "realm"}')],
      [400, here, post('{"module": "realm/../../etc/passwd"}')],
      [400, here, post('{"realm": "../etc"}')],
      [400, here, post('{"realm": ""}')],
      [400, here, post('{"everything": false}')],
      [400, here, post('{"realm": "agree", "everything": true}')],
      [400, here, post('{"elephant": "agree"}')],
      [413, here, post(JSON.stringify({ module: `realm/${'a'.repeat(1_000_000)}` }))],
    ] satisfies [number, string, RequestInit?][]) {
      const answer = await a.ask(path, init)
      assert.equal(answer.status, status, `${path} ${String(init?.body).slice(0, 80)}`)
      assert.equal(typeof answer.body.error, 'string')
    }
    realms.write('outside/app.gts', `import '../../../../etc/passwd'\n`)
    assert.equal((await a.lookUp('outside/app.gts')).status, 404)
    realms.write('outside/app.gts', `import 'http://elsewhere.example/app.gts'\n`)
    assert.equal((await a.lookUp('outside/app.gts')).status, 422)
    // No client would send that.
    const passwd = ['../../../etc/passwd', 'realm/../../../etc/passwd', 'realm/%2e%2e/%2e%2e/etc/passwd']
    for (const path of passwd) assert.equal(await statusOf(a, `/lookup/${path}`), 400)
    assert.equal((await a.ask('/health')).status, 200)
  })
}

async function statusOf(server: RealmServer, path: string): Promise<number | undefined> {
  const { hostname, port } = new URL(server.url)
  const asked = request({ hostname, port, path }).end()
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  response.resume()
  return response.statusCode
}
