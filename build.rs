//! Nothing to prepare but the linking of the Node addon.

fn main() {
    // The link flags of a Node addon; a plain `cargo test` of the core needs none of them.
    if std::env::var_os("CARGO_FEATURE_NODE").is_some() {
        napi_build::setup();
    }
}
