//! npm/THIRD-PARTY-LICENSES, which goes with every binary, leaves nobody out.

#![allow(clippy::unwrap_used, reason = "a failed assumption here is a failed test")]

use std::process::Command;

#[test]
fn every_crate_in_the_binary_is_named_with_its_licence() {
    let options =
        "tree --offline --no-default-features --features node --edges normal --prefix none --format {p}";
    let tree = Command::new(env!("CARGO"))
        .args(options.split(' '))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let licences = include_str!("../npm/THIRD-PARTY-LICENSES");
    let (mut crates, mut missing) = (0, Vec::new());
    for line in tree.lines() {
        // "name v1.2.3", and where it is from or that it was there before.
        let mut words = line.split(' ');
        let (Some(name), Some(version)) = (words.next(), words.next()) else { continue };
        if name == env!("CARGO_PKG_NAME") {
            continue;
        }
        crates += 1;
        let named = format!("    {name} {}", version.trim_start_matches('v'));
        // What follows is the end of the line, or where it is from.
        if !licences.lines().any(|line| line == named || line.starts_with(&format!("{named} "))) {
            missing.push(named.trim().to_owned());
        }
    }
    assert!(crates > 50, "{tree}");
    assert!(missing.is_empty(), "npm run more licences: {missing:?} missing");
}
