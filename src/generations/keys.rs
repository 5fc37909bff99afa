//! Scopes as 128-bit keys, so that the length of a URL costs no memory.

use std::hash::{BuildHasher, Hasher, RandomState};

use siphasher::sip128::{Hasher128, SipHasher13};

/// A secret hash function. Payloads are untrusted: without the secret nobody can aim two URLs at one key, nor
/// many keys at one slot of a table. By accident two of a million URLs share a key once in 10^26 processes, and
/// all that would do is bump them together.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    secret: (u64, u64),
}

impl Keys {
    pub(super) fn new() -> Self {
        Self { secret: (random(), random()) }
    }

    /// The keys of a realm and of its modules.
    pub(super) fn realm(&self, realm: &str) -> RealmKeys {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        // The length first: ("ab", "c") and ("a", "bc") are two modules.
        hasher.write(&(realm.len() as u64).to_le_bytes());
        hasher.write(realm.as_bytes());
        RealmKeys { hasher }
    }
}

/// The keys within one realm, whose URL is hashed only once however many modules follow.
pub(super) struct RealmKeys {
    hasher: SipHasher13,
}

impl RealmKeys {
    pub(super) fn realm(&self) -> u128 {
        self.hasher.finish128().as_u128()
    }

    pub(super) fn module(&self, module: &str) -> u128 {
        let mut hasher = self.hasher;
        hasher.write(module.as_bytes());
        hasher.finish128().as_u128()
    }
}

/// The most URLs handled under one lock.
pub(super) const BATCH: usize = 64;

/// The keys of some URLs, computed before the lock is taken.
pub(super) struct Batch {
    keys: [u128; BATCH],
    len: usize,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self { keys: [0; BATCH], len: 0 }
    }

    /// Replaces what the batch holds by the keys of the next modules.
    pub(super) fn fill(
        &mut self,
        realm: &RealmKeys,
        modules: &mut impl Iterator<Item = impl AsRef<str>>,
    ) -> &[u128] {
        self.len = 0;
        for module in modules.take(BATCH) {
            self.keys[self.len] = realm.module(module.as_ref());
            self.len += 1;
        }
        self.keys()
    }

    pub(super) fn keys(&self) -> &[u128] {
        &self.keys[..self.len]
    }

    pub(super) fn is_full(&self) -> bool {
        self.len == BATCH
    }
}

/// Random bits from the source that seeds std's hash maps, which unlike asking the system has no failure to handle.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_depends_on_where_the_realm_ends() {
        let keys = Keys::new();
        assert_eq!(keys.realm("ab").module("c"), keys.realm("ab").module("c"));
        assert_ne!(keys.realm("ab").module("c"), keys.realm("a").module("bc"));
        assert_ne!(keys.realm("ab").realm(), keys.realm("a").realm());
    }

    #[test]
    fn every_set_of_keys_has_a_secret_of_its_own() {
        assert_ne!(Keys::new().realm("a").realm(), Keys::new().realm("a").realm());
    }
}
