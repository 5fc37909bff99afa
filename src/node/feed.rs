//! The feed for JavaScript: what a listener heard, as objects, and the callback that says there is something.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use napi::bindgen_prelude::*;
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use parking_lot::Mutex;

use super::codec::ModuleCacheInvalidation;
use super::counters::CountersHandle;
use super::values::{Failure, WeakCallback, epoch_ms, ms};
use crate::feed::{Feed, FeedOptions, OnGap};
use crate::generations::Attachment;
use crate::malformed_throttle::MALFORMED_INTERVAL;
use crate::queue::{Answer, Item, Report};

pub(super) type FeedHandle = External<Arc<Feed>>;

/// By environment, the holds on counters that its feeds may leave behind.
static HELD: LazyLock<Mutex<HashMap<usize, Vec<Attachment>>>> = LazyLock::new(Mutex::default);

/// Has `attachment` leave when the environment ends. The finalizer of a feed cannot tell that end from a garbage
/// collection, after which the counters have to stay unproven.
fn leave_at_the_end(env: &Env, attachment: Attachment) -> Result<()> {
    let mut held = HELD.lock();
    let key = env.raw() as usize;
    if !held.contains_key(&key) {
        env.add_env_cleanup_hook(key, |key| {
            let attachments = HELD.lock().remove(&key);
            attachments.iter().flatten().for_each(Attachment::leave);
        })?;
    }
    let attachments = held.entry(key).or_default();
    if attachments.len() == attachments.capacity() {
        // What has left has no more use for its entry.
        attachments.retain(Attachment::holds);
        attachments.reserve(attachments.len().max(8));
    }
    attachments.push(attachment);
    Ok(())
}

/// Makes the feed of one listener or client. `wake` is called, from the event loop, when there is something to drain, and
/// with each answer that waits for nothing in the queue. The counters are unproven from this call on.
#[napi(catch_unwind)]
pub fn create_feed(
    env: &Env,
    counters: Option<&CountersHandle>,
    queue_calls: bool,
    max_queued_calls: u32,
    trust_gaps: bool,
    wake: Function<'_, Option<SettledAnswer>, ()>,
) -> Result<FeedHandle> {
    let wake: WeakCallback<Option<SettledAnswer>> =
        wake.build_threadsafe_function().weak::<true>().build()?;
    let options = FeedOptions {
        counters: counters.map(|counters| Arc::clone(counters)),
        queue_calls,
        max_queued_calls: max_queued_calls as usize,
        on_gap: if trust_gaps { OnGap::Trust } else { OnGap::Discard },
    };
    // The call fails only when the environment is going away, and then nothing is left to wake.
    let feed = Feed::new(options, move |ahead| {
        wake.call(ahead.map(Into::into), ThreadsafeFunctionCallMode::NonBlocking);
    });
    if let Some(attachment) = feed.waiting() {
        leave_at_the_end(env, attachment)?;
    }
    Ok(External::new(Arc::new(feed)))
}

/// The listener is shut down: if it was never started, its counters do not wait for that any more.
#[napi(catch_unwind)]
pub fn retire(feed: &FeedHandle) {
    feed.retire();
}

/// Handles one payload as if it had just been received, except for the calls into JavaScript; gives what there is to do.
#[napi(catch_unwind)]
pub fn dispatch(feed: &FeedHandle, payload: String) -> Option<FeedItem> {
    match feed.dispatch(&payload) {
        Ok(invalidation) => Some(Item::Call(invalidation.into_owned()).into()),
        Err(report) => Some(Item::Report { at: SystemTime::now(), report: report? }.into()),
    }
}

/// A report of malformed payloads holds back later ones for so long.
#[napi]
pub const MALFORMED_INTERVAL_MS: u32 = MALFORMED_INTERVAL.as_millis() as u32;

/// Queues the report of malformed payloads that is held back, if it is due; else gives in how many milliseconds it is.
#[napi(catch_unwind)]
pub fn report_malformed(feed: &FeedHandle) -> Option<f64> {
    feed.report_malformed().map(ms)
}

/// What came of something that was asked for.
#[napi(object, object_from_js = false)]
pub struct SettledAnswer {
    /// The number that it was asked under.
    pub id: u32,
    /// Why it came to nothing, if it did.
    pub failure: Option<Failure>,
}

impl From<Answer> for SettledAnswer {
    fn from(Answer { id, outcome }: Answer) -> Self {
        Self { id, failure: outcome.err().map(Into::into) }
    }
}

/// One thing to do: an event to tell the user of, which happened at a point in time in milliseconds since 1970; an
/// invalidation to replay; or a promise to settle.
#[napi(object_from_js = false, discriminant = "type", discriminant_case = "lowercase")]
pub enum FeedItem {
    Listening { at: f64 },
    Lost { at: f64, cause: String, code: String },
    Retrying { at: f64, attempt: u32, cause: String },
    Resynced { at: f64, gap_ms: f64 },
    Malformed { at: f64, payload: String, count: f64 },
    Overflow { at: f64, dropped: f64 },
    Stopped { at: f64 },
    Call { invalidation: ModuleCacheInvalidation },
    Answer { answer: SettledAnswer },
}

impl From<Item> for FeedItem {
    fn from(item: Item) -> Self {
        let (at, report) = match item {
            Item::Call(invalidation) => return Self::Call { invalidation: invalidation.into() },
            Item::Answer(answer) => return Self::Answer { answer: answer.into() },
            Item::Report { at, report } => (epoch_ms(at), report),
        };
        match report {
            Report::Listening => Self::Listening { at },
            Report::Lost { cause, code } => Self::Lost { at, cause, code: code.into() },
            Report::Retrying { attempt, cause } => Self::Retrying { at, attempt, cause },
            Report::Resynced { gap } => Self::Resynced { at, gap_ms: ms(gap) },
            Report::Malformed { payload, count } => Self::Malformed { at, payload, count: count as f64 },
            Report::Overflow { dropped } => Self::Overflow { at, dropped: dropped as f64 },
            Report::Stopped => Self::Stopped { at },
        }
    }
}

/// Takes everything there is to do, oldest first.
#[napi(catch_unwind)]
pub fn drain(feed: &FeedHandle) -> Vec<FeedItem> {
    feed.drain().map(Into::into).collect()
}

/// Counts since construction; times in milliseconds, points in time since 1970.
#[napi(object, object_from_js = false)]
pub struct FeedTally {
    /// Notifications on the channel.
    pub notifications: f64,
    /// Module URLs in them.
    pub module_bumps: f64,
    /// Realm invalidations.
    pub realm_bumps: f64,
    /// Global invalidations.
    pub global_bumps: f64,
    /// Payloads that are no invalidation.
    pub malformed: f64,
    /// Payloads that cannot be converted to UTF-8.
    pub undecodable: f64,
    /// Sessions lost.
    pub gaps: f64,
    /// Sessions replaced.
    pub reconnects: f64,
    /// The latest notification.
    pub last_notification_at: Option<f64>,
    /// The latest echo.
    pub last_echo_at: Option<f64>,
    /// How long it took.
    pub echo_round_trip_ms: Option<f64>,
    /// The session's backend.
    pub backend_pid: Option<i32>,
    /// The session's server.
    pub server: Option<String>,
}

/// The counts so far.
#[napi(catch_unwind)]
pub fn tally(feed: &FeedHandle) -> FeedTally {
    let tally = feed.tally();
    FeedTally {
        notifications: tally.notifications as f64,
        module_bumps: tally.module_bumps as f64,
        realm_bumps: tally.realm_bumps as f64,
        global_bumps: tally.global_bumps as f64,
        malformed: tally.malformed as f64,
        undecodable: tally.undecodable as f64,
        gaps: tally.gaps as f64,
        reconnects: tally.reconnects as f64,
        last_notification_at: tally.last_notification.map(epoch_ms),
        last_echo_at: tally.last_echo.map(epoch_ms),
        echo_round_trip_ms: tally.echo_round_trip.map(ms),
        backend_pid: tally.backend_pid,
        server: tally.server,
    }
}
