//! How to connect: from what a caller gives to settings that can be dialled.
//!
//! Every setting has one name, libpq's keyword, and one row in the table of [`libpq`]. Text becomes a [`Conninfo`], a
//! map by these keywords; layers of them are merged, and [`Settings::new`] checks the result once.

mod conninfo;
mod libpq;
mod settings;
mod target;
mod url;

pub(super) use self::conninfo::Pem;
pub use self::conninfo::{Answer, Ask, Conninfo};
pub use self::libpq::keywords;
pub use self::settings::Settings;
pub(super) use self::target::Target;
