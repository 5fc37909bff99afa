//! The codec: the fixtures it shares with the JavaScript tests, and its properties.

#![allow(clippy::unwrap_used)]

use std::borrow::Cow;
use std::collections::HashSet;

use pg_generations::payload::{
    BUDGET, CHANNEL, EmptyUrl, Invalidation, LIMIT, encode_global, encode_modules, encode_realm,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

/// Those cases, of one a line, that have a field of this name.
fn fixtures(field: &str) -> Vec<Value> {
    let cases = include_str!("../__test__/fixtures/payloads.jsonl").lines();
    let all = cases.map(|case| serde_json::from_str::<Value>(case).unwrap());
    let found: Vec<_> = all.filter(|case| case.get(field).is_some()).collect();
    assert!(!found.is_empty());
    found
}

/// A fixture's text: a string, `{"repeat": [string, times]}`, or an array of both.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(text).collect(),
        other => {
            let times = other["repeat"][1].as_u64().unwrap();
            other["repeat"][0].as_str().unwrap().repeat(times.try_into().unwrap())
        }
    }
}

fn texts(values: &Value) -> Vec<String> {
    values.as_array().unwrap().iter().map(text).collect()
}

fn expected(value: &Value) -> Option<Invalidation<'static>> {
    let realm = || Cow::Owned(text(&value["resolvedRealmURL"]));
    match value["kind"].as_str()? {
        "module" => {
            let modules = texts(&value["moduleURLs"]).into_iter().map(Cow::Owned).collect();
            Some(Invalidation::Module { realm: realm(), modules })
        }
        "realm" => Some(Invalidation::Realm { realm: realm() }),
        "global" => Some(Invalidation::Global),
        kind => panic!("no such kind: {kind}"),
    }
}

#[test]
fn decodes_the_fixtures() {
    for case in fixtures("expect") {
        let payload = text(&case["payload"]);
        let decoded = Invalidation::decode(&payload);
        assert_eq!(decoded, expected(&case["expect"]), "{}", case["name"]);
        let owned = decoded.clone().map(Invalidation::into_owned);
        assert_eq!(owned, decoded, "{}, owned", case["name"]);
    }
}

/// What does not count takes decoding off its quick way, and must not change what it finds.
#[test]
fn decodes_the_fixtures_with_an_odd_member() {
    for case in fixtures("expect") {
        let payload = text(&case["payload"]);
        let Some(members) = payload.strip_prefix('{').filter(|rest| rest.starts_with('"')) else { continue };
        let odd = format!(r#"{{"\ud800":0,{members}"#);
        assert_eq!(Invalidation::decode(&odd), expected(&case["expect"]), "{}", case["name"]);
    }
}

#[test]
fn encodes_the_fixtures() {
    for case in fixtures("realm") {
        let (name, realm) = (&case["name"], text(&case["realm"]));
        let payloads = match case.get("modules") {
            Some(modules) => encode_modules(&realm, &texts(modules)),
            None => encode_realm(&realm).map(|payload| vec![payload]),
        };
        if case["payloads"] == "error" {
            assert_eq!(payloads, Err(EmptyUrl), "{name}");
            continue;
        }
        let payloads = payloads.unwrap();
        assert_eq!(payloads, texts(&case["payloads"]), "{name}");
        if let Some(bytes) = case["bytes"].as_array() {
            assert_eq!(payloads.iter().map(String::len).collect::<Vec<_>>(), *bytes, "{name}");
        }
    }
}

#[test]
fn the_fixed_names() {
    assert_eq!(CHANNEL, "module_cache_invalidated");
    assert_eq!(encode_global(), r#"{"k":"global"}"#);
}

#[test]
fn borrows_what_holds_no_escape() {
    let payload = r#"{"k":"module","r":"http://r/","m":["é","\u00e9"]}"#;
    let Some(Invalidation::Module { realm: Cow::Borrowed(_), modules }) = Invalidation::decode(payload)
    else {
        panic!("not a module invalidation with a borrowed realm");
    };
    assert!(matches!(modules[..], [Cow::Borrowed("é"), Cow::Owned(_)]));
}

#[test]
fn nesting_of_any_depth_needs_no_stack() {
    const DEEP: usize = 1_000_000;
    let ignored = format!(r#"{{"k":"global","x":{}{}}}"#, "[".repeat(DEEP), "]".repeat(DEEP));
    let modules = format!(r#"{{"k":"module","r":"x","m":{}{}}}"#, "[".repeat(DEEP), "]".repeat(DEEP));
    std::thread::Builder::new()
        .stack_size(64 * 1024)
        .spawn(move || {
            assert_eq!(Invalidation::decode(&ignored), Some(Invalidation::Global));
            assert_eq!(Invalidation::decode(&modules), None);
            for open in ["[", r#"{"k":"#, r#"[{"m":"#] {
                assert_eq!(Invalidation::decode(&open.repeat(DEEP)), None);
            }
        })
        .unwrap()
        .join()
        .unwrap();
}

/// URLs that are short, strange, or long enough to meet every bound.
fn url() -> impl Strategy<Value = String> {
    let long = (1_000..8_100usize, select(vec!["x", "x", "é", "\n", "\"", "😀"]))
        .prop_map(|(bytes, unit)| unit.repeat(bytes / unit.len()));
    prop_oneof![
        8 => "[a-c]{1,2}",
        8 => "http://r/[a-z]{100,400}",
        8 => vec(any::<char>(), 1..20).prop_map(String::from_iter),
        4 => vec(0..0x80u8, 1..20).prop_map(|bytes| bytes.into_iter().map(char::from).collect()),
        2 => long,
    ]
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// The bytes of the payload that invalidates these modules and nothing else.
fn canonical(realm: &str, modules: &[impl AsRef<str>]) -> String {
    let modules: Vec<_> = modules.iter().map(|url| quoted(url.as_ref())).collect();
    format!(r#"{{"k":"module","r":{},"m":[{}]}}"#, quoted(realm), modules.join(","))
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn a_fan_out_survives_its_encoding(realm in url(), fan_out in vec(url(), 0..80)) {
        let payloads = encode_modules(&realm, &fan_out).unwrap();
        let decoded: Vec<_> = payloads.iter().map(|payload| Invalidation::decode(payload).unwrap()).collect();
        prop_assert!(payloads.iter().all(|payload| payload.len() <= LIMIT));

        if fan_out.iter().any(|url| canonical(&realm, &[url]).len() > LIMIT) {
            prop_assert_eq!(&payloads, &[encode_realm(&realm).unwrap()]);
            let covered = match &decoded[0] {
                Invalidation::Module { .. } => false,
                Invalidation::Realm { realm: decoded } => *decoded == realm,
                Invalidation::Global => quoted(&realm).len() + r#"{"k":"realm","r":}"#.len() > LIMIT,
            };
            prop_assert!(covered);
            return Ok(());
        }

        let mut sent = Vec::new();
        for (i, (payload, invalidation)) in payloads.iter().zip(&decoded).enumerate() {
            let Invalidation::Module { realm: of, modules } = invalidation else {
                return Err(TestCaseError::fail("widened without need"));
            };
            prop_assert_eq!(of, &realm);
            prop_assert_eq!(payload, &canonical(&realm, modules));
            prop_assert!(payload.len() <= BUDGET || modules.len() == 1);
            if let Some(Invalidation::Module { modules: next, .. }) = decoded.get(i + 1) {
                let joined: Vec<_> = modules.iter().chain(&next[..1]).collect();
                prop_assert!(canonical(&realm, &joined).len() > BUDGET, "another URL would have fitted");
            }
            sent.extend(modules.iter().map(|url| &**url));
        }
        let mut seen = HashSet::new();
        let unique: Vec<_> = fan_out.iter().map(String::as_str).filter(|url| seen.insert(*url)).collect();
        prop_assert_eq!(sent, unique);
    }
}

proptest! {
    #![proptest_config(config(5_000))]

    #[test]
    fn arbitrary_text_is_decoded_or_refused(payload in any::<String>()) {
        let _ = Invalidation::decode(&payload);
    }

    #[test]
    fn arbitrary_bytes_are_decoded_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Invalidation::decode(&String::from_utf8_lossy(&bytes));
    }

    /// Whatever is left of a payload that was tampered with, what is read from it is fit to be sent on.
    #[test]
    fn a_mutated_payload_is_decoded_or_refused(
        realm in "[a-c\"é]{1,3}",
        modules in vec("[a-c\\\\é😀\n]{1,3}", 1..4),
        edits in vec((any::<Index>(), any::<Index>(), select(vec![
            "", "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "d83d", "\"k\":", "\"global\"", "\"realm\"", "1e999", " ",
        ])), 1..4),
    ) {
        let mut payload: Vec<char> = encode_modules(&realm, &modules).unwrap()[0].chars().collect();
        for (from, to, with) in edits {
            let from = from.index(payload.len() + 1);
            let to = (from + to.index(4)).min(payload.len());
            payload.splice(from..to, with.chars());
        }
        let payload = String::from_iter(payload);
        match Invalidation::decode(&payload) {
            Some(Invalidation::Module { realm, modules }) => {
                prop_assert!(!encode_modules(&realm, &modules).unwrap().is_empty());
            }
            Some(Invalidation::Realm { realm }) => prop_assert!(encode_realm(&realm).is_ok()),
            Some(Invalidation::Global) | None => {}
        }
    }
}
