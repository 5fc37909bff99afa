// A process of the runner, from the inside: how it begins, and that it ends with its parent.

/** Hands a message over to the parent. */
export function tell(message: object): Promise<void> {
  // The parent may be gone before the message is sent, or while it is.
  return new Promise((resolve) => {
    if (process.connected) process.send?.(message, undefined, {}, () => resolve())
    else resolve()
  })
}

/** Runs `main` with the settings that the parent gave. */
export function child<S>(main: (settings: S) => Promise<void>): void {
  process.on('disconnect', () => process.exit())
  if (!process.connected) process.exit()
  // A Ctrl-C goes to all of them, and it is the parent that decides.
  process.on('SIGINT', () => {})
  // After the module that calls this has been read to its end.
  Promise.resolve()
    .then(() => main(JSON.parse(process.argv[2] ?? '') as S))
    .catch((error: unknown) => {
      console.error(error)
      process.exit(1)
    })
}
