//! Which modules there are, and sets of them.

use std::fmt;

/// `App` is built from its own file and from that of `Lib`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Module {
    Lib,
    App,
}

impl Module {
    pub const ALL: [Self; 2] = [Self::Lib, Self::App];

    pub fn dependencies(self) -> Keys {
        match self {
            Self::Lib => Keys::NONE,
            Self::App => Keys::of(Self::Lib),
        }
    }

    pub fn dependents(self) -> Keys {
        match self {
            Self::Lib => Keys::of(Self::App),
            Self::App => Keys::NONE,
        }
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lib => "lib",
            Self::App => "app",
        })
    }
}

/// A set of modules: what a statement deletes, what a notification names, what was bumped.
///
/// There is one realm, so that a realm or global bump is `ALL`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Keys(u8);

impl Keys {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self(0b11);

    pub fn of(module: Module) -> Self {
        Self(1 << module as u8)
    }

    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    pub fn contains(self, module: Module) -> bool {
        !self.and(Self::of(module)).is_empty()
    }

    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn iter(self) -> impl Iterator<Item = Module> {
        Module::ALL.into_iter().filter(move |&module| self.contains(module))
    }
}

impl FromIterator<Module> for Keys {
    fn from_iter<I: IntoIterator<Item = Module>>(modules: I) -> Self {
        modules.into_iter().fold(Self::NONE, |keys, module| keys.or(Self::of(module)))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(|module| format!("{module:?}")).collect();
        f.write_str(&if names.is_empty() { "nothing".to_owned() } else { names.join(" and ") })
    }
}
