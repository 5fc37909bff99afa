//! An answer that is waited for, from both its ends.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::unconstrained;
use tokio::time::Instant;

use crate::error::Error;

type Outcome = Result<(), Error>;

/// What comes of something that was asked of a listener. It is there to be awaited, blocked on, or passed on.
pub struct Reply(oneshot::Receiver<Outcome>);

impl Reply {
    /// An answer that is there already.
    pub(crate) fn known(outcome: Outcome) -> Self {
        let (asker, answer) = Waiter::new(Deadline::never());
        asker.answer(outcome);
        answer
    }

    /// Blocks until it is there. Not for a thread that drives a runtime.
    ///
    /// # Errors
    /// The answer, if it is one; [`Error::Gone`] if none ever comes.
    pub fn wait(self) -> Outcome {
        self.0.blocking_recv().unwrap_or(Err(Error::Gone))
    }

    /// Calls `told` when it is there: at once if it is, else on the listener's thread.
    pub fn then(self, told: impl FnOnce(Outcome) + Send + 'static) {
        Arc::new(Then(Mutex::new(Some((self, told))))).look();
    }
}

impl Future for Reply {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        // What its task may do at a time is not its concern.
        pin!(unconstrained(&mut self.0)).poll(cx).map(|answer| answer.unwrap_or(Err(Error::Gone)))
    }
}

struct Then<F>(Mutex<Option<(Reply, F)>>);

impl<F: FnOnce(Outcome) + Send + 'static> Then<F> {
    fn look(self: Arc<Self>) {
        let mut place = self.0.lock();
        let Some((answer, _)) = &mut *place else { return };
        let waker = Waker::from(Arc::clone(&self));
        if let Poll::Ready(outcome) = Pin::new(answer).poll(&mut Context::from_waker(&waker)) {
            let found = place.take();
            drop(place);
            if let Some((_, told)) = found {
                told(outcome);
            }
        }
    }
}

impl<F: FnOnce(Outcome) + Send + 'static> Wake for Then<F> {
    fn wake(self: Arc<Self>) {
        self.look();
    }
}

/// When a wait ends without what was waited for, and the error that it ends with.
pub(super) struct Deadline {
    /// `None` if that is further away than time goes.
    at: Option<Instant>,
    late: Error,
}

impl Deadline {
    /// So long from now.
    pub fn after(limit: Duration, late: Error) -> Self {
        Self { at: Instant::now().checked_add(limit), late }
    }

    pub fn never() -> Self {
        Self { at: None, late: Error::Gone }
    }

    pub fn at(&self) -> Option<Instant> {
        self.at
    }

    /// The error, once it is time for it.
    pub fn missed(&self, now: Instant) -> Option<&Error> {
        self.at.is_some_and(|at| at <= now).then_some(&self.late)
    }
}

/// The end of an answer that gives it.
pub(super) struct Waiter {
    pub deadline: Deadline,
    asker: oneshot::Sender<Outcome>,
}

impl Waiter {
    pub fn new(deadline: Deadline) -> (Self, Reply) {
        let (asker, answer) = oneshot::channel();
        (Self { deadline, asker }, Reply(answer))
    }

    pub fn answer(self, outcome: Outcome) {
        // It fails if the answer is waited for no more.
        let _ = self.asker.send(outcome);
    }

    /// Answers those of `waiters` for which it is time to give up.
    pub fn expire(waiters: &mut Vec<Self>, now: Instant) {
        for waiter in waiters.extract_if(.., |waiter| waiter.deadline.missed(now).is_some()) {
            let late = waiter.deadline.late.clone();
            waiter.answer(Err(late));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn an_answer_is_passed_on_whether_it_is_early_or_late() {
        let (sender, told) = mpsc::channel();
        let early = sender.clone();
        Reply::known(Ok(())).then(move |outcome| early.send(outcome.is_ok()).expect("it is waited for"));
        assert_eq!(told.try_recv(), Ok(true));
        let (waiter, answer) = Waiter::new(Deadline::never());
        answer.then(move |outcome| sender.send(outcome.is_ok()).expect("it is waited for"));
        assert!(told.try_recv().is_err());
        waiter.answer(Err(Error::Stopped));
        assert_eq!(told.try_recv(), Ok(false));
    }

    #[test]
    fn an_answer_that_never_comes_is_an_error() {
        let (sender, told) = mpsc::channel();
        let (waiter, answer) = Waiter::new(Deadline::never());
        answer.then(move |outcome| sender.send(outcome).expect("it is waited for"));
        drop(waiter);
        let outcome = told.try_recv().expect("it was told");
        assert_eq!(outcome.expect_err("there is none").code(), "PGGEN_THREAD");
        let (waiter, answer) = Waiter::new(Deadline::never());
        drop(waiter);
        assert!(matches!(answer.wait(), Err(Error::Gone)));
    }
}
