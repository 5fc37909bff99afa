/** Why a request cannot be answered as its sender would like, with the HTTP status that says so. */
export class Refusal extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}
