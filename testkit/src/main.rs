//! A proxy or a pooler for programs in other languages, in front of the server of a URL.
//!
//! ```sh
//! testkit proxy postgres://…
//! ```
//!
//! prints `{"port":…}` once it accepts connections. Each line that it reads is a command, as
//! `{"id":1,"command":"hold","argument":"to client"}`; each is answered by a line, `{"id":1,"value":…}` or
//! `{"id":1,"error":"…"}`. Commands take effect in the order in which they come, before they are answered; a command
//! that waits holds up no other. The end of the input is the end of the program.

use std::io::{Write, stdin, stdout};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};
use testkit::{Direction, Pooler, Proxy};

fn main() {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("proxy"), Some(url)) => {
            let proxy = Arc::new(Proxy::to(&url));
            say(&json!({ "port": proxy.port() }));
            serve(&proxy);
        }
        (Some("pooler"), Some(url)) => {
            let pooler = Pooler::before(&url);
            say(&json!({ "port": pooler.port() }));
            for _ in stdin().lines() {}
        }
        _ => {
            eprintln!("usage: testkit proxy|pooler <url>");
            std::process::exit(2);
        }
    }
}

fn serve(proxy: &Arc<Proxy>) {
    for line in stdin().lines() {
        let Ok(line) = line else { return };
        let request: Value = serde_json::from_str(&line).unwrap_or_default();
        let waits = request["command"].as_str().is_some_and(|command| command.starts_with("waitFor"));
        let proxy = Arc::clone(proxy);
        let answer = move || {
            // A wait in vain is a panic.
            let outcome = panic::catch_unwind(AssertUnwindSafe(|| obey(&proxy, &request)));
            let id = &request["id"];
            say(&match outcome {
                Ok(Ok(value)) => json!({ "id": id, "value": value }),
                Ok(Err(error)) => json!({ "id": id, "error": error }),
                Err(panic) => json!({ "id": id, "error": message(&*panic) }),
            });
        };
        if waits {
            thread::spawn(answer);
        } else {
            answer();
        }
    }
}

/// What the command asks for: a number, or null where it is only to be done.
fn obey(proxy: &Proxy, request: &Value) -> Result<Value, String> {
    let argument = &request["argument"];
    let unfit = || format!("no such command: {request}");
    let number = || argument.as_u64().and_then(|number| number.try_into().ok()).ok_or_else(unfit);
    let direction = || match argument.as_str() {
        Some("to client") => Ok(Direction::ToClient),
        Some("to server") => Ok(Direction::ToServer),
        Some("both") => Ok(Direction::Both),
        _ => Err(unfit()),
    };
    match request["command"].as_str().ok_or_else(unfit)? {
        "open" => return Ok(proxy.open().into()),
        "accepted" => return Ok(proxy.accepted().into()),
        "cut" => proxy.cut(),
        "reset" => proxy.reset(),
        "cutAfter" => proxy.cut_after(number()?),
        "swallow" => proxy.swallow(direction()?),
        "hold" => proxy.hold(direction()?),
        "holdAt" => proxy.hold_at(number()?),
        "forward" => proxy.forward(direction()?),
        "refuse" => proxy.refuse(),
        "accept" => proxy.accept(),
        "heal" => proxy.heal(),
        "waitForOpen" => proxy.wait_for_open(number()?),
        "waitForAccepted" => proxy.wait_for_accepted(number()?),
        _ => return Err(unfit()),
    }
    Ok(Value::Null)
}

fn say(line: &Value) {
    // Without a reader there is no more to come: its end has closed the input, too.
    let _ = writeln!(stdout(), "{line}");
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message")
}
