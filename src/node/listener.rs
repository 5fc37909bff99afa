//! The listener for JavaScript: its settings, its start and end, and the callbacks that tell of both.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::*;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::date::epoch_ms;
use super::feed::FeedHandle;
use crate::error::Error as CoreError;
use crate::feed::Feed;
use crate::listen::{
    self, Ask, Covers, Fence, Fields, InGap, Listener, Password, Pem, Settings, SharedObserver, State,
    Timings,
};
use crate::payload;
use crate::queue::CallQueue;

/// A subscription, and the way to its connection.
pub(super) type ListenerHandle = External<Handle>;
type Question = External<Mutex<Option<oneshot::Sender<std::result::Result<String, String>>>>>;

/// A listener, and where its answers go.
pub struct Handle {
    listener: Listener,
    answers: Arc<CallQueue>,
}

impl Handle {
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

/// Does not keep the event loop alive: a running listener must not keep a process from ending.
pub(super) type Weak<T> = ThreadsafeFunction<T, (), T, Status, false, true>;
/// Why something failed.
#[napi(object, object_from_js = false)]
pub struct Failure {
    /// Stable, for programs.
    pub code: String,
    /// For people.
    pub message: String,
    /// PostgreSQL's five characters, if the server reported the error.
    pub sql_state: Option<String>,
}

impl From<CoreError> for Failure {
    fn from(error: CoreError) -> Self {
        Self {
            code: error.code().into(),
            message: error.to_string(),
            sql_state: error.sql_state().map(str::to_owned),
        }
    }
}

/// One layer of connection settings, each as text.
#[napi(object, object_to_js = false)]
pub struct ConnectionLayer {
    /// A URL; what it says goes before the rest of its layer.
    pub url: Option<String>,
    /// Others, by libpq's keywords.
    pub settings: HashMap<String, String>,
    /// Root certificates in PEM.
    pub ssl_ca: Option<String>,
    /// Our certificate in PEM.
    pub ssl_cert: Option<String>,
    /// Its key in PEM.
    pub ssl_key: Option<String>,
    /// Whom the server's certificate has to be for.
    pub ssl_server_name: Option<String>,
}

impl TryFrom<ConnectionLayer> for Fields {
    type Error = CoreError;

    fn try_from(layer: ConnectionLayer) -> std::result::Result<Self, CoreError> {
        let mut url = layer.url.as_deref().map_or_else(|| Ok(Self::default()), Self::from_url)?;
        let mut beside = Self::default();
        for (keyword, value) in layer.settings {
            beside.set(&keyword, value);
        }
        // An address by itself is for the URL's host.
        if beside.host.is_none() {
            url.host_address = url.host_address.or(beside.host_address.take());
        }
        let pem = Self {
            ssl_root_cert: layer.ssl_ca.map(Pem::Text),
            ssl_cert: layer.ssl_cert.map(Pem::Text),
            ssl_key: layer.ssl_key.map(Pem::Text),
            ssl_server_name: layer.ssl_server_name,
            ..Self::default()
        };
        Ok(url.or(pem).or(beside))
    }
}

/// The keywords of libpq's settings, all of them.
#[napi(catch_unwind)]
pub fn connection_keywords() -> Vec<&'static str> {
    listen::keywords().collect()
}

/// How long to wait for what, in milliseconds.
#[napi(object, object_to_js = false)]
pub struct ListenerTimings {
    /// Between echoes.
    pub heartbeat_interval_ms: f64,
    /// For an echo.
    pub heartbeat_timeout_ms: f64,
    /// For the first LISTEN.
    pub connect_timeout_ms: f64,
    /// Between two attempts.
    pub reconnect_max_delay_ms: f64,
}

/// Attaches to the feed and starts the thread. The counters are unproven from this call on.
///
/// Of `layers` the first goes before the second, and so on; after the last come libpq's variables as `environment`
/// has them. `ask_password` answers requests for the password of layer `ask_password_layer`, and `ask_server` those for
/// the server that has to be the listener's. Without `hears_invalidations` the connection has no channel but those that
/// others subscribe to. `predecessor` is shut down, and its end waited for.
#[napi(catch_unwind, ts_return_type = "ListenerHandle")]
#[allow(clippy::too_many_arguments, reason = "one call from one place, and an object would say it all again")]
pub fn start_listener(
    #[napi(ts_arg_type = "FeedHandle")] feed: &FeedHandle,
    hears_invalidations: bool,
    layers: Vec<ConnectionLayer>,
    environment: HashMap<String, String>,
    #[napi(ts_arg_type = "((question: Question) => void) | undefined | null")] ask_password: Option<
        Function<'_, Question, ()>,
    >,
    ask_password_layer: u32,
    #[napi(ts_arg_type = "((question: Question) => void) | undefined | null")] ask_server: Option<
        Function<'_, Question, ()>,
    >,
    timings: ListenerTimings,
    #[napi(ts_arg_type = "ListenerHandle | undefined | null")] predecessor: Option<&ListenerHandle>,
) -> Result<ListenerHandle> {
    let ask = ask_password.map(question).transpose()?;
    let ask_server = ask_server.map(question).transpose()?;
    let predecessor = predecessor.map(|handle| handle.listener.close());
    // Attached before anything can fail, so that a start that comes to nothing leaves the counters unproven.
    let observer = feed.attach();
    let started = (|| {
        let mut fields = Fields::default();
        for (index, layer) in layers.into_iter().enumerate() {
            let mut layer = Fields::try_from(layer)?;
            if index == ask_password_layer as usize
                && let Some(ask) = &ask
            {
                layer.password.get_or_insert(Password::Ask(ask.clone()));
            }
            fields = fields.or(layer);
        }
        let fields = fields.or(Fields::from_env(|name| environment.get(name).cloned()));
        let mut settings = Settings::new(fields, timings.into())?;
        if let Some(ask) = ask_server {
            settings = settings.expecting(ask);
        }
        let channel = hears_invalidations.then_some(payload::CHANNEL);
        Listener::spawn(settings, channel, Arc::clone(&observer), predecessor)
    })();
    let listener = started.unwrap_or_else(|error| Listener::failed(observer, &error));
    Ok(Handle::new(listener, feed))
}

/// Attaches to the feed and rides on the connection of `client`; gives up after `limit_ms`.
#[napi(catch_unwind, ts_return_type = "ListenerHandle")]
pub fn start_on_client(
    #[napi(ts_arg_type = "FeedHandle")] feed: &FeedHandle,
    #[napi(ts_arg_type = "ListenerHandle")] client: &ListenerHandle,
    limit_ms: f64,
) -> Result<ListenerHandle> {
    Ok(Handle::new(client.subscribe(payload::CHANNEL, feed.attach(), limit_ms)?, feed))
}

/// What `start_listener` does when options are invalid, for a reason found before it came to that; without one, because
/// what it would ride on was shut down.
#[napi(catch_unwind, ts_return_type = "ListenerHandle")]
pub fn refuse_start(
    #[napi(ts_arg_type = "FeedHandle")] feed: &FeedHandle,
    message: Option<String>,
) -> ListenerHandle {
    let error = message.map_or(CoreError::Stopped, CoreError::InvalidOptions);
    Handle::new(Listener::failed(feed.attach(), &error), feed)
}

/// Answers when the listener is listening, or with the reason why it never will; with a limit, with a failure after that.
#[napi(catch_unwind)]
pub fn when_listening(
    #[napi(ts_arg_type = "ListenerHandle")] handle: &ListenerHandle,
    id: u32,
    limit_ms: Option<f64>,
) {
    handle.answers.answer(id, handle.listener.until_listening(limit_ms.map(duration)), false);
}

/// Answers when all that was committed before this call has been handed on; or why that cannot be said.
///
/// With `after_lock` it also covers commits that are known by a lock they held. Without `wait_in_gap` it fails while the
/// listener is not listening. An answer `ahead` does not wait for calls that are queued.
#[napi(catch_unwind)]
pub fn fence(
    #[napi(ts_arg_type = "ListenerHandle")] handle: &ListenerHandle,
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
pub fn shut_down(#[napi(ts_arg_type = "ListenerHandle")] handle: &ListenerHandle, id: u32) {
    handle.answers.answer(id, handle.listener.close(), true);
}

/// Waits until the thread is gone: microseconds, once `shut_down` has answered.
#[napi(catch_unwind)]
pub fn join(#[napi(ts_arg_type = "ListenerHandle")] handle: &ListenerHandle) {
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
pub fn listener_state(#[napi(ts_arg_type = "ListenerHandle")] handle: &ListenerHandle) -> ListenerState {
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
pub fn answer(
    #[napi(ts_arg_type = "Question")] question: &Question,
    text: Option<String>,
    failure: Option<String>,
) -> bool {
    let asker = question.lock().take();
    asker.is_some_and(|asker| asker.send(text.ok_or_else(|| failure.unwrap_or_default())).is_ok())
}

impl From<ListenerTimings> for Timings {
    fn from(timings: ListenerTimings) -> Self {
        Self {
            heartbeat_interval: duration(timings.heartbeat_interval_ms),
            heartbeat_timeout: duration(timings.heartbeat_timeout_ms),
            connect_timeout: duration(timings.connect_timeout_ms),
            reconnect_max_delay: duration(timings.reconnect_max_delay_ms),
        }
    }
}

pub(super) fn duration(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1e3).unwrap_or(Duration::MAX)
}

fn question(ask: Function<'_, Question, ()>) -> Result<Ask> {
    let ask: Weak<Question> = ask.build_threadsafe_function().weak::<true>().build()?;
    Ok(Ask::new(move || {
        let (sender, receiver) = oneshot::channel();
        ask.call(External::new(Mutex::new(Some(sender))), ThreadsafeFunctionCallMode::NonBlocking);
        Box::pin(async { receiver.await.unwrap_or_else(|_| Err("it never answered".into())) })
    }))
}
