//! The one thread that a listener or an examination has to itself, and the runtime that it drives.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Runtime};

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

/// Does `work` with a runtime that lives on the calling thread alone, but for name look-ups and the reading of files:
/// those are done in further threads of the same name, which end by themselves.
///
/// # Errors
/// [`Error::Thread`] if the operating system gives no runtime.
pub fn with_runtime<T>(work: impl FnOnce(&Runtime) -> T) -> Result<T, Error> {
    let runtime = Builder::new_current_thread().thread_name(NAME).enable_all().build().map_err(failed)?;
    let outcome = work(&runtime);
    // Not dropped: a name look-up may hang in one of its threads, and nobody is to wait for that.
    runtime.shutdown_background();
    Ok(outcome)
}

fn failed(error: io::Error) -> Error {
    Error::Thread(Arc::new(error))
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
            let further = with_runtime(|runtime| runtime.block_on(runtime.spawn_blocking(name)));
            (name(), further.expect("a runtime").expect("no panic"))
        };
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = spawn(move || sender.send(names()).expect("somebody waits")).expect("a thread");
        assert_eq!(receiver.recv(), Ok((Some(NAME.into()), Some(NAME.into()))));
        thread.join().expect("no panic");
    }
}
