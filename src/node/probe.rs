//! The look at a server for JavaScript.

use std::collections::HashMap;

use napi::bindgen_prelude::*;
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;

use super::connection::{ListenerTimings, settings};
use super::values::{Failure, StrongCallback, ms};
use crate::error::Error as CoreError;
use crate::listen::{self, Verified};
use crate::payload;

/// What a server said.
#[napi(object, object_from_js = false)]
pub struct Fact {
    /// What was asked.
    pub name: String,
    /// The answer in JSON; none where there is nothing of the kind.
    pub json: Option<String>,
    /// Why there is no answer.
    pub failure: Option<Failure>,
}

/// What a listener finds at its server.
#[napi(object, object_from_js = false)]
pub struct Findings {
    /// Where the server is, if a session came about.
    pub address: Option<String>,
    /// What was checked of the server, if the connection is over TLS.
    #[napi(ts_type = "'nothing' | 'authority' | 'host'")]
    pub verified: Option<&'static str>,
    /// Which server it is, if it says.
    pub server: Option<String>,
    /// What it says of itself.
    pub facts: Vec<Fact>,
    /// Whether LISTEN was proven.
    pub listens: bool,
    /// How long each echo took.
    pub echoes_ms: Vec<f64>,
    /// What it ended by, before it was through.
    pub failure: Option<Failure>,
}

impl From<listen::ProbeFindings> for Findings {
    fn from(found: listen::ProbeFindings) -> Self {
        Self {
            address: found.address,
            verified: found.verified.map(|verified| match verified {
                Verified::Nothing => "nothing",
                Verified::Authority => "authority",
                Verified::Host => "host",
            }),
            server: found.server,
            facts: found.facts.into_iter().map(Into::into).collect(),
            listens: found.listens,
            echoes_ms: found.echoes.into_iter().map(ms).collect(),
            failure: found.failure.map(Into::into),
        }
    }
}

impl From<listen::ProbeFact> for Fact {
    fn from(fact: listen::ProbeFact) -> Self {
        let (json, failure) = match fact.answer {
            Ok(json) => (json, None),
            Err(error) => (None, Some(error.into())),
        };
        Self { name: fact.name.into(), json, failure }
    }
}

/// Connects as a listener would, looks around, and calls back with what it found. Connection settings are those of
/// `start_listener`. Invalid ones are returned as a failure, and nothing is called.
#[napi(catch_unwind)]
pub fn examine(
    layers: Vec<HashMap<String, String>>,
    timings: ListenerTimings,
    echoes: u32,
    callback: Function<'_, Findings, ()>,
) -> Result<Option<Failure>> {
    let callback: StrongCallback<Findings> = callback.build_threadsafe_function().build()?;
    let started = (|| {
        listen::examine(settings(layers, timings)?, vec![payload::CHANNEL.to_owned()], echoes, move |found| {
            callback.call(found.into(), ThreadsafeFunctionCallMode::NonBlocking);
        })
    })();
    Ok(started.err().map(|error: CoreError| error.into()))
}
