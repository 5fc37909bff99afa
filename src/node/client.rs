//! Subscriptions for JavaScript: a channel, and the queue where its notifications wait for the event loop.

use std::sync::Arc;

use napi::bindgen_prelude::*;
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;

use super::feed::FeedHandle;
use super::listener::{AnsweringListener, ListenerHandle};
use super::values::{WeakCallback, ms};
use crate::listen;
use crate::queue::{Content, Delivery, NotificationQueue};

type NotificationQueueHandle = External<Arc<NotificationQueue>>;

/// What is wrong with the name of a channel, if anything is.
#[napi(catch_unwind)]
pub fn check_channel(name: String) -> Option<String> {
    listen::check_channel(&name).err()
}

/// Makes the queue of one `NotificationClient`. `wake` is called, from the event loop, when there is something to take.
#[napi(catch_unwind)]
pub fn create_notification_queue(
    max_bytes: f64,
    wake: Function<'_, (), ()>,
) -> Result<NotificationQueueHandle> {
    let wake: WeakCallback<()> = wake.build_threadsafe_function().weak::<true>().build()?;
    // The call fails only when the environment is going away, and then nothing is left to wake.
    let queue = NotificationQueue::new(max_bytes as usize, move || {
        wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
    });
    Ok(External::new(Arc::new(queue)))
}

/// Subscribes to a channel on the connection of `client`; gives up after `limit_ms`. What arrives comes to the queue
/// under `number`, and answers come through `feed`.
#[napi(catch_unwind)]
pub fn subscribe(
    client: &ListenerHandle,
    feed: &FeedHandle,
    queue: &NotificationQueueHandle,
    number: u32,
    channel: String,
    limit_ms: f64,
) -> Result<ListenerHandle> {
    Ok(AnsweringListener::new(client.subscribe(&channel, queue.slot(number), limit_ms)?, feed))
}

/// Something for the handlers of one subscription: a notification, or, with a reason, that some were not heard.
#[napi(object_from_js = false, discriminant = "reason", discriminant_case = "lowercase")]
pub enum DeliveryItem {
    /// A notification arrived.
    Notification { subscription: u32, payload: String, process_id: i32 },
    /// Nothing was heard for a while.
    Reconnected { subscription: u32, gap_ms: f64 },
    /// Some were dropped.
    Overflow { subscription: u32, dropped: f64 },
}

impl From<Delivery> for DeliveryItem {
    fn from(Delivery { subscription, content }: Delivery) -> Self {
        match content {
            Content::Notification { payload, process_id } => {
                Self::Notification { subscription, payload, process_id }
            }
            Content::Gap(gap) => Self::Reconnected { subscription, gap_ms: ms(gap) },
            Content::Overflow(dropped) => Self::Overflow { subscription, dropped: dropped as f64 },
        }
    }
}

/// Takes the oldest, so many at most.
#[napi(catch_unwind)]
pub fn take_deliveries(queue: &NotificationQueueHandle, most: u32) -> Vec<DeliveryItem> {
    queue.take(most as usize).into_iter().map(Into::into).collect()
}

/// Counts since construction.
#[napi(object, object_from_js = false)]
pub struct DeliveryCounts {
    /// Notifications that arrived.
    pub notifications: f64,
    /// Those of them that were dropped.
    pub dropped: f64,
}

/// The counts so far.
#[napi(catch_unwind)]
pub fn delivery_counts(queue: &NotificationQueueHandle) -> DeliveryCounts {
    let tally = queue.tally();
    DeliveryCounts { notifications: tally.notifications as f64, dropped: tally.dropped as f64 }
}
