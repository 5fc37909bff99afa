//! Makes the certificates of the TLS tests anew, in `testkit/certificates/`:
//!
//! ```sh
//! cargo run --package testkit --example certificates
//! ```
//!
//! They are good for nothing else: their keys are there for everyone to read. But for the expired one they last until
//! the year 4096.

use std::error::Error;
use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("certificates");
    let save = |name: &str, pem: String| fs::write(directory.join(name), pem);

    let ca = authority("pg-generations tests")?;
    save("ca.crt", ca.pem())?;
    let another_ca = authority("pg-generations tests, another")?;
    save("another-ca.crt", another_ca.pem())?;

    let server_key = KeyPair::generate()?;
    save("server.key", server_key.serialize_pem())?;
    let server = named("localhost", vec!["localhost".into()])?;
    save("server.crt", server.signed_by(&server_key, &ca)?.pem())?;
    let mut self_signed = server.clone();
    self_signed.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    save("self-signed.crt", self_signed.self_signed(&server_key)?.pem())?;
    let mut expired = server;
    expired.not_after = date_time_ymd(2001, 1, 1);
    save("expired.crt", expired.signed_by(&server_key, &ca)?.pem())?;

    // Whom PostgreSQL sees in a client certificate is its common name.
    let client_key = KeyPair::generate()?;
    save("client.key", client_key.serialize_pem())?;
    let client = named("client", vec![])?;
    save("client.crt", client.signed_by(&client_key, &ca)?.pem())?;
    save("stranger.crt", client.signed_by(&client_key, &another_ca)?.pem())?;
    Ok(())
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = named(name, vec![])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn named(name: &str, hosts: Vec<String>) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}
