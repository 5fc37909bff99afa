//! Whether the counters can be believed: the listeners that were put in charge of them, and what those say.

use std::fmt;
use std::sync::{Arc, Weak};

use super::GenerationCounters;

/// A listener's hold on the counters it feeds, made by [`GenerationCounters::attach`].
///
/// From then on the counters are unproven whenever this listener is not listening, for it may be missing
/// invalidations. Dropping a guard [leaves](ListenerGuard::leave), unless it is [abandoned](ListenerGuard::abandon).
///
/// All methods are callable from any thread, wait for no I/O and cost one short lock.
#[derive(Debug)]
pub struct ListenerGuard {
    attachment: Attachment,
    abandoned: bool,
}

impl ListenerGuard {
    pub(super) fn new(counters: &Arc<GenerationCounters>, id: u64) -> Self {
        Self { attachment: Attachment { counters: Arc::downgrade(counters), id }, abandoned: false }
    }

    /// The listener is started: it is not forgotten.
    pub fn starting(&self) {
        self.attachment.update(|scopes, id| scopes.proof.set_started(id));
    }

    /// From here on every invalidation will be heard. To be called once LISTEN is in force, never before.
    ///
    /// Bumps the global generation, since any invalidation may have been missed until now, and in the same step
    /// makes the counters proven, unless another attached listener is not listening. Does nothing after
    /// [`ListenerGuard::leave`], so a shutdown on another thread is never undone.
    pub fn listening(&self) {
        // The gap ends with the draw of the global stamp. A snapshot from the instant between that and the end of
        // this call counts as one from after the gap, and is: LISTEN has been in force since before.
        self.attachment.update(|scopes, id| {
            if scopes.proof.set_listening(id, true) {
                scopes.bump_global();
            }
        });
    }

    /// From here on invalidations may be missed: the counters are unproven. Does nothing after
    /// [`ListenerGuard::leave`].
    pub fn lost(&self) {
        self.attachment.update(|scopes, id| {
            scopes.proof.set_listening(id, false);
        });
    }

    /// See [`Attachment::leave`]. Any further call on this guard does nothing.
    pub fn leave(&self) {
        self.attachment.leave();
    }

    /// Gives up the guard, but not its hold: the counters stay unproven until its [`Attachment`] leaves.
    pub fn abandon(mut self) {
        self.abandoned = true;
    }

    /// What remains of the guard if it is abandoned.
    pub fn attachment(&self) -> Attachment {
        self.attachment.clone()
    }
}

impl Drop for ListenerGuard {
    fn drop(&mut self) {
        if !self.abandoned {
            self.leave();
        }
    }
}

/// The entry of one listener among those in charge of some counters. It does not keep the counters alive.
#[derive(Clone)]
pub struct Attachment {
    counters: Weak<GenerationCounters>,
    id: u64,
}

impl Attachment {
    /// Ends the listener's charge for good.
    ///
    /// If another attached listener is listening, this one just detaches; if that makes the counters proven
    /// again, the global generation is bumped in the same step. Otherwise nobody is left who hears, and the
    /// counters are unproven until some attached listener listens.
    pub fn leave(&self) {
        self.update(|scopes, id| {
            let held = scopes.proof.holds();
            scopes.proof.detach(id);
            if scopes.proof.holds() && !held {
                scopes.bump_global();
            }
        });
    }

    /// Whether the listener is still in charge, and there are counters to be in charge of.
    pub fn holds(&self) -> bool {
        let counters = self.counters.upgrade();
        counters.is_some_and(|counters| counters.scopes.lock().proof.has(self.id))
    }

    fn update(&self, change: impl FnOnce(&mut super::Scopes, u64)) {
        if let Some(counters) = self.counters.upgrade() {
            counters.update(|scopes| change(scopes, self.id));
        }
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The listeners in charge, and whether they, taken together, hear everything.
pub(super) struct Proof {
    attached: Vec<Attached>,
    next_id: u64,
    /// Somebody has to be listening: because the options say so, or because somebody once was to.
    required: bool,
}

struct Attached {
    id: u64,
    started: bool,
    listening: bool,
}

impl Proof {
    pub(super) fn new(require_listener: bool) -> Self {
        Self { attached: Vec::new(), next_id: 0, required: require_listener }
    }

    /// Whether no invalidation can be missed now.
    pub(super) fn holds(&self) -> bool {
        let heard = !self.required || !self.attached.is_empty();
        heard && self.attached.iter().all(|listener| listener.listening)
    }

    /// Whether a listener is in charge that was never started.
    pub(super) fn awaits_start(&self) -> bool {
        self.attached.iter().any(|listener| !listener.started)
    }

    /// From now on a listener has to be attached.
    pub(super) fn require(&mut self) {
        self.required = true;
    }

    /// Adds a listener, not started yet.
    pub(super) fn attach(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.require();
        self.attached.push(Attached { id, started: false, listening: false });
        id
    }

    fn has(&self, id: u64) -> bool {
        self.attached.iter().any(|listener| listener.id == id)
    }

    fn find(&mut self, id: u64) -> Option<&mut Attached> {
        self.attached.iter_mut().find(|listener| listener.id == id)
    }

    fn set_started(&mut self, id: u64) {
        if let Some(listener) = self.find(id) {
            listener.started = true;
        }
    }

    /// Notes whether a listener listens. False if it is no longer attached, and then nothing changes.
    fn set_listening(&mut self, id: u64, listening: bool) -> bool {
        let Some(listener) = self.find(id) else { return false };
        listener.listening = listening;
        true
    }

    /// Removes a listener, if it is still attached.
    fn detach(&mut self, id: u64) {
        self.attached.retain(|listener| listener.id != id);
    }
}
