//! Whether the counters can be believed: the listeners that were put in charge of them, and what those say.

use std::fmt;
use std::sync::Arc;

use super::GenerationCounters;

/// A listener's hold on the counters it feeds, made by [`GenerationCounters::attach`].
///
/// From then on the counters are unproven whenever this listener is not listening, for it may be missing
/// invalidations. Dropping a link [leaves](Link::leave).
///
/// All methods are callable from any thread, wait for no I/O and cost one short lock.
pub struct Link {
    counters: Arc<GenerationCounters>,
    id: u64,
}

impl Link {
    pub(super) fn new(counters: Arc<GenerationCounters>, id: u64) -> Self {
        Self { counters, id }
    }

    /// From here on every invalidation will be heard. To be called once LISTEN is in force, never before.
    ///
    /// Bumps the global generation, since any invalidation may have been missed until now, and in the same step
    /// makes the counters proven, unless another attached listener is not listening. Does nothing after
    /// [`Link::leave`], so a shutdown on another thread is never undone.
    pub fn listening(&self) {
        // The gap ends with the draw of the global stamp. A snapshot from the instant between that and the end of
        // this call counts as one from after the gap, and is: LISTEN has been in force since before.
        self.counters.update(|state| {
            if state.proof.set_listening(self.id, true) {
                state.bump_global();
            }
        });
    }

    /// From here on invalidations may be missed: the counters are unproven. Does nothing after [`Link::leave`].
    pub fn lost(&self) {
        self.counters.update(|state| {
            state.proof.set_listening(self.id, false);
        });
    }

    /// Ends the listener's charge for good; any further call on this link does nothing.
    ///
    /// If another attached listener is listening, this one just detaches; if that makes the counters proven
    /// again, the global generation is bumped in the same step. Otherwise nobody is left who hears, and the
    /// counters are unproven until some attached listener listens.
    pub fn leave(&self) {
        self.counters.update(|state| {
            let held = state.proof.holds();
            state.proof.detach(self.id);
            if state.proof.holds() && !held {
                state.bump_global();
            }
        });
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("id", &self.id).finish_non_exhaustive()
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
    listening: bool,
}

impl Proof {
    pub(super) fn new(require_listener: bool) -> Self {
        Self { attached: Vec::new(), next_id: 0, required: require_listener }
    }

    /// Whether no invalidation can be missed now.
    pub(super) fn holds(&self) -> bool {
        let heard = !self.required || !self.attached.is_empty();
        heard && self.attached.iter().all(|link| link.listening)
    }

    /// No longer wants anybody to be attached.
    pub(super) fn trust(&mut self) {
        self.required = false;
    }

    /// Adds a listener, not listening yet.
    pub(super) fn attach(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.required = true;
        self.attached.push(Attached { id, listening: false });
        id
    }

    /// Notes whether a listener listens. False if it is no longer attached, and then nothing changes.
    fn set_listening(&mut self, id: u64, listening: bool) -> bool {
        let Some(link) = self.attached.iter_mut().find(|link| link.id == id) else { return false };
        link.listening = listening;
        true
    }

    /// Removes a listener, if it is still attached.
    fn detach(&mut self, id: u64) {
        self.attached.retain(|link| link.id != id);
    }
}
