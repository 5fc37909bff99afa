// The process whose belief is measured: listeners, counters, and a watcher of them.
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { GenerationCounters, ModuleCacheInvalidationListener } from 'pg-generations'
import type { FromSubject, Setup, ToSubject } from './protocol'
import { Watcher } from './watcher'

const generations = GenerationCounters.shared()

if (isMainThread) void listen(JSON.parse(process.argv[2] ?? '') as Setup)
else {
  obey(parentPort!, (workerData as Setup).gaze, (message) => parentPort!.postMessage(message))
  parentPort!.postMessage('ready')
}

async function listen(setup: Setup): Promise<void> {
  const listeners = setup.urls.map((url) => makeListener(url, setup))
  const backendPids = (): number[] => listeners.map((listener) => listener.stats().backendPid ?? 0)

  function makeListener(connectionString: string, { intervalMs, deadlineMs }: Setup) {
    return new ModuleCacheInvalidationListener({
      generations,
      // How quickly it recovers is not the subject, and the fault goes away only when the belief has ended.
      connection: { connectionString, connectionTimeoutMillis: 1_000 },
      reconnectMaxDelayMs: 200,
      heartbeatIntervalMs: intervalMs,
      heartbeatTimeoutMs: deadlineMs,
      onEvent: ({ type }) => {
        if (type === 'lost') post({ type })
        if (type === 'resynced') post({ type, backendPids: backendPids() })
      },
    })
  }

  if (setup.inWorker) await relay(setup)
  else obey(process, setup.gaze, post)
  await Promise.all(listeners.map((listener) => listener.start()))
  post({ type: 'listening', backendPids: backendPids() })
}

/** Has another thread look. */
async function relay(setup: Setup): Promise<void> {
  // A thread does not inherit what reads TypeScript.
  const source = `require('tsx/cjs'); require(${JSON.stringify(__filename)})`
  const worker = new Worker(source, { eval: true, workerData: setup })
  await new Promise((resolve) => worker.once('message', resolve))
  worker.on('message', (message: FromSubject) => post(message))
  process.on('message', (message: ToSubject) => worker.postMessage(message))
}

function obey(
  parent: { on(event: 'message', heed: (message: ToSubject) => void): unknown },
  gaze: Setup['gaze'],
  tell: (message: FromSubject) => void,
): void {
  const watcher = new Watcher(generations, gaze, (message, posted) => {
    tell(message)
    // In a turn of its own, with the message on its way.
    if (posted) setTimeout(posted, 1)
  })
  parent.on('message', ({ type }) => watcher[type]())
}

function post(message: FromSubject): void {
  process.send!(message)
}
