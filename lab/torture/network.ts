// The network: ways to the server that can fail, in a process of its own, so that nobody's busy JavaScript holds it up.
import { Proxy } from '../../testkit/proxy'
import { child, tell } from './child'
import type { NetworkSettings, ToNetwork } from './messages'

child(async ({ url, ways }: NetworkSettings) => {
  const proxies = await Promise.all(Array.from({ length: ways }, () => Proxy.to(url)))
  process.on('message', ({ way, fault }: ToNetwork) => {
    const proxy = proxies[way]
    if (!proxy) return
    const [what, ...direction] = fault.split(' ')
    if (what === 'heal') void proxy.heal()
    else if (what === 'reset') proxy.reset()
    else if (what === 'cut') proxy.cut()
    else if (what === 'swallow' || what === 'hold') proxy[what](direction.join(' ') as 'both')
  })
  await tell({ type: 'ready', urls: proxies.map((proxy) => proxy.url(url)) })
})
