//! The listener's thread, which owns all that is to be known of its connection: one session after another, until it is
//! told to end.

use std::cell::RefCell;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::unconstrained;
use tokio::time::Instant;

use super::actor::{Actor, Life, Request};
use super::connect::Settings;
use super::deadlines::{sleep, timeout_at};
use super::event::Event;
use super::lineage::Lineage;
use super::login::Login;
use super::park::with_bell;
use super::session::Session;
use super::subscriptions::Subscription;
use super::thread::{panic_text, with_runtime};
use crate::error::Error;

/// The first pause after a loss is between this and twice this.
const FIRST_PAUSE: Duration = Duration::from_millis(25);

pub(super) struct Supervisor {
    requests: UnboundedReceiver<Request>,
    actor: RefCell<Actor>,
    sessions: Sessions,
}

/// What it takes to make one session after another.
struct Sessions {
    settings: Settings,
    current: Option<Session>,
    lineage: Lineage,
    /// Attempts that failed in a row.
    failed: u32,
    /// Why the latest did, to be told when a start runs out of time in the middle of the next.
    last_failure: Option<Error>,
    pauses: ExponentialBackoff,
}

impl Supervisor {
    pub fn new(settings: Settings, requests: UnboundedReceiver<Request>, first: Subscription) -> Self {
        let deadline = Instant::now() + settings.timings.connect_timeout;
        let pauses = pauses(settings.timings.reconnect_max_delay);
        let (current, lineage, failed, last_failure) = (None, Lineage::default(), 0, None);
        let sessions = Sessions { settings, current, lineage, failed, last_failure, pauses };
        Self { requests, actor: RefCell::new(Actor::new(first, deadline)), sessions }
    }

    pub fn run(mut self) {
        if let Err(hopeless) = guarded(|| self.listen_for_ever()).and_then(|outcome| outcome) {
            // There is nothing left to do if an observer panics even now; the answers are given all the same.
            let _ = guarded(|| self.actor.borrow_mut().end(&hopeless));
        }
        self.requests.close();
        while let Ok(request) = self.requests.try_recv() {
            let _ = guarded(|| self.actor.borrow_mut().take(request));
        }
        let _ = guarded(|| self.actor.borrow_mut().subscriptions.end_all());
    }

    /// One session after another, until it is told to end or, at the start, until it is hopeless.
    fn listen_for_ever(&mut self) -> Result<(), Error> {
        with_runtime(|runtime| {
            let outcome = self.sessions(runtime);
            if let Some(session) = self.sessions.current.take() {
                runtime.block_on(session.login.close());
            }
            outcome
        })?
    }

    fn sessions(&mut self, runtime: &Runtime) -> Result<(), Error> {
        let Self { requests, actor, sessions } = self;
        loop {
            // A panic is a loss like any other: it ends the session, not the listener.
            let ended =
                guarded(|| runtime.block_on(with_bell(attended(actor, requests, sessions.session(actor)))));
            let error = match ended {
                Ok(None) => return Ok(()),
                // Nor does it undo what it comes from.
                Err(_) if matches!(actor.borrow().life, Life::Ending(_)) => return Ok(()),
                Ok(Some(Err(error))) | Err(error) => error,
            };
            sessions.current = None;
            // Nor does a panic of an observer that is told of it.
            let pause = match guarded(|| sessions.after(&error, actor)) {
                Ok(pause) => pause?,
                Err(_) => sessions.pause(),
            };
            let paused =
                guarded(|| runtime.block_on(async { attended(actor, requests, sleep(pause)).await }));
            if matches!(paused, Ok(None)) || matches!(actor.borrow().life, Life::Ending(_)) {
                return Ok(());
            }
        }
    }
}

impl Sessions {
    /// One session from its first packet to its loss.
    async fn session(&mut self, actor: &RefCell<Actor>) -> Result<Infallible, Error> {
        let start = match actor.borrow().life {
            Life::Starting { deadline } => Some(deadline),
            _ => None,
        };
        let set_up = async {
            let login = Login::connect(&self.settings, &mut self.lineage).await?;
            let channels = actor.borrow().subscriptions.kept();
            self.current.insert(Session::new(login)).listen(&self.settings, channels, actor).await
        };
        match start {
            Some(deadline) => {
                let limit = self.settings.timings.connect_timeout;
                timeout_at(deadline, set_up).await.unwrap_or_else(|_| {
                    let late = Error::Timeout { address: "the server".into(), step: "the start", limit };
                    Err(self.last_failure.take().unwrap_or(late))
                })?;
            }
            None => set_up.await?,
        }
        let session = self.current.as_mut().ok_or(Error::ConnectionClosed)?;
        actor.borrow_mut().listening(session.login.backend_pid, session.login.identity.as_deref());
        self.failed = 0;
        self.last_failure = None;
        session.run(&self.settings, actor).await
    }

    /// Tells of the end of a session or of an attempt, and says how long to pause before the next; or that there is
    /// no point in one.
    fn after(&mut self, error: &Error, actor: &RefCell<Actor>) -> Result<Duration, Error> {
        let now = Instant::now();
        let mut actor = actor.borrow_mut();
        if let Life::Listening { since, .. } = actor.life {
            actor.lost(error);
            // A session that ends as soon as it is set up must not make us hammer the server.
            let cap = self.settings.timings.reconnect_max_delay;
            if now - since > cap {
                self.pauses = pauses(cap);
            }
            return Ok(self.pause());
        }
        self.failed += 1;
        let pause = self.pause();
        if let Life::Starting { deadline } = actor.life
            && (!error.may_heal() || now + pause >= deadline)
        {
            return Err(error.clone());
        }
        self.last_failure = Some(error.clone());
        if self.failed.is_power_of_two() {
            actor.subscriptions.tell(Event::Retrying { attempt: self.failed, error });
        }
        Ok(pause)
    }

    fn pause(&mut self) -> Duration {
        self.pauses.next().unwrap_or(self.settings.timings.reconnect_max_delay)
    }
}

/// Does `work`, and meanwhile takes commands and keeps deadlines, also when the work does all that a task may do at a
/// time. `None` if it is told to end.
async fn attended<T>(
    actor: &RefCell<Actor>,
    requests: &mut UnboundedReceiver<Request>,
    work: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        () = unconstrained(Actor::attend(actor, requests)) => None,
        output = work => Some(output),
    }
}

/// A panic, ours or an observer's, becomes an error; the process goes on.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| Error::Panic(panic_text(&*panic)))
}

/// Exponential, jittered, and never longer than `cap`.
fn pauses(cap: Duration) -> ExponentialBackoff {
    // The library's jitter adds up to the pause itself on top of it.
    let longest = cap / 2;
    ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE.min(longest))
        .with_max_delay(longest)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc::unbounded_channel;
    use tokio::task::consume_budget;

    use super::super::actor::Command;
    use super::super::fence::{Covers, Fence, InGap};
    use super::super::reader::Deaf;
    use super::super::state::SubscriptionState;
    use super::super::subscriptions::Phase;
    use super::super::waiter::Waiter;
    use super::*;

    #[test]
    fn deadlines_are_kept_whatever_the_work_does() {
        let state = Arc::new(SubscriptionState::new(0, Arc::new(Deaf)));
        let first = Subscription::new(None, Arc::clone(&state), Phase::Kept);
        let actor = RefCell::new(Actor::new(first, Instant::now()));
        let (sender, mut requests) = unbounded_channel();
        let (told, receiver) = std::sync::mpsc::channel();
        let fence =
            Fence { covers: Covers::Acknowledged, limit: Duration::from_millis(10), in_gap: InGap::Wait };
        let (waiter, answer) = Waiter::new(fence.deadline());
        answer.then(move |outcome| told.send(outcome).expect("it is waited for"));
        let command = Command::Fence(fence, waiter);
        assert!(sender.send(Request { subscription: state, command }).is_ok());
        // As the reading of a socket on which there is always more.
        let busy = async {
            let began = Instant::now();
            loop {
                if let Ok(outcome) = receiver.try_recv() {
                    return outcome;
                }
                assert!(began.elapsed() < Duration::from_secs(30), "the fence never expired");
                consume_budget().await;
            }
        };
        let outcome = with_runtime(|runtime| runtime.block_on(attended(&actor, &mut requests, busy)));
        assert!(matches!(outcome.expect("a runtime"), Some(Err(Error::FenceTimeout { .. }))));
    }

    #[test]
    fn pauses_grow_to_their_cap_and_no_further() {
        for cap in [1, 20, 5_000, 60_000].map(Duration::from_millis) {
            let pauses: Vec<_> = pauses(cap).take(1_000).collect();
            assert_eq!(pauses.len(), 1_000);
            assert!(pauses.iter().all(|&pause| !pause.is_zero() && pause <= cap), "{cap:?}: {pauses:?}");
            assert!(pauses[20..].iter().all(|&pause| pause >= cap / 2), "{cap:?}: {pauses:?}");
        }
    }
}
