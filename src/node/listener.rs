//! The listener for JavaScript: its settings, its start and end, and the callbacks that tell of both.

use std::collections::HashMap;
use std::sync::Arc;

use napi::bindgen_prelude::*;
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::connection::{ListenerTimings, settings};
use super::feed::FeedHandle;
use super::values::{WeakCallback, duration, epoch_ms};
use crate::error::Error as CoreError;
use crate::feed::Feed;
use crate::listen::{self, Ask, Covers, Fence, InGap, Listener, SharedObserver, State};
use crate::payload;
use crate::queue::CallQueue;

/// A subscription, and the way to its connection.
pub(super) type ListenerHandle = External<AnsweringListener>;
type Question = External<Mutex<Option<oneshot::Sender<std::result::Result<String, String>>>>>;

/// A listener, and where its answers go.
pub struct AnsweringListener {
    listener: Listener,
    answers: Arc<CallQueue>,
}

impl AnsweringListener {
    /// One that answers through `feed`.
    pub(super) fn new(listener: Listener, feed: &Feed) -> ListenerHandle {
        External::new(Self { listener, answers: Arc::clone(feed.queue()) })
    }

    /// Subscribes to a channel on its connection.
    pub(super) fn subscribe(
        &self,
        channel: &str,
        observer: SharedObserver,
        limit_ms: f64,
    ) -> Result<Listener> {
        let subscribed = self.listener.subscribe(channel, observer, duration(limit_ms));
        subscribed.map_err(|error| Error::new(Status::InvalidArg, error.to_string()))
    }
}

/// How to listen, on a connection of its own.
#[napi(object, object_to_js = false)]
pub struct StartOptions<'a> {
    /// Without it, the connection has no channel but those that others subscribe to.
    pub hears_invalidations: bool,
    /// Connection settings by libpq's keywords, of which the first layer goes before the second, and so on.
    pub layers: Vec<HashMap<String, String>>,
    /// Answers requests for the password, before any that the layers have.
    #[napi(ts_type = "((question: Question) => void) | undefined")]
    pub ask_password: Option<Function<'a, Question, ()>>,
    /// Answers requests for the server that has to be the listener's.
    #[napi(ts_type = "((question: Question) => void) | undefined")]
    pub ask_server: Option<Function<'a, Question, ()>>,
    /// How long to wait for what.
    pub timings: ListenerTimings,
}

/// Attaches to the feed and starts the thread. The counters are unproven from this call on. `predecessor` is shut down,
/// and its end waited for.
#[napi(catch_unwind)]
pub fn start_listener(
    feed: &FeedHandle,
    options: StartOptions<'_>,
    predecessor: Option<&ListenerHandle>,
) -> Result<ListenerHandle> {
    let ask_password = options.ask_password.map(question).transpose()?;
    let ask_server = options.ask_server.map(question).transpose()?;
    let predecessor = predecessor.map(|handle| handle.listener.close());
    // Attached before anything can fail, so that a start that comes to nothing leaves the counters unproven.
    let observer = feed.attach();
    let started = (|| {
        let mut settings = settings(options.layers, options.timings)?;
        if let Some(ask) = ask_password {
            settings = settings.asking_password(ask);
        }
        if let Some(ask) = ask_server {
            settings = settings.expecting(ask);
        }
        let channel = options.hears_invalidations.then_some(payload::CHANNEL);
        Listener::spawn(settings, channel, Arc::clone(&observer), predecessor)
    })();
    let listener = started.unwrap_or_else(|error| Listener::failed(observer, &error));
    Ok(AnsweringListener::new(listener, feed))
}

/// Attaches to the feed and rides on the connection of `client`; gives up after `limit_ms`.
#[napi(catch_unwind)]
pub fn start_on_client(feed: &FeedHandle, client: &ListenerHandle, limit_ms: f64) -> Result<ListenerHandle> {
    Ok(AnsweringListener::new(client.subscribe(payload::CHANNEL, feed.attach(), limit_ms)?, feed))
}

/// What `start_listener` does when options are invalid, for a reason found before it came to that; without one, because
/// what it would ride on was shut down.
#[napi(catch_unwind)]
pub fn refuse_start(feed: &FeedHandle, message: Option<String>) -> ListenerHandle {
    let error = message.map_or(CoreError::Stopped, CoreError::InvalidOptions);
    AnsweringListener::new(Listener::failed(feed.attach(), &error), feed)
}

/// Answers when the listener is listening, or with the reason why it never will; with a limit, with a failure after that.
#[napi(catch_unwind)]
pub fn when_listening(handle: &ListenerHandle, id: u32, limit_ms: Option<f64>) {
    handle.answers.answer(id, handle.listener.until_listening(limit_ms.map(duration)), false);
}

/// Answers when all that was committed before this call has been handed on; or why that cannot be said.
///
/// With `after_lock` it also covers commits that are known by a lock they held. Without `wait_in_gap` it fails while the
/// listener is not listening. An answer `ahead` does not wait for calls that are queued.
#[napi(catch_unwind)]
pub fn fence(
    handle: &ListenerHandle,
    id: u32,
    ahead: bool,
    after_lock: bool,
    wait_in_gap: bool,
    limit_ms: f64,
) {
    let fence = Fence {
        covers: if after_lock { Covers::Released } else { Covers::Acknowledged },
        limit: duration(limit_ms),
        in_gap: if wait_in_gap { InGap::Wait } else { InGap::Fail },
    };
    handle.answers.answer(id, handle.listener.fence(fence), ahead);
}

/// The query that tells which server answers it.
#[napi(catch_unwind)]
pub fn identity_query() -> &'static str {
    listen::IDENTITY
}

/// Stops the listener and answers when its connection is closed, ahead of all that is queued.
#[napi(catch_unwind)]
pub fn shut_down(handle: &ListenerHandle, id: u32) {
    handle.answers.answer(id, handle.listener.close(), true);
}

/// Waits until the thread is gone: microseconds, once `shut_down` has answered.
#[napi(catch_unwind)]
pub fn join(handle: &ListenerHandle) {
    handle.listener.join();
}

/// Where a listener is in its life.
#[napi(object, object_from_js = false)]
pub struct ListenerState {
    /// The state's name.
    #[napi(ts_type = "'stopped' | 'connecting' | 'listening' | 'reconnecting'")]
    pub name: &'static str,
    /// Since when, in milliseconds since 1970.
    pub since: f64,
}

/// The listener's state.
#[napi(catch_unwind)]
pub fn listener_state(handle: &ListenerHandle) -> ListenerState {
    let (state, since) = handle.listener.state();
    let name = match state {
        State::Stopped => "stopped",
        State::Connecting => "connecting",
        State::Listening => "listening",
        State::Reconnecting => "reconnecting",
    };
    ListenerState { name, since: epoch_ms(since) }
}

/// Answers a question: with a text, or with the reason why there is none. Whether the answer is still waited for.
#[napi(catch_unwind)]
pub fn answer(question: &Question, text: Option<String>, failure: Option<String>) -> bool {
    let asker = question.lock().take();
    asker.is_some_and(|asker| asker.send(text.ok_or_else(|| failure.unwrap_or_default())).is_ok())
}

fn question(ask: Function<'_, Question, ()>) -> Result<Ask> {
    let ask: WeakCallback<Question> = ask.build_threadsafe_function().weak::<true>().build()?;
    Ok(Ask::new(move || {
        let (sender, receiver) = oneshot::channel();
        ask.call(External::new(Mutex::new(Some(sender))), ThreadsafeFunctionCallMode::NonBlocking);
        Box::pin(async { receiver.await.unwrap_or_else(|_| Err("it never answered".into())) })
    }))
}
