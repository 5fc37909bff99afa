//! A session that listens: LISTEN, the proof that it delivers, heartbeats, and what is asked meanwhile.
//!
//! Whatever the session waits for, it goes on reading its [`Reader`](super::reader::Reader), also in the middle of a
//! heartbeat.

use std::cell::RefCell;
use std::collections::HashSet;
use std::convert::Infallible;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::actor::{Actor, Work};
use super::connect::Settings;
use super::deadlines::{sleep_until, timeout, timeout_at};
use super::event::{Event, Observer};
use super::fence::Covers;
use super::login::{Login, limited, send_once};
use super::sql;
use super::subscriptions::ChannelCommand;
use crate::error::Error;

/// A connection that listens, or is about to.
pub(super) struct Session {
    pub login: Login,
    /// The channels whose LISTEN is in force.
    present: HashSet<String>,
}

impl Session {
    pub fn new(login: Login) -> Self {
        Self { login, present: HashSet::new() }
    }

    /// LISTENs on `channels`, and proves it: when this returns, every notification that
    /// is committed from now on will be delivered.
    ///
    /// The proof is a nonce sent by a second connection while this one is idle. One sent by this connection proves
    /// less: the server answers it before the command ends, and so even a pooler in transaction mode, which
    /// forwards nothing to an idle client, lets it through.
    ///
    /// Where it fails and the session goes on, behind a pooler for instance, the session is as it was before.
    pub async fn listen(
        &mut self,
        settings: &Settings,
        channels: HashSet<String>,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
        self.present = channels;
        let outcome = self.subscribe_and_prove(settings, observer).await;
        if let Err(error) = &outcome
            && (error.sql_state().is_some() || matches!(error, Error::ListenSwallowed { .. }))
        {
            let reset =
                self.login.reader.during(observer, self.login.client.batch_execute(sql::RESET_SESSION));
            let _ = timeout(settings.timings.heartbeat_timeout, reset).await;
        }
        outcome
    }

    async fn subscribe_and_prove(
        &mut self,
        settings: &Settings,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
        let server = self.login.server.clone();
        let address = &server.address;
        let statements = format!(
            "{}; {}",
            sql::prepare_session(lock_timeout(settings), patience(settings), self.login.reader.encoding()),
            sql::listen(
                self.present.iter().map(String::as_str).chain([self.login.reader.echo_channel()]),
                self.login.reader.encoding()
            )
        );
        let subscribe = self.login.reader.answer(observer, self.login.client.batch_execute(&statements));
        limited(address, "LISTEN", settings.attempt_timeout, subscribe).await?;

        let nonce = self.login.reader.expect(None);
        let proof = sql::notify_within(lock_timeout(settings), self.login.reader.echo_channel(), &nonce);
        let send = send_once(settings, &server, &proof);
        let sent = limited(address, "the proof of LISTEN", settings.attempt_timeout, async {
            self.login.reader.during(observer, send).await?
        })
        .await;
        let limit = settings.timings.heartbeat_timeout;
        if let Err(error) = sent {
            if is_queue_full(&error) {
                self.look_for_room(limit, observer).await?;
            }
            return Err(error);
        }
        if let Ok(heard) = timeout(limit, self.login.reader.until_heard(&nonce, observer)).await {
            return heard;
        }
        // Silence alone could be a dead connection or a slow one. The nonce was committed before this echo is sent, so
        // if the echo comes first, the nonce was swallowed. If both come, they prove nothing: this connection was not
        // idle any more.
        self.echo(observer, limit).await?;
        let address = address.to_string();
        if !self.login.reader.expects(&nonce) {
            return Err(Error::Timeout { address, step: "the proof of LISTEN", limit });
        }
        Err(Error::ListenSwallowed { address })
    }

    /// Listens until the connection is lost, which is the only way this ends. Meanwhile does what is asked of it.
    pub async fn run(&mut self, settings: &Settings, actor: &RefCell<Actor>) -> Result<Infallible, Error> {
        self.login.reader.park_from_now_on();
        let (interval, limit) = (settings.timings.heartbeat_interval, settings.timings.heartbeat_timeout);
        // When the latest echo that came back was sent, not when it came back: it proves nothing of what was committed
        // while it was on its way, or while the process was frozen.
        let mut proven = Instant::now();
        loop {
            let mut due = pin!(sleep_until(proven + interval));
            loop {
                let work = async {
                    tokio::select! {
                        biased;
                        () = &mut due => Work::Heartbeat,
                        work = Actor::work(actor, &self.present) => work,
                    }
                };
                match self.login.reader.during(actor, work).await? {
                    Work::Fence(Covers::Acknowledged) => self.round_trip(limit, actor).await?,
                    Work::Channel(command) => self.obey(command, limit, actor).await?,
                    Work::Fence(Covers::Released) | Work::Heartbeat => break,
                }
            }
            let sent = Instant::now();
            // After a freeze or a slow echo there is less time left than an echo may take, or none.
            timeout_at(proven + interval + limit, self.heartbeat(limit, actor))
                .await
                .unwrap_or(Err(Error::HeartbeatTimeout { limit }))?;
            proven = sent;
        }
    }

    /// One heartbeat: an echo within the deadline, or proof of another kind that the connection delivers. It lets
    /// the fences through that were asked for before it.
    async fn heartbeat(&mut self, limit: Duration, actor: &RefCell<Actor>) -> Result<(), Error> {
        let asked = actor.borrow().fences.mark();
        match self.echo(actor, limit).await {
            Ok(round_trip) => {
                let echo = Event::Echo { round_trip, at: SystemTime::now() };
                actor.borrow_mut().subscriptions.tell(echo);
                actor.borrow_mut().fences.pass(asked, Covers::Released);
                Ok(())
            }
            // NOTIFY takes a lock that is held through another's commit, perhaps for long. Our lock_timeout let go of
            // it, and what was pending has been delivered with the error, so the connection is alive. The next attempt
            // can wait for the next heartbeat, unless there is a fence that needs it: a backend that waits for the
            // lock delivers nothing meanwhile.
            Err(error) if error.sql_state() == Some("55P03") => {
                actor.borrow_mut().fences.pass(asked, Covers::Acknowledged);
                Ok(())
            }
            // The server's notification queue is full. Not our connection's fault, and no reason to leave it.
            Err(error) if is_queue_full(&error) => {
                actor.borrow_mut().fences.pass(asked, Covers::Acknowledged);
                actor.borrow_mut().fences.fail(asked, error);
                self.look_for_room(limit, actor).await
            }
            Err(error) => Err(error),
        }
    }

    /// Has the server notice room in its notification queue, for the next attempt.
    async fn look_for_room(&mut self, limit: Duration, observer: &dyn Observer) -> Result<(), Error> {
        match self.say(sql::LOOK_FOR_ROOM, limit, observer).await {
            // An administrator may have forbidden it.
            Err(Error::PermissionDenied(_) | Error::Server(_)) => Ok(()),
            outcome => outcome,
        }
    }

    /// Brings the session into line with what is wanted of one channel.
    async fn obey(
        &mut self,
        command: ChannelCommand,
        limit: Duration,
        actor: &RefCell<Actor>,
    ) -> Result<(), Error> {
        match command {
            ChannelCommand::Listen(channel) => {
                match self
                    .say(&sql::listen([channel.as_str()], self.login.reader.encoding()), limit, actor)
                    .await
                {
                    Ok(()) => {
                        actor.borrow_mut().settle(&channel);
                        self.present.insert(channel);
                    }
                    // The server's own word on this channel; the session goes on.
                    Err(error @ (Error::Server(_) | Error::PermissionDenied(_))) => {
                        actor.borrow_mut().subscriptions.refused(&channel, &error);
                    }
                    Err(error) => return Err(error),
                }
            }
            ChannelCommand::Unlisten(channel) => {
                self.say(&sql::unlisten(&channel, self.login.reader.encoding()), limit, actor).await?;
                self.present.remove(&channel);
                actor.borrow_mut().subscriptions.left(&channel);
            }
            ChannelCommand::Settle(channel) => actor.borrow_mut().settle(&channel),
        }
        Ok(())
    }

    async fn say(&mut self, statement: &str, limit: Duration, observer: &dyn Observer) -> Result<(), Error> {
        let said = self.login.reader.answer(observer, self.login.client.batch_execute(statement));
        timeout(limit, said).await.unwrap_or(Err(Error::HeartbeatTimeout { limit }))
    }

    /// A round trip that sends nothing to anybody, for the fences that it is enough for.
    async fn round_trip(&mut self, limit: Duration, actor: &RefCell<Actor>) -> Result<(), Error> {
        let asked = actor.borrow().fences.mark();
        self.say(sql::NOTHING, limit, actor).await?;
        actor.borrow_mut().fences.pass(asked, Covers::Acknowledged);
        Ok(())
    }

    /// Sends ourselves a nonce and waits until it comes back. Notifications come in the order of their commits, so
    /// by then everything committed before it was sent has been handed to the observer.
    pub async fn echo(&mut self, observer: &dyn Observer, limit: Duration) -> Result<Duration, Error> {
        let started = Instant::now();
        let nonce = self.login.reader.expect(Some(self.login.backend_pid));
        let statement = sql::notify(self.login.reader.echo_channel(), &nonce);
        let round_trip = async {
            self.login.reader.answer(observer, self.login.client.batch_execute(&statement)).await?;
            self.login.reader.until_heard(&nonce, observer).await
        };
        let outcome = timeout(limit, round_trip).await.unwrap_or(Err(Error::HeartbeatTimeout { limit }));
        self.login.reader.forget(&nonce);
        outcome.map(|()| started.elapsed())
    }
}

/// Whether there was no room for a notification on the server.
fn is_queue_full(error: &Error) -> bool {
    error.sql_state() == Some("54000")
}

/// Well below the heartbeat's deadline, so that a NOTIFY stuck behind another's commit gives up before we do.
fn lock_timeout(settings: &Settings) -> Duration {
    settings.timings.heartbeat_timeout / 4
}

/// How long the server waits for a client that does not read: as long as the client believes a connection on which nothing comes. Earlier
/// would end sessions that go on, and later would hold up others for nothing.
fn patience(settings: &Settings) -> Duration {
    settings.timings.heartbeat_interval + settings.timings.heartbeat_timeout
}
