//! TLS: what the settings demand, and a rustls configuration that demands the same.
//!
//! libpq and node-postgres read some settings differently. What is followed here is the stricter of the two, and
//! settings that contradict each other are refused: nothing that was asked for is left out in silence.
//!
//! | `sslmode`         | TLS                         | the server's certificate                                  |
//! |-------------------|-----------------------------|-----------------------------------------------------------|
//! | not given         | as `prefer`                 | with a root certificate: as `verify-full`                 |
//! | `disable`         | no                          |                                                           |
//! | `allow`, `prefer` | if the server has it for us | not checked; a root certificate is refused                |
//! | `no-verify`       | demanded                    | not checked                                               |
//! | `require`         | demanded                    | with a root certificate: as `verify-ca`; else not checked |
//! | `verify-ca`       | demanded                    | from a root certificate that was given                    |
//! | `verify-full`     | demanded                    | the same, or from the system's roots; and for the host    |

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::conninfo::Conninfo;
use super::pem::Pem;
use super::verifier::LenientVerifier;
use crate::error::Error;

/// What the settings demand of TLS, checked as far as it can be without reading a file.
#[derive(Debug, Clone)]
pub(in crate::listen) struct Tls {
    mode: Mode,
    versions: &'static [&'static SupportedProtocolVersion],
    /// Whether the server may see our certificate.
    shows_certificate: bool,
    root: Option<Pem>,
    certificate: Option<Pem>,
    key: Option<Pem>,
    server_name: Option<String>,
    directory: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Disable,
    Prefer,
    NoVerify,
    Require,
    VerifyCa,
    VerifyFull,
}

/// libpq's name for the roots that the operating system trusts.
const SYSTEM: &str = "system";

impl Tls {
    pub fn new(given: &Conninfo) -> Result<Self, Error> {
        let root = given.pem("sslrootcert");
        let mode = match given.get("sslmode") {
            // Who gives a root certificate wants it used.
            None if root.is_some() => Mode::VerifyFull,
            None | Some("allow" | "prefer") => Mode::Prefer,
            Some("disable") => Mode::Disable,
            Some("no-verify") => Mode::NoVerify,
            Some("require") => Mode::Require,
            Some("verify-ca") => Mode::VerifyCa,
            Some("verify-full") => Mode::VerifyFull,
            Some(_) => {
                return Err(invalid(
                    "sslmode must be disable, allow, prefer, no-verify, require, verify-ca or verify-full",
                ));
            }
        };
        match (mode, &root) {
            (Mode::Prefer, Some(_)) => Err(invalid(
                "sslmode allow and prefer accept plain text, where a root certificate checks nothing: \
                 use sslmode=verify-full or verify-ca, or leave sslrootcert out",
            )),
            // Anyone can have a certificate from a public authority.
            (Mode::Require | Mode::VerifyCa, Some(Pem::File(path))) if is_system(path) => {
                Err(invalid("sslrootcert=system needs sslmode=verify-full"))
            }
            _ => Ok(()),
        }?;
        let shows_certificate = match given.get("sslcertmode") {
            None | Some("" | "allow") => true,
            Some("disable") => false,
            Some(_) => {
                return Err(invalid(
                    "sslcertmode (PGSSLCERTMODE) must be allow or disable: whether the server asked for a \
                     certificate is not known here",
                ));
            }
        };
        Ok(Self {
            mode,
            versions: versions(given)?,
            shows_certificate,
            root,
            certificate: given.pem("sslcert"),
            key: given.pem("sslkey"),
            server_name: given.get("servername").map(str::to_owned),
            directory: given.get("home").map(|home| Path::new(home).join(".postgresql")),
        })
    }

    /// Whether [`load`](Self::load) may have to wait for the file system.
    pub fn reads_files(&self) -> bool {
        self.mode != Mode::Disable
    }

    /// Reads certificates and key as they are now, since short-lived ones change during a listener's life. `None`
    /// stands for plain text. May wait for the file system.
    pub fn load(&self) -> Result<Option<Connector>, Error> {
        if self.mode == Mode::Disable {
            return Ok(None);
        }
        let provider = Arc::new(ring::default_provider());
        let roots = self.roots()?;
        // libpq reads this one without being told, so its user may rely on it.
        if roots.is_some()
            && let Some(Pem::File(list)) = self.default_file("root.crl")
        {
            let list = list.display();
            return Err(invalid(&format!(
                "revocation lists are not checked, and there is {list}: remove it"
            )));
        }
        let verifies = match (self.mode, &roots) {
            (_, None) => Verified::Nothing,
            (Mode::VerifyFull, Some(_)) => Verified::Host,
            (_, Some(_)) => Verified::Authority,
        };
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(self.versions)
            .map_err(|error| Error::Tls(error.to_string()))?
            // So rustls calls the choice of a verifier, since it may be one that checks too little.
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(roots, provider)?);
        let config = match self.identity()? {
            None => config.with_no_client_auth(),
            Some((certificates, key)) => config
                .with_client_auth_cert(certificates, key)
                .map_err(|error| invalid(&format!("sslcert and sslkey do not make a pair: {error}")))?,
        };
        Ok(Some(Connector {
            tls: MakeRustlsConnect::new(config),
            server_name: self.server_name.clone(),
            optional: self.mode == Mode::Prefer,
            verifies,
        }))
    }

    fn verifier(
        &self,
        roots: Option<RootCertStore>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        Ok(match (self.mode, roots) {
            (Mode::VerifyFull, Some(roots)) => {
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|error| Error::Tls(error.to_string()))?
            }
            (_, roots) => Arc::new(LenientVerifier { roots, provider }),
        })
    }

    /// The authorities that may vouch for the server, where there is to be a check.
    fn roots(&self) -> Result<Option<RootCertStore>, Error> {
        let given = match &self.root {
            _ if matches!(self.mode, Mode::Disable | Mode::Prefer | Mode::NoVerify) => return Ok(None),
            Some(Pem::File(path)) if is_system(path) => return system_roots().map(Some),
            Some(pem) => Some(pem.clone()),
            None => self.default_file("root.crt"),
        };
        match (given, self.mode) {
            (Some(pem), _) => {
                let mut roots = RootCertStore::empty();
                let (usable, _) = roots.add_parsable_certificates(pem.certificates("sslrootcert")?);
                if usable == 0 {
                    return Err(invalid("sslrootcert (ssl.ca) holds no certificate that can be read"));
                }
                Ok(Some(roots))
            }
            (None, Mode::VerifyFull) => system_roots().map(Some),
            (None, Mode::VerifyCa) => Err(invalid(
                "sslmode=verify-ca needs a root certificate: give sslrootcert, or use sslmode=verify-full",
            )),
            (None, _) => Ok(None),
        }
    }

    /// Who we are, should the server ask.
    fn identity(&self) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, Error> {
        if !self.shows_certificate {
            return Ok(None);
        }
        let certificate = self.certificate.clone().or_else(|| self.default_file("postgresql.crt"));
        let key = self.key.clone().or_else(|| self.default_file("postgresql.key"));
        match (certificate, key) {
            (Some(certificate), Some(key)) => {
                let key = key.key()?;
                Ok(Some((certificate.certificates("sslcert")?, key)))
            }
            (Some(_), None) => Err(invalid("sslcert (ssl.cert) needs an sslkey (ssl.key)")),
            (None, _) if self.key.is_some() => Err(invalid("sslkey (ssl.key) needs an sslcert (ssl.cert)")),
            (None, _) => Ok(None),
        }
    }

    /// A file that libpq reads without being told, if it exists.
    fn default_file(&self, name: &str) -> Option<Pem> {
        let path = self.directory.as_ref()?.join(name);
        // One that cannot be looked at counts as there, so that reading it says why.
        path.try_exists().unwrap_or(true).then_some(Pem::File(path))
    }
}

/// What is checked of a server before it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// Nothing: whoever answers is believed.
    Nothing,
    /// That an authority we trust vouches for its certificate, whomever that is for.
    Authority,
    /// That, and that the certificate is for this host.
    Host,
}

/// Makes connections speak TLS.
#[derive(Clone)]
pub(in crate::listen) struct Connector {
    tls: MakeRustlsConnect,
    server_name: Option<String>,
    /// Whether plain text will do where TLS cannot be had.
    pub optional: bool,
    pub verifies: Verified,
}

/// The handshake of one connection.
pub(in crate::listen) type Handshake = <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::TlsConnect;

impl Connector {
    /// A handshake with a server that has to be `host`, unless the settings give it another name.
    pub fn handshake(&self, host: &str) -> Handshake {
        let name = self.server_name.as_deref().unwrap_or(host);
        let Ok(handshake) = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut self.tls.clone(), name);
        handshake
    }
}

fn system_roots() -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(Error::Tls(
            "the system has no root certificates: install them (ca-certificates), or give sslrootcert (ssl.ca)"
                .into(),
        ));
    }
    Ok(roots)
}

const BOTH: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];
const OLDEST: &[&SupportedProtocolVersion] = &[&TLS12];
const NEWEST: &[&SupportedProtocolVersion] = &[&TLS13];

/// The versions of TLS from `ssl_min_protocol_version` to `ssl_max_protocol_version`. Below 1.2 there is none.
fn versions(given: &Conninfo) -> Result<&'static [&'static SupportedProtocolVersion], Error> {
    let newest_only = match given.get("ssl_min_protocol_version") {
        None | Some("" | "TLSv1" | "TLSv1.1" | "TLSv1.2") => false,
        Some("TLSv1.3") => true,
        Some(_) => return Err(invalid("ssl_min_protocol_version must be TLSv1.2 or TLSv1.3")),
    };
    match (newest_only, given.get("ssl_max_protocol_version")) {
        (false, None | Some("" | "TLSv1.3")) => Ok(BOTH),
        (true, None | Some("" | "TLSv1.3")) => Ok(NEWEST),
        (false, Some("TLSv1.2")) => Ok(OLDEST),
        (_, Some(_)) => Err(invalid(
            "ssl_max_protocol_version must be TLSv1.2 or TLSv1.3, and not below ssl_min_protocol_version",
        )),
    }
}

fn is_system(path: &Path) -> bool {
    path == Path::new(SYSTEM)
}

fn invalid(message: &str) -> Error {
    Error::InvalidOptions(message.into())
}
