//! Certificates and keys, in PEM.

use std::fmt;
use std::path::PathBuf;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::Error;

/// Certificates, or a key, as PEM. Its debug print shows nothing of the text.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Pem {
    /// In a file, which is read before every attempt.
    File(PathBuf),
    /// Given as they are.
    Text(String),
}

impl Pem {
    /// PEM has lines, and a path has none.
    pub fn of(value: &str) -> Self {
        if value.contains('\n') { Self::Text(value.to_owned()) } else { Self::File(value.into()) }
    }

    /// Its certificates, at least one, which the setting `keyword` gives.
    pub fn certificates(&self, keyword: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
        let certificates =
            CertificateDer::pem_slice_iter(&self.read(keyword)?).collect::<Result<Vec<_>, _>>();
        let node = if keyword == "sslrootcert" { "ca" } else { "cert" };
        certificates
            .ok()
            .filter(|certificates| !certificates.is_empty())
            .ok_or_else(|| invalid(format!("{keyword} (ssl.{node}) holds no certificate in PEM")))
    }

    /// Its key, which `sslkey` gives.
    pub fn key(&self) -> Result<PrivateKeyDer<'static>, Error> {
        PrivateKeyDer::from_pem_slice(&self.read("sslkey")?)
            .map_err(|_| invalid("sslkey (ssl.key) holds no private key without a passphrase".into()))
    }

    /// The text, of which no error says anything.
    fn read(&self, keyword: &str) -> Result<Vec<u8>, Error> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::File(path) => std::fs::read(path)
                .map_err(|error| invalid(format!("{keyword}: cannot read {}: {error}", path.display()))),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Text(_) => f.write_str("Text(_)"),
        }
    }
}

fn invalid(message: String) -> Error {
    Error::InvalidOptions(message)
}
