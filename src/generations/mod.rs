//! Generation counters: was anything that a result depends on invalidated since a snapshot?
//!
//! Every bump draws the next value of one [`Clock`] and stamps its scope with it: a module of a realm, a realm,
//! or everything. A scope's *generation* is its greatest stamp. A snapshot is the clock's value now, so it needs
//! no key: a module has changed since a snapshot exactly when its own, its realm's or the global generation is
//! greater.
//!
//! Doubt counts as change. Memory is bounded, and a forgotten scope reads as the greatest stamp that was ever
//! forgotten; while a listener may be missing invalidations, the counters are *unproven* and say so instead of
//! saying "unchanged". The worst that doubt does is to throw away a result that could have been kept.
//!
//! # Concurrency
//!
//! All that changes is changed under one lock, and there the stamp is drawn, stored and published in the *head
//! word*: the counters' latest stamp, and whether they are unproven. So all changes of one counters object have
//! one order, which is the order of their stamps, and a change is there as a whole or not at all. The end of a
//! gap, for one, raises the global generation and takes the unproven mark away in a single store.
//!
//! A check reads the head word first, without the lock. If that says proven, and no stamp greater than the
//! snapshot, the answer is "unchanged" and no URL was looked at. Otherwise the check takes the lock, and what it
//! finds there is exact. The lock is held for at most 64 URLs at a time, and never while hashing, waiting or
//! calling out.
//!
//! The caller's side of the bargain: take the snapshot before reading anything the result is built from, and
//! bump after the change it announces.

mod clock;
mod keys;
mod options;
mod proof;
mod scopes;
mod shared;
mod stamps;
mod sync;

use std::fmt;
use std::sync::Arc;

pub use self::clock::{Clock, NEVER_ISSUED, snapshot_from_f64};
use self::keys::{Batch, Keys};
pub use self::options::{CapacityError, DEFAULT_CAPACITY, MAX_CAPACITY, Options, OutOfMemory};
pub use self::proof::{Attachment, ListenerGuard};
use self::scopes::Scopes;
pub use self::shared::SharedError;
use self::sync::{AtomicU64, Mutex, Ordering};

/// The bit of the [head word](GenerationCounters::head_word) that says the counters are unproven. The bits below
/// it are the counters' latest stamp.
pub const UNPROVEN: u64 = 1 << 63;

/// What the counters know about the time since a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing that was asked about was invalidated.
    Unchanged,
    /// Something was, or may have been and is forgotten, or the snapshot was never issued.
    Changed,
    /// Invalidations may be missed at present. The result can still be used as an answer, but not be kept.
    Unproven,
}

/// The generations of modules, of realms, and of everything.
///
/// Scopes are compared byte for byte: nothing is normalised, so `http://realm` and `http://realm/` are two realms.
///
/// All methods are callable from any thread, wait for no I/O and never panic. The costs given are without
/// contention; a call may wait for another's handling of at most 64 URLs.
pub struct GenerationCounters {
    /// Written only while `scopes` is locked, always to `scopes.head()`.
    head: AtomicU64,
    scopes: Mutex<Scopes>,
    keys: Keys,
    clock: &'static Clock,
}

impl GenerationCounters {
    /// Counters on the clock of this process.
    ///
    /// # Panics
    ///
    /// If the process cannot have the memory for their capacity.
    pub fn new(options: Options) -> Self {
        Self::with_clock(options, Clock::process())
    }

    /// Counters on the clock of this process, if it can have the memory for them.
    ///
    /// # Errors
    ///
    /// If it cannot.
    pub fn try_new(options: Options) -> Result<Self, OutOfMemory> {
        Self::try_with_clock(options, Clock::process())
    }

    /// Counters on a clock of their own, for tests. A snapshot means something only to counters of its clock.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    pub fn with_clock(options: Options, clock: &'static Clock) -> Self {
        Self::try_with_clock(options, clock).unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_with_clock(options: Options, clock: &'static Clock) -> Result<Self, OutOfMemory> {
        let scopes = Scopes::new(options, clock)?;
        Ok(Self { head: AtomicU64::new(scopes.head()), scopes: Mutex::new(scopes), keys: Keys::new(), clock })
    }

    /// Invalidates one module of a realm. Costs two hashes and a table look-up.
    pub fn bump_module(&self, realm: &str, module: &str) {
        self.bump_modules(realm, [module]);
    }

    /// Invalidates modules of a realm, in order, each with a stamp of its own. None, if there are none.
    ///
    /// Costs a hash and a table look-up for each.
    pub fn bump_modules(&self, realm: &str, modules: impl IntoIterator<Item = impl AsRef<str>>) {
        let realm = self.keys.realm(realm);
        let mut modules = modules.into_iter();
        let mut batch = Batch::new();
        while !batch.fill(&realm, &mut modules).is_empty() {
            self.update(|scopes| scopes.bump_modules(batch.keys()));
        }
    }

    /// Invalidates every module of a realm. Costs a hash and a table look-up.
    pub fn bump_realm(&self, realm: &str) {
        let key = self.keys.realm(realm).realm();
        self.update(|scopes| scopes.bump_realm(key));
    }

    /// Invalidates every module of every realm.
    pub fn bump_global(&self) {
        self.update(Scopes::bump_global);
    }

    /// The clock now, to check against later. Costs one load.
    pub fn snapshot(&self) -> u64 {
        self.clock.now()
    }

    /// Whether a module may have been invalidated since `snapshot`: whether [`check`](Self::check) says anything
    /// but [`Verdict::Unchanged`].
    pub fn changed_since(&self, snapshot: u64, realm: &str, module: &str) -> bool {
        self.check(snapshot, realm, module) != Verdict::Unchanged
    }

    /// What is known about a module since `snapshot`. A snapshot that the clock never issued is
    /// [`Verdict::Changed`]; unproven counters say [`Verdict::Unproven`] whatever else they know.
    ///
    /// Costs two loads if nothing was bumped since the snapshot, else two hashes and two table look-ups.
    pub fn check(&self, snapshot: u64, realm: &str, module: &str) -> Verdict {
        self.check_any(snapshot, realm, [module])
    }

    /// What is known since `snapshot` of every module alike, without looking at any: `None` if it takes a
    /// [`check`](Self::check) to tell.
    ///
    /// Costs two loads. TypeScript has the same rule, in ts/counters.ts: `__test__/counters/shared-memory.spec.ts` holds the
    /// two together.
    pub fn quick_check(&self, snapshot: u64) -> Option<Verdict> {
        let head = self.head();
        if head & UNPROVEN != 0 {
            Some(Verdict::Unproven)
        } else if snapshot == 0 || snapshot > self.clock.now() {
            Some(Verdict::Changed)
        } else if head <= snapshot {
            Some(Verdict::Unchanged)
        } else {
            None
        }
    }

    /// What is known about several modules of a realm since `snapshot`, taken together. With no modules, what is
    /// known about the realm as such.
    ///
    /// Costs two loads if nothing was bumped since the snapshot, else a hash and a table look-up for each module.
    pub fn check_any(
        &self,
        snapshot: u64,
        realm: &str,
        modules: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Verdict {
        if let Some(verdict) = self.quick_check(snapshot) {
            return verdict;
        }
        let realm = self.keys.realm(realm);
        let mut modules = modules.into_iter();
        let mut batch = Batch::new();
        loop {
            batch.fill(&realm, &mut modules);
            let verdict = self.scopes.lock().check(snapshot, realm.realm(), batch.keys());
            if verdict != Verdict::Unchanged || !batch.is_full() {
                return verdict;
            }
        }
    }

    /// Whether invalidations are certain to be heard. Costs one load.
    pub fn proven(&self) -> bool {
        self.head() & UNPROVEN == 0
    }

    /// The module's own generation, or the floor of modules if the module is unknown. Never decreases.
    pub fn module_generation(&self, realm: &str, module: &str) -> u64 {
        let key = self.keys.realm(realm).module(module);
        self.scopes.lock().modules.get(key)
    }

    /// The realm's own generation, or the floor of realms if the realm is unknown. Never decreases.
    pub fn realm_generation(&self, realm: &str) -> u64 {
        let key = self.keys.realm(realm).realm();
        self.scopes.lock().realms.get(key)
    }

    /// The generation of everything. Never decreases.
    pub fn global_generation(&self) -> u64 {
        self.scopes.lock().global
    }

    /// From here on the counters are unproven unless an attached listener listens, as if they had been made
    /// [so](Options::with_required_listener). For good.
    pub fn require_listener(&self) {
        self.update(|scopes| scopes.proof.require());
    }

    /// Puts a listener in charge: from here on the counters are unproven unless it, and every other attached
    /// listener, is [listening](ListenerGuard::listening).
    pub fn attach(self: &Arc<Self>) -> ListenerGuard {
        let id = self.update(|scopes| scopes.proof.attach());
        ListenerGuard::new(self, id)
    }

    /// Whether a listener is in charge that was never [started](ListenerGuard::starting).
    pub fn awaits_start(&self) -> bool {
        self.scopes.lock().proof.awaits_start()
    }

    /// The word that a check reads first, for readers that share memory instead of calling: the counters' latest
    /// stamp, with the bit [`UNPROVEN`] set while they are.
    ///
    /// With that bit it says [`Verdict::Unproven`]. Without it, a word at most a snapshot that the
    /// [clock](Clock::word) has issued says [`Verdict::Unchanged`] for every module of every realm, and a greater
    /// one says nothing and wants a [`check`](Self::check). Read the word anew for each answer. Read it only. Its
    /// address is stable as long as the counters are not moved or dropped, which behind an [`Arc`] is as long as that
    /// lives.
    pub fn head_word(&self) -> &AtomicU64 {
        &self.head
    }

    fn head(&self) -> u64 {
        // Acquire, for the release in `update`: whoever learns that the counters are proven, or have moved, also
        // sees all that came before that. What the word says needs no ordering. A bump that the caller knows to
        // have returned wrote it earlier in its one order of changes, so this finds that stamp or a later one.
        self.head.load(Ordering::Acquire)
    }

    /// Changes the scopes, and the head word with it, as one step.
    fn update<T>(&self, change: impl FnOnce(&mut Scopes) -> T) -> T {
        let mut scopes = self.scopes.lock();
        let result = change(&mut scopes);
        // Still under the lock. So the word never goes back, and whoever has seen a stamp under the lock finds it
        // in the word as well: no check calls unchanged what its caller has already seen to have changed.
        // Release, for the acquire in `head`.
        self.head.store(scopes.head(), Ordering::Release);
        result
    }
}

impl Default for GenerationCounters {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

impl fmt::Debug for GenerationCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = self.head();
        f.debug_struct("GenerationCounters")
            .field("latest", &(head & !UNPROVEN))
            .field("proven", &(head & UNPROVEN == 0))
            .finish_non_exhaustive()
    }
}
