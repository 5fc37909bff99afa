//! How to connect: from what a caller gives to settings that can be dialled.
//!
//! Every setting has one name, libpq's keyword, and one row in the table of [`libpq`]. Text becomes a [`Conninfo`], a
//! map by these keywords; layers of them are merged, and [`Settings::new`] checks the result once.

mod authentication;
mod conninfo;
mod libpq;
mod pem;
mod settings;
mod target;
mod timings;
mod tls;
mod url;
mod verifier;

pub(super) use self::authentication::Methods;
pub use self::conninfo::{Ask, Conninfo};
pub use self::libpq::keywords;
pub use self::settings::Settings;
pub(super) use self::target::Target;
pub use self::timings::Timings;
pub use self::tls::Verified;
pub(super) use self::tls::{Connector, Handshake};
