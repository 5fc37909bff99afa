//! The one thread that a listener or an examination has to itself, the runtime that it drives, and further threads for what blocks.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::error::Error;

/// What people see in `top -H` and in a debugger.
const NAME: &str = "pg-generations";

/// Does `work` on a new thread.
///
/// # Errors
/// [`Error::Thread`] if the operating system gives no thread.
pub fn spawn(work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    std::thread::Builder::new().name(NAME.into()).spawn(work).map_err(failed)
}

/// Does `work` with a runtime that lives on the calling thread alone.
///
/// # Errors
/// [`Error::Thread`] if the operating system gives no runtime.
pub fn with_runtime<T>(work: impl FnOnce(&Runtime) -> T) -> Result<T, Error> {
    Ok(work(&Builder::new_current_thread().enable_all().build().map_err(failed)?))
}

/// Does in a thread of its own what may block: name look-ups and the reading of files. If the future is dropped, nothing waits for
/// that thread. The runtime's own way panics where there is no thread to be had.
///
/// # Errors
/// [`Error::Thread`] if the operating system gives no thread, [`Error::Panic`] if the work panics.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let (sender, receiver) = oneshot::channel();
    // It fails if nobody waits any more.
    spawn(move || drop(sender.send(catch_unwind(AssertUnwindSafe(work)))))?;
    match receiver.await {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(panic)) => Err(Error::Panic(panic_text(&*panic))),
        Err(_) => Err(Error::Panic("a thread ended without a result".into())),
    }
}

fn failed(error: io::Error) -> Error {
    Error::Thread(Arc::new(error))
}

/// What a panic says.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Option<String> {
        std::thread::current().name().map(str::to_owned)
    }

    #[test]
    fn every_thread_has_the_name() {
        let names = || {
            let further = with_runtime(|runtime| runtime.block_on(blocking(name)));
            (name(), further.expect("a runtime").expect("no panic"))
        };
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = spawn(move || sender.send(names()).expect("somebody waits")).expect("a thread");
        assert_eq!(receiver.recv(), Ok((Some(NAME.into()), Some(NAME.into()))));
        thread.join().expect("no panic");
    }
    #[test]
    fn a_panic_of_what_blocks_is_an_error() {
        let outcome = with_runtime(|runtime| runtime.block_on(blocking(|| panic!("on purpose"))));
        assert!(matches!(outcome, Ok(Err::<(), _>(Error::Panic(text))) if text == "on purpose"));
    }
}
