//! What the lock of the counters protects.

use super::proof::Proof;
use super::stamps::Stamps;
use super::{Clock, Options, OutOfMemory, UNPROVEN, Verdict};

/// The latest stamps of modules, of realms and of everything, and whether they can be believed.
pub(super) struct Scopes {
    clock: &'static Clock,
    /// The last stamp drawn, and so the greatest.
    latest: u64,
    pub global: u64,
    pub realms: Stamps,
    pub modules: Stamps,
    pub proof: Proof,
}

impl Scopes {
    pub fn new(options: Options, clock: &'static Clock) -> Result<Self, OutOfMemory> {
        let stamps = || Stamps::new(options.capacity).ok_or(OutOfMemory(options.capacity()));
        let proof = Proof::new(options.requires_listener());
        Ok(Self { clock, latest: 0, global: 0, realms: stamps()?, modules: stamps()?, proof })
    }

    /// The next stamp. Drawn under the lock, so that stamps are stored in the order they are drawn: the later of
    /// two racing bumps of a scope also stores last, and a scope's last stamp is its greatest.
    fn draw(&mut self) -> u64 {
        self.latest = self.clock.draw();
        self.latest
    }

    pub fn bump_modules(&mut self, modules: &[u128]) {
        if modules.len() > 1 {
            self.modules.warm(modules);
        }
        for &key in modules {
            let stamp = self.draw();
            self.modules.stamp(key, stamp);
        }
    }

    pub fn bump_realm(&mut self, realm: u128) {
        let stamp = self.draw();
        self.realms.stamp(realm, stamp);
    }

    pub fn bump_global(&mut self) {
        self.global = self.draw();
    }

    /// What the [head word](super::GenerationCounters::head_word) says.
    pub fn head(&self) -> u64 {
        if self.proof.holds() { self.latest } else { self.latest | UNPROVEN }
    }

    pub fn check(&self, snapshot: u64, realm: u128, modules: &[u128]) -> Verdict {
        if !self.proof.holds() {
            return Verdict::Unproven;
        }
        let changed = self.global > snapshot
            || self.realms.get(realm) > snapshot
            || modules.iter().any(|&module| self.modules.get(module) > snapshot);
        if changed { Verdict::Changed } else { Verdict::Unchanged }
    }
}
