//! Whatever arrives on the channel: no panic, the same answer as a full JSON parser gives, and what was understood
//! survives being sent on.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pg_generations::payload::{Invalidation, LIMIT, encode_global, encode_modules, encode_realm};
use serde_json::Value;

fuzz_target!(|payload: &str| {
    let decoded = Invalidation::decode(payload);
    // The full parser has limits of its own, on depth and on numbers; where it gets through, the two agree.
    if let Ok(value) = serde_json::from_str::<Value>(payload) {
        assert_eq!(decoded, reference(&value));
    }
    let payloads = match &decoded {
        None => return,
        Some(Invalidation::Module { realm, modules }) => encode_modules(realm, modules).unwrap(),
        Some(Invalidation::Realm { realm }) => vec![encode_realm(realm).unwrap()],
        Some(Invalidation::Global) => vec![encode_global()],
    };
    assert!(!payloads.is_empty());
    for payload in payloads {
        assert!(payload.len() <= LIMIT);
        assert!(Invalidation::decode(&payload).is_some());
    }
});

fn reference(value: &Value) -> Option<Invalidation<'_>> {
    let url = |value: &Value| value.as_str().filter(|url| !url.is_empty()).map(|url| url.to_owned().into());
    match value.get("k")?.as_str()? {
        "module" => {
            let modules = value.get("m")?.as_array()?;
            let modules = modules.iter().map(url).collect::<Option<Vec<_>>>().filter(|all| !all.is_empty())?;
            Some(Invalidation::Module { realm: url(value.get("r")?)?, modules })
        }
        "realm" => Some(Invalidation::Realm { realm: url(value.get("r")?)? }),
        "global" => Some(Invalidation::Global),
        _ => None,
    }
}
