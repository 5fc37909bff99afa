//! How the listener's thread sleeps while nothing but its socket matters: in a call of the system that ends when the socket
//! can be read, and not in the runtime's. Between that call and the counters then lies no reactor, no timer wheel and no
//! tree of futures, which take longer than all else where a notification comes now and then: their memory is in no cache.
//!
//! The thread leaves for the runtime when a [`Bell`] rings, which is when anything that was polled is woken, and ahead of
//! the next [deadline](super::deadlines), since the runtime's timers are not its own. Where the platform has no `poll`,
//! it sleeps in the runtime.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use parking_lot::Mutex;

pub(super) use self::platform::Direct;
use self::platform::Ear;

thread_local! {
    /// The bell of the work that is being polled.
    static BELL: RefCell<Option<Arc<Bell>>> = const { RefCell::new(None) };
    static PARKED: Cell<bool> = const { Cell::new(false) };
}

/// Does `work`, which may park.
pub(super) async fn with_bell<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    // Without one it does not park.
    let bell = Ear::new().map(|ear| Arc::new(Bell::new(ear)));
    let waker = bell.clone().map(Waker::from);
    poll_fn(|cx| {
        let (Some(bell), Some(waker)) = (&bell, &waker) else { return work.as_mut().poll(cx) };
        bell.hang(cx.waker());
        let _hung = Hung(BELL.replace(Some(Arc::clone(bell))));
        work.as_mut().poll(&mut Context::from_waker(waker))
    })
    .await
}

/// Sleeps until the socket can be read, and calls `read`, as long as that says that there is nothing else to do. Then, or
/// when the bell rings, it is time to return to the runtime.
pub(super) fn park(socket: &Direct, mut read: impl FnMut() -> bool) {
    let Some(bell) = BELL.with_borrow(Option::clone) else { return };
    if !bell.settled.load(Ordering::Relaxed) {
        return bell.ask_again();
    }
    while bell.wait(socket) {
        PARKED.set(true);
        let _parked = Parked;
        if !read() {
            break;
        }
    }
}

/// Whether the socket can be read, and the runtime does not know.
pub(super) fn is_parked() -> bool {
    PARKED.get()
}

struct Parked;

impl Drop for Parked {
    fn drop(&mut self) {
        PARKED.set(false);
    }
}

struct Hung(Option<Arc<Bell>>);

impl Drop for Hung {
    fn drop(&mut self) {
        BELL.set(self.0.take());
    }
}

/// Wakes the runtime, and the thread where it is parked.
struct Bell {
    runtime: Mutex<Option<Waker>>,
    /// Whether there was a wake since the work was polled last.
    rung: AtomicBool,
    /// Whether there was none before that, so that all of the work has been polled since the latest.
    settled: AtomicBool,
    asleep: AtomicBool,
    ear: Ear,
}

impl Bell {
    fn new(ear: Ear) -> Self {
        let no = || AtomicBool::new(false);
        Self { runtime: Mutex::default(), rung: AtomicBool::new(true), settled: no(), asleep: no(), ear }
    }

    fn hang(&self, waker: &Waker) {
        self.settled.store(!self.rung.swap(false, Ordering::SeqCst), Ordering::Relaxed);
        let mut runtime = self.runtime.lock();
        if !runtime.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *runtime = Some(waker.clone());
        }
    }

    /// Has the work polled once more, though nothing of it is woken.
    fn ask_again(&self) {
        let runtime = self.runtime.lock().clone();
        if let Some(runtime) = runtime {
            runtime.wake();
        }
    }

    /// Sleeps. Whether it was for the socket that it ended.
    fn wait(&self, socket: &Direct) -> bool {
        // Either this finds what the bell has rung for, or the bell finds that this sleeps.
        self.asleep.store(true, Ordering::SeqCst);
        let readable = !self.rung.load(Ordering::SeqCst) && self.ear.until_readable(socket);
        self.asleep.store(false, Ordering::SeqCst);
        readable && !self.rung.load(Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) {
            self.ear.ring();
        }
        self.ask_again();
    }
}

#[cfg(unix)]
mod platform {
    use std::io::{self, Read, Write};
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use tokio::time::Instant;

    use super::super::deadlines;

    /// A socket, beside the runtime's handle to it.
    #[derive(Clone)]
    pub struct Direct(Arc<OwnedFd>);

    impl Direct {
        pub fn of(socket: &impl AsFd) -> Option<Self> {
            socket.as_fd().try_clone_to_owned().ok().map(|fd| Self(Arc::new(fd)))
        }

        pub fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
            Ok(rustix::io::read(&self.0, buf)?)
        }
    }

    /// What the bell is heard with.
    pub struct Ear {
        heard: UnixStream,
        ring: UnixStream,
    }

    impl Ear {
        pub fn new() -> Option<Self> {
            let (heard, ring) = UnixStream::pair().ok()?;
            (heard.set_nonblocking(true).is_ok() && ring.set_nonblocking(true).is_ok())
                .then_some(Self { heard, ring })
        }

        pub fn ring(&self) {
            // If it is full it has been rung already.
            let _ = (&self.ring).write(&[0]);
        }

        /// Sleeps until the socket can be read, or there is something else to do. Whether it is the socket.
        pub fn until_readable(&self, socket: &Direct) -> bool {
            let next = deadlines::next().map(|at| at.saturating_duration_since(Instant::now()));
            // The last millisecond is the runtime's, whose timers know no less.
            let limit = match next.map(|left| left.checked_sub(Duration::from_millis(1))) {
                None => None,
                Some(Some(left)) => Timespec::try_from(left).ok(),
                Some(None) => return false,
            };
            let mut fds = [PollFd::new(&*socket.0, PollFlags::IN), PollFd::new(&self.heard, PollFlags::IN)];
            if poll(&mut fds, limit.as_ref()).is_err() {
                return false;
            }
            if !fds[1].revents().is_empty() {
                let _ = (&self.heard).read(&mut [0; 64]);
            }
            !fds[0].revents().is_empty()
        }
    }
}

#[cfg(not(unix))]
mod platform {
    use std::convert::Infallible;
    use std::io;

    #[derive(Clone)]
    pub struct Direct(Infallible);

    impl Direct {
        pub fn of<T>(_: &T) -> Option<Self> {
            None
        }

        pub fn read(&self, _: &mut [u8]) -> io::Result<usize> {
            match self.0 {}
        }
    }

    pub struct Ear(Infallible);

    impl Ear {
        pub fn new() -> Option<Self> {
            None
        }

        pub fn ring(&self) {
            match self.0 {}
        }

        pub fn until_readable(&self, _: &Direct) -> bool {
            match self.0 {}
        }
    }
}

#[cfg(all(test, unix))]
mod tests;
