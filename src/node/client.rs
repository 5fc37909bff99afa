//! Subscriptions for JavaScript: a channel, and the mailbox where its notifications wait for the event loop.

use std::sync::Arc;

use napi::bindgen_prelude::*;
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;

use super::feed::ms;
use super::listener::{Failure, ListenerHandle, Weak, duration, tell};
use crate::listen;
use crate::mailbox::{Mail, Mailbox, Message};

type MailboxHandle = External<Arc<Mailbox>>;

/// What is wrong with the name of a channel, if anything is.
#[napi(catch_unwind)]
pub fn check_channel(name: String) -> Option<String> {
    listen::check_channel(&name).err()
}

/// Makes the mailbox of one `NotificationClient`. `wake` is called, from the event loop, when there is something to
/// take.
#[napi(catch_unwind, ts_return_type = "MailboxHandle")]
pub fn create_mailbox(max_bytes: f64, wake: Function<'_, (), ()>) -> Result<MailboxHandle> {
    let wake: Weak<()> = wake.build_threadsafe_function().weak::<true>().build()?;
    // The call fails only when the environment is going away, and then there is nobody left to wake.
    let mailbox = Mailbox::new(max_bytes as usize, move || {
        wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
    });
    Ok(External::new(Arc::new(mailbox)))
}

/// Subscribes to a channel on the connection of `client`; gives up after `limit_ms`. What arrives comes to the mailbox
/// under `number`.
#[napi(catch_unwind, ts_return_type = "ListenerHandle | Failure")]
pub fn subscribe(
    #[napi(ts_arg_type = "ListenerHandle")] client: &ListenerHandle,
    #[napi(ts_arg_type = "MailboxHandle")] mailbox: &MailboxHandle,
    number: u32,
    channel: String,
    limit_ms: f64,
) -> Result<Either<ListenerHandle, Failure>> {
    let subscribed = client.subscribe(&channel, mailbox.slot(number), duration(limit_ms));
    Ok(match subscribed {
        Ok(subscription) => Either::A(External::new(subscription)),
        Err(error) => Either::B(error.into()),
    })
}

/// As `when_listening`, of a subscription, but with a failure after `limit_ms`.
#[napi(catch_unwind)]
pub fn when_subscribed(
    #[napi(ts_arg_type = "ListenerHandle")] subscription: &ListenerHandle,
    limit_ms: f64,
    #[napi(ts_arg_type = "(failure: Failure | undefined | null) => void")] callback: Function<
        '_,
        Option<Failure>,
        (),
    >,
) -> Result<()> {
    tell(subscription.until_listening(Some(duration(limit_ms))), callback)
}

/// Something for the handlers of one subscription: a notification if it has a payload, a loss if it has `dropped`, else
/// a gap.
#[napi(object, object_from_js = false)]
pub struct MailItem {
    /// The subscription's number.
    pub subscription: u32,
    /// The payload.
    pub payload: Option<String>,
    /// The backend that sent it.
    pub process_id: Option<i32>,
    /// How many notifications there was no room for.
    pub dropped: Option<f64>,
    /// How long nothing was heard.
    pub gap_ms: Option<f64>,
}

impl From<Mail> for MailItem {
    fn from(mail: Mail) -> Self {
        let mut item = Self {
            subscription: mail.subscription,
            payload: None,
            process_id: None,
            dropped: None,
            gap_ms: None,
        };
        match mail.message {
            Message::Notification { payload, process_id } => {
                item.payload = Some(payload);
                item.process_id = Some(process_id);
            }
            Message::Gap(gap) => item.gap_ms = Some(ms(gap)),
            Message::Overflow(dropped) => item.dropped = Some(dropped as f64),
        }
        item
    }
}

/// Takes the oldest mail, so many items at most.
#[napi(catch_unwind)]
pub fn take_mail(#[napi(ts_arg_type = "MailboxHandle")] mailbox: &MailboxHandle, most: u32) -> Vec<MailItem> {
    mailbox.take(most as usize).into_iter().map(Into::into).collect()
}

/// Counts since construction.
#[napi(object, object_from_js = false)]
pub struct MailboxTally {
    /// Notifications that arrived.
    pub notifications: f64,
    /// Those of them that were dropped.
    pub dropped: f64,
}

/// The counts so far.
#[napi(catch_unwind)]
pub fn mail_tally(#[napi(ts_arg_type = "MailboxHandle")] mailbox: &MailboxHandle) -> MailboxTally {
    let tally = mailbox.tally();
    MailboxTally { notifications: tally.notifications as f64, dropped: tally.dropped as f64 }
}
