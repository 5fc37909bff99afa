//! One look at a server, by the very way that a listener takes: does LISTEN work there, and if not, why?

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::channels::Channels;
use super::connect::Settings;
use super::facts::{Fact, QUESTIONS};
use super::inbox::Deaf;
use super::lineage::Lineage;
use super::session::{Session, limited};
use super::thread;
use super::tls::Verified;
use super::worker::panic_text;
use crate::error::Error;

/// What was found, as far as it went.
#[derive(Debug, Default)]
pub struct Findings {
    /// Where the server is; `None` if no session came about.
    pub address: Option<String>,
    /// What was checked of the server, if the connection is over TLS: the fact `tls` says so.
    pub verified: Option<Verified>,
    /// Which server it is, see [`IDENTITY`](super::IDENTITY); `None` if it does not say.
    pub server: Option<String>,
    /// What the server says of itself.
    pub facts: Vec<Fact>,
    /// Whether LISTEN was proven.
    pub listens: bool,
    /// How long each echo took.
    pub echoes: Vec<Duration>,
    /// What it ended by, before it was through.
    pub failure: Option<Error>,
}

/// Connects once, asks the server about itself, LISTENs on `channels` with a proof, sends itself `echoes` echoes, and
/// says goodbye. All that on a thread of its own, on which `reply` is called in the end. Every step has a deadline of
/// `settings`.
///
/// # Errors
/// [`Error::Thread`] if the operating system gives no thread.
pub fn examine(
    settings: Settings,
    channels: Vec<String>,
    echoes: u32,
    reply: impl FnOnce(Findings) + Send + 'static,
) -> Result<(), Error> {
    thread::spawn(move || {
        let mut findings = Findings::default();
        let look = AssertUnwindSafe(|| look(&settings, &channels, echoes, &mut findings));
        let outcome = catch_unwind(look).unwrap_or_else(|panic| Err(Error::Panic(panic_text(&*panic))));
        findings.failure = outcome.err();
        reply(findings);
    })
    .map(drop)
}

fn look(settings: &Settings, channels: &[String], echoes: u32, findings: &mut Findings) -> Result<(), Error> {
    let look = async {
        let mut session = Session::connect(settings, &mut Lineage::default()).await?;
        findings.address = Some(session.address().to_string());
        findings.verified = Some(session.verified());
        findings.server = session.identity().map(str::to_owned);
        let outcome = examine_session(&mut session, settings, channels, echoes, findings).await;
        session.close().await;
        outcome
    };
    thread::with_runtime(|runtime| runtime.block_on(look))?
}

async fn examine_session(
    session: &mut Session,
    settings: &Settings,
    channels: &[String],
    echoes: u32,
    findings: &mut Findings,
) -> Result<(), Error> {
    // Asked first, so that they are there where LISTEN fails.
    for (name, query) in QUESTIONS {
        let address = session.address().clone();
        let asked = limited(&address, "a question", settings.attempt_timeout, session.first_row(query)).await;
        let answer = match asked {
            Ok(row) => Ok(row.and_then(|row| Some(row.get(0)?.to_owned()))),
            Err(error) if error.sql_state().is_some() => Err(error),
            Err(error) => return Err(error),
        };
        findings.facts.push(Fact { name, answer });
    }
    let channels = Channels::new(Arc::new(Deaf), channels.to_vec());
    session.listen(settings, &channels).await?;
    findings.listens = true;
    for _ in 0..echoes {
        findings.echoes.push(session.echo(&channels, settings.timings.heartbeat_timeout).await?);
    }
    Ok(())
}
