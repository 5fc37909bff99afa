//! `GenerationCounters` for JavaScript: a handle and free functions, which cost a fraction of a class's methods.

use std::sync::Arc;

use napi::bindgen_prelude::*;
use napi_derive::napi;

use super::small_string::SmallString;
use super::values::Failure;
use crate::generations::{self, GenerationCounters, Options, SharedError, Verdict, snapshot_from_f64};

pub(super) type CountersHandle = External<Arc<GenerationCounters>>;

fn options(capacity: u32) -> Result<Options> {
    Options::default()
        .with_capacity(capacity as usize)
        .map_err(|error| Error::new(Status::InvalidArg, error.to_string()))
}

/// What a check says; the order of `check`'s words in the TypeScript face.
fn number(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Unchanged => 0,
        Verdict::Changed => 1,
        Verdict::Unproven => 2,
    }
}

/// The default capacity.
#[napi]
pub const DEFAULT_CAPACITY: u32 = generations::DEFAULT_CAPACITY as u32;
/// The greatest capacity.
#[napi]
pub const MAX_CAPACITY: u32 = generations::MAX_CAPACITY as u32;

/// New counters, or the reason why not. Throws if the capacity is out of range.
#[napi(catch_unwind)]
pub fn create_counters(capacity: u32, require_listener: bool) -> Result<Either<CountersHandle, Failure>> {
    let options = options(capacity)?;
    let options = if require_listener { options.with_required_listener() } else { options };
    let made = GenerationCounters::try_new(options).map(Arc::new);
    Ok(handle(made.map_err(SharedError::OutOfMemory)))
}

/// The counters of this name, new or not, or the reason why not. Throws if the capacity is out of range.
#[napi(catch_unwind)]
pub fn shared_counters(
    name: String,
    capacity: Option<u32>,
    require_listener: bool,
) -> Result<Either<CountersHandle, Failure>> {
    let options = capacity.map(options).transpose()?;
    let counters = GenerationCounters::shared(&name, options);
    if let Ok(counters) = &counters
        && require_listener
    {
        counters.require_listener();
    }
    Ok(handle(counters))
}

fn handle(
    made: std::result::Result<Arc<GenerationCounters>, SharedError>,
) -> Either<CountersHandle, Failure> {
    let error = match made {
        Ok(counters) => return Either::A(External::new(counters)),
        Err(error) => error,
    };
    let code = match error {
        SharedError::OtherCapacity { .. } => "PGGEN_INVALID_ARGUMENT",
        SharedError::OutOfMemory(_) => "PGGEN_OUT_OF_MEMORY",
    };
    Either::B(Failure { code: code.into(), message: error.to_string(), sql_state: None })
}

/// Whether a listener was given these counters that was never started.
#[napi(catch_unwind)]
pub fn awaits_start(counters: &CountersHandle) -> bool {
    counters.awaits_start()
}

/// Bumps one module.
#[napi(catch_unwind)]
pub fn bump_module(counters: &CountersHandle, realm: SmallString, module: SmallString) {
    counters.bump_module(realm.as_str(), module.as_str());
}

/// Bumps several modules of one realm.
#[napi(catch_unwind)]
pub fn bump_modules(counters: &CountersHandle, realm: SmallString, modules: Vec<String>) {
    counters.bump_modules(realm.as_str(), modules.iter().map(String::as_str));
}

/// Bumps a realm.
#[napi(catch_unwind)]
pub fn bump_realm(counters: &CountersHandle, realm: SmallString) {
    counters.bump_realm(realm.as_str());
}

/// Bumps everything.
#[napi(catch_unwind)]
pub fn bump_global(counters: &CountersHandle) {
    counters.bump_global();
}

/// The clock now.
#[napi(catch_unwind)]
pub fn snapshot(counters: &CountersHandle) -> f64 {
    counters.snapshot() as f64
}

/// What can be said of a snapshot without looking at any key: a verdict, or null.
#[napi(catch_unwind)]
pub fn quick_check(counters: &CountersHandle, snapshot: f64) -> Option<u32> {
    counters.quick_check(snapshot_from_f64(snapshot)).map(number)
}

/// What can be said of one module.
#[napi(catch_unwind)]
pub fn check(counters: &CountersHandle, snapshot: f64, realm: SmallString, module: SmallString) -> u32 {
    number(counters.check(snapshot_from_f64(snapshot), realm.as_str(), module.as_str()))
}

/// What can be said of several modules of one realm: the worst of their verdicts.
#[napi(catch_unwind)]
pub fn check_any(counters: &CountersHandle, snapshot: f64, realm: SmallString, modules: Vec<String>) -> u32 {
    number(counters.check_any(
        snapshot_from_f64(snapshot),
        realm.as_str(),
        modules.iter().map(String::as_str),
    ))
}

/// Whether nothing can have been missed.
#[napi(catch_unwind)]
pub fn proven(counters: &CountersHandle) -> bool {
    counters.proven()
}

/// The module's generation.
#[napi(catch_unwind)]
pub fn module_generation(counters: &CountersHandle, realm: SmallString, module: SmallString) -> f64 {
    counters.module_generation(realm.as_str(), module.as_str()) as f64
}

/// The realm's generation.
#[napi(catch_unwind)]
pub fn realm_generation(counters: &CountersHandle, realm: SmallString) -> f64 {
    counters.realm_generation(realm.as_str()) as f64
}

/// The global generation.
#[napi(catch_unwind)]
pub fn global_generation(counters: &CountersHandle) -> f64 {
    counters.global_generation() as f64
}
