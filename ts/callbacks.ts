/**
 * Calls a function of the user's. What it throws, or what a promise that it returns rejects with, is handed to `failed`
 * and goes no further: neither ends the process. `failed` must not throw.
 */
export function callBack(call: () => unknown, failed: (error: unknown) => void): void {
  try {
    const result = call()
    if (isThenable(result)) void watch(result, failed)
  } catch (error) {
    failed(error)
  }
}

async function watch(result: PromiseLike<unknown>, failed: (error: unknown) => void): Promise<void> {
  try {
    await result
  } catch (error) {
    failed(error)
  }
}

/** Throws what a getter of `then` throws. */
function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
}
