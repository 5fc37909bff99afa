//! A path through the model, told one line a step.

use stateright::Path;

use crate::checking::{Action, Cache};
use crate::database::{Lock, Transaction};
use crate::keys::{Keys, Module};
use crate::protocol::{Notifies, Step};
use crate::world::{Invalidation, Link, Operation, Persist, UNREAD, Versions, World};

/// The shortest way to a stale row, as the checker found it.
pub struct Story(Vec<String>);

impl Story {
    pub fn new(model: &Cache, path: Path<World, Action>) -> Self {
        let steps = path.into_vec();
        let mut lines = vec![beginning(&steps[0].0)];
        for pair in steps.windows(2) {
            if let [(before, Some(action)), (after, _)] = pair {
                lines.push(line(model, before, *action, after));
            }
        }
        let (end, _) = &steps[steps.len() - 1];
        lines.extend(end.stale_rows().map(|(module, _)| ending(end, module)));
        Self(lines)
    }

    pub fn print(&self, title: &str) {
        println!("\n{title}");
        for (number, line) in self.0.iter().enumerate() {
            println!("{number:4}  {line}");
        }
    }

    /// The steps are in the story, in this order, each with what is beside it.
    pub fn assert_has(&self, essential: &[&str]) {
        let mut rest = self.0.iter();
        for step in essential {
            assert!(rest.any(|line| line.contains(step)), "not in the story, or not in this place: {step}");
        }
    }

    pub fn assert_lacks(&self, step: &str) {
        assert!(!self.0.iter().any(|line| line.contains(step)), "in the story: {step}");
    }
}

fn line(model: &Cache, before: &World, action: Action, after: &World) -> String {
    let protocol = &model.protocol;
    match action {
        Action::StartPersist(process, module) => {
            let now = after.processes[process].persist.as_ref().map_or([0; 3], |persist| persist.built);
            let first = persist_line(protocol.persist[0], module, &now, before, after, process);
            format!("{} builds {module:?}: {first}", name(process))
        }
        Action::Persist(process) => {
            let Some(Persist { module, next, mut built, .. }) = before.processes[process].persist else {
                return String::new();
            };
            if let Some(persist) = &after.processes[process].persist {
                built = persist.built;
            }
            let step = protocol.persist[usize::from(next)];
            format!("{} {}", name(process), persist_line(step, module, &built, before, after, process))
        }
        Action::StartInvalidation(process, operation) => {
            let files: Vec<_> =
                operation.covers(protocol.layout).iter().map(|module| file(module, &after.files)).collect();
            format!(
                "{} changes a file, now {}, and calls {}",
                name(process),
                files.join(" and "),
                call(operation)
            )
        }
        Action::Invalidation(process) => {
            let Some(task) = &before.processes[process].invalidation else { return String::new() };
            let step = protocol.steps(task.operation)[usize::from(task.next)];
            let after = after.processes[process].invalidation.as_ref().unwrap_or(task);
            format!("{} {}", name(process), invalidation_line(step, task, after))
        }
        Action::Deliver(process) => {
            let keys = before.database.queue[usize::from(before.processes[process].position)].keys;
            format!("{}'s listener receives the notification of {keys:?}, and bumps", name(process))
        }
        Action::Signal(notification) => {
            let keys = before.database.queue[notification].keys;
            format!("PostgreSQL signals the listening backends that {keys:?} was notified")
        }
        Action::Reconnect(process) => format!(
            "{}'s listener {}",
            name(process),
            match (before.processes[process].link, after.processes[process].link) {
                (_, Link::Listening) => "is connected again: LISTEN is in force",
                (Link::Listening, _) => "bumps the global generation: its counters are proven again",
                (_, Link::Bumped) => "is connected again, and bumps the global generation",
                (Link::Bumped, _) => "has LISTEN in force: its counters are proven again",
                _ => "is connected again, LISTEN is in force, and its counters count as proven",
            }
        ),
        Action::Notice(process) => {
            format!("{}'s heartbeat finds its listener's connection dead", name(process))
        }
        Action::Lose(process) => format!("{}'s listener loses its connection", name(process)),
        Action::Silence(process) => format!("{}'s listener's connection dies silently", name(process)),
        Action::Crash(process) => format!("{} is killed, and started again", name(process)),
        Action::DisconnectPersist(process) => {
            format!("{} loses the connection of its persist's transaction", name(process))
        }
        Action::DisconnectInvalidation(process) => {
            format!("{} loses the connection of its invalidation's transaction", name(process))
        }
        Action::CommitOrphan(orphan) => {
            let what = transaction(&before.database.orphans[orphan]);
            format!("PostgreSQL commits what is left of a lost client: {what}")
        }
        Action::RollBackOrphan(orphan) => {
            let what = transaction(&before.database.orphans[orphan]);
            format!("PostgreSQL rolls back what is left of a lost client: {what}")
        }
    }
}

fn persist_line(
    step: Step,
    module: Module,
    built: &Versions,
    before: &World,
    after: &World,
    process: usize,
) -> String {
    let gave_up = after.processes[process].persist.is_none();
    match step {
        Step::Snapshot => "takes a snapshot".to_owned(),
        Step::ReadModule => format!("reads {}", file(module, built)),
        Step::ReadDependencies => {
            format!("reads {} for {module:?}", files(read(built).without(Keys::of(module)).iter(), built))
        }
        Step::Echo | Step::Query if gave_up => "has no connection for a fence, and rolls back".to_owned(),
        Step::Echo => format!("starts an echo, behind {} notifications", before.database.queue.len()),
        Step::Query => "starts a query as a fence".to_owned(),
        Step::Check { .. } => {
            let fence =
                before.processes[process].persist.as_ref().is_some_and(|persist| persist.fence.is_some());
            let fence = if fence { "has its fence back, and " } else { "" };
            let verdict = if gave_up { "changed or unproven, and rolls back" } else { "unchanged" };
            format!("{fence}checks: {verdict}")
        }
        Step::Insert => format!("inserts {module:?}, built from {}", built_from(module, built)),
        Step::Commit => format!("commits: its row of {module:?} has landed"),
        step => shared_line(step),
    }
}

fn invalidation_line(step: Step, before: &Invalidation, after: &Invalidation) -> String {
    match step {
        Step::View => "sees the database as it is now, for the whole transaction".to_owned(),
        Step::FanOut => format!("asks for the fan-out: {:?}", after.targets),
        Step::Bump => format!("bumps {:?} in its own counters", before.targets),
        Step::Delete(notifies) => {
            let rows = after.transaction.delete.as_ref().map(|delete| delete.rows);
            let found =
                rows.filter(|rows| !rows.is_empty()).map_or("no row".to_owned(), |rows| format!("{rows:?}"));
            let notifies = match notifies {
                Notifies::Nothing => "",
                Notifies::Targets => ", and notifies",
                Notifies::DeletedRows => ", and notifies what it finds",
            };
            format!("deletes {:?}, finds {found}{notifies}", before.targets)
        }
        Step::Notify => format!("notifies {:?}", before.targets),
        Step::Commit => format!("commits: {}", transaction(&before.transaction)),
        step => shared_line(step),
    }
}

fn shared_line(step: Step) -> String {
    let mode = |lock| if lock == Lock::Exclusive { "exclusive" } else { "shared" };
    match step {
        Step::Global(lock) => format!("has the global lock, {}", mode(lock)),
        Step::Realm(lock) => format!("has the realm's lock, {}", mode(lock)),
        Step::Unlock => "lets go of its locks".to_owned(),
        step => format!("{step:?}"),
    }
}

fn transaction(transaction: &Transaction) -> String {
    let upsert = transaction.upsert.map(|(module, _)| format!("the row of {module:?}"));
    let delete = transaction.delete.as_ref().map(|_| "the DELETE".to_owned());
    let notify = transaction.notify.map(|keys| format!("the notification of {keys:?}"));
    let parts: Vec<_> = upsert.into_iter().chain(delete).chain(notify).collect();
    parts.join(" and ")
}

fn beginning(world: &World) -> String {
    let visible = world.database.visible();
    if visible.is_empty() { "There is no row.".to_owned() } else { format!("There are rows of {visible:?}.") }
}

fn ending(world: &World, module: Module) -> String {
    let Some(row) = world.database.rows[module as usize] else { return String::new() };
    let promised = world.database.outdated(&row.built).iter();
    let promised = files(promised, &world.database.promised);
    format!(
        "STALE: the row of {module:?} is built from {}, after an invalidation for {promised}",
        built_from(module, &row.built)
    )
}

fn built_from(module: Module, versions: &Versions) -> String {
    files(std::iter::once(module).chain(read(versions).without(Keys::of(module)).iter()), versions)
}

fn read(built: &Versions) -> Keys {
    Module::ALL.into_iter().filter(|&file| built[file as usize] != UNREAD).collect()
}

fn files(modules: impl Iterator<Item = Module>, versions: &Versions) -> String {
    modules.map(|module| file(module, versions)).collect::<Vec<_>>().join(" and ")
}

fn file(module: Module, versions: &Versions) -> String {
    format!("{module:?} v{}", versions[module as usize] + 1)
}

fn call(operation: Operation) -> String {
    match operation {
        Operation::Invalidate(module) => format!("invalidate({module:?})"),
        Operation::ClearRealm => "clearRealmCache()".to_owned(),
        Operation::ClearAll => "clearAllModules()".to_owned(),
    }
}

fn name(process: usize) -> &'static str {
    ["A", "B"][process]
}
