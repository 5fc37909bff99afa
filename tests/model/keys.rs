//! Which modules there are, sets of them, and how they lie.

use std::fmt;

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Module {
    Lib,
    App,
    /// Only in the chain.
    Base,
}

/// What depends on what, and in which realms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// `app` is built from its own file and from that of `lib`, in the same realm.
    OneRealm,
    /// `app` is built from `lib`, and `lib` from `base`: so `app` is built from the files of all three. Each has a realm to
    /// itself.
    Chain,
}

impl Layout {
    pub fn modules(self) -> Keys {
        match self {
            Self::OneRealm => Keys::of(Module::Lib).or(Keys::of(Module::App)),
            Self::Chain => Keys::ALL,
        }
    }

    /// All whose files a build of `module` reads, but for its own.
    pub fn dependencies(self, module: Module) -> Keys {
        self.direct(module)
            .iter()
            .fold(Keys::NONE, |all, direct| all.or(Keys::of(direct)).or(self.dependencies(direct)))
    }

    /// Those that `module` itself names.
    pub fn direct(self, module: Module) -> Keys {
        match (self, module) {
            (_, Module::App) => Keys::of(Module::Lib),
            (Self::Chain, Module::Lib) => Keys::of(Module::Base),
            _ => Keys::NONE,
        }
    }

    fn realm(self, module: Module) -> usize {
        match self {
            Self::OneRealm => 0,
            Self::Chain => module as usize,
        }
    }

    pub fn realms(self, modules: Keys) -> Realms {
        Realms(modules.iter().fold(0, |realms, module| realms | 1 << self.realm(module)))
    }

    /// Those in the realm of this one.
    pub fn realm_of(self, module: Module) -> Keys {
        self.modules().iter().filter(|&other| self.realm(other) == self.realm(module)).collect()
    }
}

/// A set of realms: those of what a persist names, or the one of what has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Realms(u8);

impl Realms {
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..Module::ALL.len()).filter(move |realm| self.0 & 1 << realm != 0)
    }
}

impl Module {
    pub const ALL: [Self; 3] = [Self::Lib, Self::App, Self::Base];
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lib => "lib",
            Self::App => "app",
            Self::Base => "base",
        })
    }
}

/// A set of modules: what a statement deletes, what a notification names, what was bumped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Keys(u8);

impl Keys {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self(0b111);

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
