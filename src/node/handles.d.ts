declare const kind: unique symbol
/** Native counters. */
export type CountersHandle = { readonly [kind]: 'counters' }
/** The native feed of one listener object. */
export type FeedHandle = { readonly [kind]: 'feed' }
/** A running native listener. */
export type ListenerHandle = { readonly [kind]: 'listener' }
/** Where the answer to one request for a password goes. */
export type PasswordReply = { readonly [kind]: 'password reply' }
/** Notifications that JavaScript has yet to hear. */
export type MailboxHandle = { readonly [kind]: 'mailbox' }
