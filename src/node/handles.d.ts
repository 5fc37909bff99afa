declare const kind: unique symbol
/** Native counters. */
export type CountersHandle = { readonly [kind]: 'counters' }
/** The native feed of one listener object. */
export type FeedHandle = { readonly [kind]: 'feed' }
/** A running native listener. */
export type ListenerHandle = { readonly [kind]: 'listener' }
/** A question of native code's, which waits for its answer. */
export type Question = { readonly [kind]: 'question' }
/** Notifications that JavaScript has yet to hear. */
export type NotificationQueueHandle = { readonly [kind]: 'notifications' }
/** A string that is only looked at. */
export type SmallString = string
