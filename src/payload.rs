//! The wire format of an invalidation.
//!
//! Peers written in JavaScript read and write the same payloads, so encoding yields the bytes of `JSON.stringify`
//! and decoding accepts what `JSON.parse` accepts:
//!
//! ```text
//! {"k":"module","r":"<realm URL>","m":["<module URL>", ...]}
//! {"k":"realm","r":"<realm URL>"}
//! {"k":"global"}
//! ```
//!
//! An invalidation that does not fit a payload is sent as a wider one. It is never dropped, and encoding never fails
//! for size.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The channel that invalidations are sent on.
pub const CHANNEL: &str = "module_cache_invalidated";

/// A fan-out is split into payloads of at most this many bytes.
pub const BUDGET: usize = 7_000;

/// The longest payload there is, in bytes: PostgreSQL refuses 8,000 and more.
pub const LIMIT: usize = 7_999;

/// What became stale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalidation<'a> {
    /// Some modules of one realm; at least one.
    Module {
        /// The resolved URL of the realm.
        realm: Cow<'a, str>,
        /// The URLs of the modules, as they were sent.
        modules: Vec<Cow<'a, str>>,
    },
    /// Every module of one realm.
    Realm {
        /// The resolved URL of the realm.
        realm: Cow<'a, str>,
    },
    /// Every module of every realm.
    Global,
}

impl<'a> Invalidation<'a> {
    /// Reads a payload, which anyone who can connect to the database may have written. `None` if it is no
    /// invalidation.
    ///
    /// URLs are borrowed from the payload unless they hold an escape. Nesting of any depth is read in constant stack.
    /// TypeScript has the same rule, in ts/codec.ts: `__test__/codec/codec.spec.ts` holds the two together.
    pub fn decode(payload: &'a str) -> Option<Self> {
        // In one pass, as peers write them. What that stumbles over may be in a member that does not count.
        if let Ok(Members { k, r, m }) = serde_json::from_str::<Members<Text, Vec<Text>>>(payload) {
            return Self::assemble(k?, || r, || m);
        }
        let Members { k, r, m } = serde_json::from_str::<Members<&RawValue, &RawValue>>(payload).ok()?;
        Self::assemble(read(k?)?, || read(r?), || read(m?))
    }

    /// The kind says which of the members count.
    fn assemble(
        kind: Text<'a>,
        realm: impl FnOnce() -> Option<Text<'a>>,
        modules: impl FnOnce() -> Option<Vec<Text<'a>>>,
    ) -> Option<Self> {
        match &*kind.0 {
            "module" => {
                let realm = realm()?.url()?;
                let modules: Vec<_> = modules()?.into_iter().map(Text::url).collect::<Option<_>>()?;
                (!modules.is_empty()).then_some(Invalidation::Module { realm, modules })
            }
            "realm" => Some(Invalidation::Realm { realm: realm()?.url()? }),
            "global" => Some(Invalidation::Global),
            _ => None,
        }
    }

    /// The same invalidation, independent of the payload it was read from.
    pub fn into_owned(self) -> Invalidation<'static> {
        fn own(url: Cow<'_, str>) -> Cow<'static, str> {
            Cow::Owned(url.into_owned())
        }
        match self {
            Invalidation::Module { realm, modules } => {
                Invalidation::Module { realm: own(realm), modules: modules.into_iter().map(own).collect() }
            }
            Invalidation::Realm { realm } => Invalidation::Realm { realm: own(realm) },
            Invalidation::Global => Invalidation::Global,
        }
    }
}

/// A realm or module URL was empty: no peer would accept the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a realm or module URL must not be empty")]
pub struct EmptyUrl;

/// The payloads that invalidate `modules` of `realm`, in order; none for no modules.
///
/// Each module is sent once, in as few payloads of [`BUDGET`] bytes as the order allows. A module that needs more goes
/// alone, and one that does not even fit [`LIMIT`] widens the whole fan-out to the realm.
///
/// # Errors
///
/// [`EmptyUrl`] if the realm's URL or that of any module is empty.
pub fn encode_modules<S: AsRef<str>>(realm: &str, modules: &[S]) -> Result<Vec<String>, EmptyUrl> {
    const CLOSE: &str = "]}";

    if realm.is_empty() || modules.iter().any(|url| url.as_ref().is_empty()) {
        return Err(EmptyUrl);
    }
    let open = format!(r#"{{"k":"module","r":{},"m":["#, quote(realm));
    let mut payloads = Vec::new();
    let mut payload = String::new();
    let mut sent = HashSet::with_capacity(modules.len());
    for url in modules.iter().map(AsRef::as_ref).filter(|url| sent.insert(*url)) {
        let url = quote(url);
        if open.len() + url.len() + CLOSE.len() > LIMIT {
            return Ok(vec![encode_realm(realm)?]);
        }
        if payload.is_empty() {
            payload.push_str(&open);
        } else if payload.len() + ",".len() + url.len() + CLOSE.len() <= BUDGET {
            payload.push(',');
        } else {
            payload.push_str(CLOSE);
            payloads.push(std::mem::replace(&mut payload, open.clone()));
        }
        payload.push_str(&url);
    }
    if !payload.is_empty() {
        payload.push_str(CLOSE);
        payloads.push(payload);
    }
    Ok(payloads)
}

/// The payload that invalidates all of `realm`; the global one if the URL is too long for [`LIMIT`].
///
/// # Errors
///
/// [`EmptyUrl`] if the realm's URL is empty.
pub fn encode_realm(realm: &str) -> Result<String, EmptyUrl> {
    if realm.is_empty() {
        return Err(EmptyUrl);
    }
    let payload = format!(r#"{{"k":"realm","r":{}}}"#, quote(realm));
    Ok(if payload.len() <= LIMIT { payload } else { encode_global() })
}

/// The payload that invalidates everything.
pub fn encode_global() -> String {
    r#"{"k":"global"}"#.to_owned()
}

/// `text` as a JSON string. serde_json escapes what `JSON.stringify` escapes, and in the same way.
fn quote(text: &str) -> String {
    serde_json::to_string(text).expect("a string always has a JSON form")
}

/// A value that was left unread. Fails for an escaped lone surrogate, which no Rust string can hold.
fn read<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

/// A string, borrowed unless it holds an escape.
struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    fn url(self) -> Option<Cow<'a, str>> {
        (!self.0.is_empty()).then_some(self.0)
    }
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// A string, or what may be one.
trait Name {
    fn is(&self, name: &str) -> bool;
}

impl Name for Text<'_> {
    fn is(&self, name: &str) -> bool {
        self.0 == name
    }
}

impl Name for &RawValue {
    fn is(&self, name: &str) -> bool {
        read::<Text>(self).is_some_and(|text| text.is(name))
    }
}

/// The members that may count, each as it was last given. As raw values nothing is recursed into, and what is ignored
/// cannot fail where `JSON.parse` would not.
struct Members<T, L> {
    k: Option<T>,
    r: Option<T>,
    m: Option<L>,
}

impl<'de, T: Deserialize<'de> + Name, L: Deserialize<'de>> Deserialize<'de> for Members<T, L> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor<T, L>(PhantomData<(T, L)>);

        impl<'de, T: Deserialize<'de> + Name, L: Deserialize<'de>> Visitor<'de> for MembersVisitor<T, L> {
            type Value = Members<T, L>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Members { k: None, r: None, m: None };
                while let Some(name) = map.next_key::<T>()? {
                    if name.is("k") {
                        members.k = Some(map.next_value()?);
                    } else if name.is("r") {
                        members.r = Some(map.next_value()?);
                    } else if name.is("m") {
                        members.m = Some(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(MembersVisitor(PhantomData))
    }
}
