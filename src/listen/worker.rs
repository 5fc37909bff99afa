//! The listener's thread: one session after another, until it is told to stop.

use std::any::Any;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::runtime::Runtime;
use tokio::task::unconstrained;
use tokio::time::{sleep, timeout_at};

use super::connect::Settings;
use super::lineage::Lineage;
use super::session::Session;
use super::{Event, Shared, Sink, State, thread};
use crate::error::Error;

/// The first pause after a loss is between this and twice this.
const FIRST_PAUSE: Duration = Duration::from_millis(25);

pub(super) struct Worker {
    settings: Settings,
    shared: Arc<Shared>,
    session: Option<Session>,
    lineage: Lineage,
    phase: Phase,
    /// Attempts that failed in a row.
    failed: u32,
    /// Why the latest did, to be told when a start runs out of time in the middle of the next.
    last_failure: Option<Error>,
    pauses: ExponentialBackoff,
}

/// What the next session, or the end of this one, means.
enum Phase {
    /// Never listened yet; gives up at the deadline.
    Starting {
        deadline: Instant,
    },
    Listening {
        since: Instant,
    },
    /// Nothing was heard since; never gives up.
    Gap {
        since: Instant,
    },
}

impl Worker {
    pub fn new(settings: Settings, shared: Arc<Shared>) -> Self {
        let deadline = Instant::now() + settings.timings.connect_timeout;
        let pauses = pauses(settings.timings.reconnect_max_delay);
        let phase = Phase::Starting { deadline };
        Self {
            settings,
            shared,
            session: None,
            lineage: Lineage::default(),
            phase,
            failed: 0,
            last_failure: None,
            pauses,
        }
    }

    pub fn run(mut self) {
        if let Err(hopeless) = self.guarded(Self::listen_for_ever).and_then(|outcome| outcome) {
            // Nobody is left to tell if the sink panics even now; those who wait are told all the same.
            let _ = self.guarded(|worker| worker.shared.channels.event(Event::Failed { error: &hopeless }));
            self.shared.settle(State::Stopped, &Err(hopeless));
        }
        let _ = self.guarded(|worker| worker.shared.channels.event(Event::Stopped));
        self.shared.end();
    }

    /// One session after another, until stopped or, at the start, until hopeless.
    fn listen_for_ever(&mut self) -> Result<(), Error> {
        thread::with_runtime(|runtime| {
            let outcome = self.sessions(runtime);
            if let Some(session) = self.session.take() {
                runtime.block_on(session.close());
            }
            outcome
        })?
    }

    fn sessions(&mut self, runtime: &Runtime) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let stop = &shared.stop;
        loop {
            // A panic is a loss like any other: it ends the session, not the listener.
            let ended = self.guarded(|worker| {
                runtime.block_on(stop.run_until_cancelled(watched(&shared, worker.session())))
            });
            let error = match ended {
                Ok(None) => return Ok(()),
                Ok(Some(Err(error))) | Err(error) => error,
            };
            self.session = None;
            // Nor does a panic of the sink that is told of it.
            let pause = match self.guarded(|worker| worker.after(&error)) {
                Ok(pause) => pause?,
                Err(_) => self.pause(),
            };
            let paused = async { stop.run_until_cancelled(watched(&shared, sleep(pause))).await };
            if runtime.block_on(paused).is_none() {
                return Ok(());
            }
        }
    }

    /// One session from its first packet to its loss.
    async fn session(&mut self) -> Result<Infallible, Error> {
        let set_up = async {
            let session = self.session.insert(Session::connect(&self.settings, &mut self.lineage).await?);
            session.listen(&self.settings, &self.shared.channels).await
        };
        match self.phase {
            Phase::Starting { deadline } => {
                let limit = self.settings.timings.connect_timeout;
                timeout_at(deadline.into(), set_up).await.unwrap_or_else(|_| {
                    let late = Error::Timeout { address: "the server".into(), step: "the start", limit };
                    Err(self.last_failure.take().unwrap_or(late))
                })?;
            }
            Phase::Listening { .. } | Phase::Gap { .. } => set_up.await?,
        }
        let session = self.session.as_mut().ok_or(Error::ConnectionClosed)?;
        let (backend_pid, server) = (session.backend_pid(), session.identity());
        let event = match self.phase {
            Phase::Starting { .. } | Phase::Listening { .. } => Event::Listening { backend_pid, server },
            Phase::Gap { since } => Event::Resynced { gap: since.elapsed(), backend_pid, server },
        };
        // Before it is told: a sink that panics on it has ended a session like any other.
        self.phase = Phase::Listening { since: Instant::now() };
        self.shared.enter_listening(|| self.shared.channels.event(event));
        self.failed = 0;
        self.last_failure = None;
        self.shared.settle(State::Listening, &Ok(()));
        session.run(&self.settings, &self.shared.fences, &self.shared.channels).await
    }

    /// Tells of the end of a session or of an attempt, and says how long to pause before the next; or that there is
    /// no point in one.
    fn after(&mut self, error: &Error) -> Result<Duration, Error> {
        let now = Instant::now();
        if let Phase::Listening { since } = self.phase {
            self.phase = Phase::Gap { since: now };
            self.shared.enter_gap();
            self.shared.channels.event(Event::Lost { error });
            // A session that ends as soon as it is set up must not make us hammer the server.
            let cap = self.settings.timings.reconnect_max_delay;
            if now - since > cap {
                self.pauses = pauses(cap);
            }
            return Ok(self.pause());
        }
        self.failed += 1;
        let pause = self.pause();
        if let Phase::Starting { deadline } = self.phase
            && (!error.may_heal() || now + pause >= deadline)
        {
            return Err(error.clone());
        }
        if self.failed.is_power_of_two() {
            self.shared.channels.event(Event::Retrying { attempt: self.failed, error });
        }
        self.last_failure = Some(error.clone());
        Ok(pause)
    }

    fn pause(&mut self) -> Duration {
        self.pauses.next().unwrap_or(self.settings.timings.reconnect_max_delay)
    }

    /// A panic, ours or the sink's, becomes an error; the process goes on.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Result<T, Error> {
        catch_unwind(AssertUnwindSafe(|| work(self))).map_err(|panic| Error::Panic(panic_text(&*panic)))
    }
}

/// Does `work` and meanwhile keeps the deadlines of those who wait for a fence or a channel, also when the work does all
/// that a task may do at a time.
async fn watched<T>(shared: &Shared, work: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        output = work => output,
        never = unconstrained(shared.fences.expire()) => match never {},
        never = unconstrained(shared.channels.expire()) => match never {},
    }
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

pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use tokio::task::consume_budget;

    use super::super::fences::{Covers, Fence, InGap};
    use super::super::inbox::Deaf;
    use super::*;

    #[test]
    fn deadlines_are_kept_whatever_the_work_does() {
        let shared = Shared::new(Arc::new(Deaf), Vec::new());
        let (sender, receiver) = std::sync::mpsc::channel();
        let fence =
            Fence { covers: Covers::Acknowledged, limit: Duration::from_millis(10), in_gap: InGap::Wait };
        shared.fences.ask(fence, Box::new(move |outcome| sender.send(outcome).expect("somebody waits")));
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
        let outcome = thread::with_runtime(|runtime| runtime.block_on(watched(&shared, busy)));
        assert!(matches!(outcome.expect("a runtime"), Err(Error::FenceTimeout { .. })));
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
