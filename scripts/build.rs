//! The link flags of a Node addon. A plain `cargo test` of the core needs none of them.

fn main() {
    if std::env::var_os("CARGO_FEATURE_NODE").is_some() {
        napi_build::setup();
    }
}
