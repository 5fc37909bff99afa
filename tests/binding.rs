//! What every function of the binding has to carry, read from its source: the tests of Rust do not compile it.
#![cfg(not(pg_generations_loom))]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

/// A panic in a `#[napi]` function without `catch_unwind` ends the process instead of throwing an error.
#[test]
fn every_function_of_the_binding_catches_panics() {
    let mut guarded = 0;
    let mut unguarded = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/node")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        for (attribute, function) in exported_functions(&source) {
            if attribute.contains("catch_unwind") {
                guarded += 1;
            } else {
                unguarded.push(format!("{}: {function}", path.display()));
            }
        }
    }
    assert!(unguarded.is_empty(), "{unguarded:?}");
    assert!(guarded > 0, "no function was found at all");
}

/// napi catches no panic in the callback of a thread-safe function, in a finalizer, nor in its own threads: it ends
/// the process (`npm run more panics`). So there is to be no code of ours, but for the drop of a handle.
#[test]
fn nothing_of_ours_runs_where_napi_catches_no_panic() {
    let forbidden = [
        "build_callback",
        "impl ToNapiValue",
        "ObjectFinalize",
        "finalize",
        "|_, owner|",
        "AsyncTask",
        "async fn",
    ];
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/node")).unwrap() {
        let source = fs::read_to_string(entry.unwrap().path()).unwrap();
        let code: String = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        // A finalizer that does no more than that.
        let source = code.replace("|_, owner| drop(owner)", "");
        let found: Vec<_> = forbidden.iter().filter(|pattern| source.contains(*pattern)).collect();
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn a_function_without_it_is_found_and_nothing_else_is() {
    let source = r#"
        #[napi(object)]
        pub struct Item { #[napi(ts_type = "'a'")] pub a: u32 }
        #[napi]
        pub const FN: u32 = 1;
        #[napi]
        /// Not guarded.
        pub fn bare() {}
        #[napi(catch_unwind, ts_return_type = "X")]
        #[inline]
        pub async fn guarded(#[napi(ts_arg_type = "Y")] y: Y) {}
    "#;
    let found: Vec<_> = exported_functions(source).collect();
    let guard = r#"(catch_unwind, ts_return_type = "X")"#;
    assert_eq!(found, [("", "pub fn bare() {}"), (guard, "pub async fn guarded(")]);
}

/// The arguments of each `#[napi]` that stands on a function, with how that function begins.
fn exported_functions(source: &str) -> impl Iterator<Item = (&str, &str)> {
    source.split("#[napi").skip(1).filter_map(|rest| {
        let (attribute, after) = rest.split_once(']')?;
        let item = after
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty() && !line.starts_with("//") && !line.starts_with("#["))?;
        let mut words = item.split_whitespace().take_while(|word| !word.contains(':'));
        words.any(|word| word == "fn").then_some((attribute, item))
    })
}
