//! What JavaScript has yet to hear. Knows nothing of threads or of Node.

mod calls;
mod notifications;

pub use self::calls::{Answer, CallQueue, Item, Report};
pub use self::notifications::{Content, Delivery, NotificationQueue, NotificationTally};
