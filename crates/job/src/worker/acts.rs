//! What a worker does with one message: each action of the protocol, and what came of it.

use std::sync::Arc;
use std::time::Instant;

use clickcast_dataset::{Error as DatasetError, Input, Looked, Replaces, Written, discover_in, row_groups};
use clickcast_registry::{Kind as RegistryKind, Rejected, has_output};
use clickcast_storage::queue::{Message, Receipt};
use clickcast_storage::{Error as StorageError, Kind as StorageKind};
use jiff::Timestamp;
use tracing::Span;
use tracing::field::Empty;

use super::Worker;
use super::book::{OpenRun, gone};
use super::counters::Counters;
use crate::closing::{contents, unfinished};
use crate::message::{Range, Task, parse};
use crate::protocol::{self, Action, Event, Wait};
use crate::{Error, Kind, Piece, Scorer, ranges, sentence};

/// Inputs that are asked for again at a time.
const ASKED_AGAIN_MAX: usize = 1000;

/// A message, and how far it is.
pub(super) struct InFlight {
    pub(super) message: Message,
    pub(super) event: Event,
    /// What it is handed on as.
    bodies: Vec<String>,
    /// What it asks for, where that is the end of a folder.
    end: Option<Task>,
    pub(super) open: Option<Arc<OpenRun>>,
    pub(super) piece: Option<Piece>,
    received: Instant,
    /// Lasts from the message's reception until it is settled. The steps are spans in it.
    span: Span,
    last_step: &'static str,
}

impl InFlight {
    pub(super) fn new(message: Message) -> Self {
        let bodies = vec![message.body.clone()];
        let span = tracing::info_span!(
            "message",
            receive_count = i64::from(message.receive_count),
            run = Empty,
            partition = Empty,
            model = Empty,
            outcome = Empty
        );
        Self {
            message,
            event: Event::Received,
            bodies,
            end: None,
            open: None,
            piece: None,
            received: Instant::now(),
            span,
            last_step: "",
        }
    }

    /// Logs a sentence about the message, with its run, its partition and its model.
    pub(super) fn warn(&self, message: &str) {
        let (run, model) = self.run_and_model().unzip();
        tracing::warn!(run, partition = self.partition(), model, "{message}");
    }

    fn partition(&self) -> Option<&str> {
        self.piece.as_ref().map(|piece| piece.output.as_str())
    }

    /// The run, and the model that it is pinned to: its name and version, or its hash.
    fn run_and_model(&self) -> Option<(&str, String)> {
        let record = self.open.as_ref()?.run.record();
        let model = match (&record.model.name, record.model.version) {
            (Some(name), Some(version)) => format!("{name}@{version}"),
            _ => record.model.artifact.clone(),
        };
        Some((record.run.as_str(), model))
    }

    /// Begins a step: a span that lasts until it is dropped.
    pub(super) fn step(&mut self, name: &'static str) -> Span {
        self.last_step = name;
        tracing::info_span!(parent: &self.span, "step", otel.name = name)
    }

    /// Ends the message's span with what came of it.
    fn end_span(&self) {
        let outcome = if self.event == Event::LeaseLost { "lost" } else { self.last_step };
        self.span.record("outcome", outcome);
        if let Some((run, model)) = self.run_and_model() {
            self.span.record("run", run).record("model", model);
        }
        if let Some(partition) = self.partition() {
            self.span.record("partition", partition);
        }
    }

    /// The event of a run's end that comes too early.
    fn unready(&self) -> Event {
        Event::Unready(self.message.receive_count, self.end.as_ref().map_or(0, |end| end.rounds))
    }

    /// What is worked on, for messages to people.
    fn name(&self) -> String {
        self.piece.as_ref().map_or_else(|| "a message".to_owned(), |piece| format!("`{}`", piece.input.name()))
    }
}

/// Where acting on one message ends, for others of its batch are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Score,
    Acknowledge,
    Settled,
}

impl Worker {
    /// Acts on a message up to the next stop.
    pub(super) fn advance(&self, held: &mut InFlight) -> Stop {
        loop {
            let can_be_lost = !matches!(held.event, Event::Settled | Event::LeaseLost);
            if can_be_lost && self.leases.is_lost(&held.message.receipt) {
                held.event = Event::LeaseLost;
            }
            if held.event == Event::LeaseLost {
                Counters::count(&self.counters.lost);
            }
            match self.possible(held, protocol::next(&held.event, self.jitter())) {
                Action::Score => return Stop::Score,
                Action::Acknowledge => return Stop::Acknowledge,
                Action::Forget => {
                    self.leases.drop(&held.message.receipt);
                    held.end_span();
                    return Stop::Settled;
                }
                action => {
                    if matches!(action, Action::Leave(_) | Action::Release) {
                        // From here on the queue's own time runs; to extend it would undo this.
                        self.leases.drop(&held.message.receipt);
                    }
                    let step = held.step(action.name());
                    let event = self.act(held, &action);
                    drop(step);
                    held.event = event.unwrap_or_else(|error| self.failed(held, &action, &error));
                }
            }
        }
    }

    /// A queue that has no place for dead letters keeps them, as it keeps what fails for the longest.
    fn possible(&self, held: &InFlight, action: Action) -> Action {
        match action {
            Action::Bury(reason) if !self.queue.has_dead_letters() => {
                let name = held.name();
                held.warn(&format!("{name} comes back, for the queue has no dead letters: {reason}"));
                Action::Leave(protocol::backoff(u32::MAX, self.jitter()))
            }
            action => action,
        }
    }

    /// Returns the event that follows a failed action. If a store fails, the message stays in the queue.
    fn failed(&self, held: &InFlight, action: &Action, error: &Error) -> Event {
        let sentence = sentence(error);
        if error.kind() == Kind::Refused {
            return Event::Refused(sentence);
        }
        held.warn(&format!("{}: {sentence}", held.name()));
        let is_work = matches!(action, Action::Look | Action::Close | Action::Verify | Action::Reject(_));
        if is_work && !error.is_transient() && held.message.receive_count >= protocol::LASTING_RECEIVES_MAX {
            return Event::Refused(sentence);
        }
        match action {
            // The queue itself lets it come back.
            Action::Leave(_) | Action::Release => Event::Settled,
            Action::HandOn if !matches!(held.event, Event::Several | Event::Overwritten(_)) => Event::Settled,
            // It was sent again: once more would be one too many.
            Action::Acknowledge if held.event == Event::HandedOn => Event::Settled,
            _ => Event::Failed(held.message.receive_count),
        }
    }

    /// Acknowledges messages in one go; each then has the event that follows.
    pub(super) fn acknowledge(&self, done: &mut [InFlight]) {
        let receipts: Vec<Receipt> = done.iter().map(|held| held.message.receipt.clone()).collect();
        let steps: Vec<Span> = done.iter_mut().map(|held| held.step(Action::Acknowledge.name())).collect();
        let acknowledged = self.handle.block_on(self.queue.acknowledge(&receipts)).map_err(Error::from);
        drop(steps);
        match acknowledged {
            Ok(were_held) => {
                for (held, was_held) in done.iter_mut().zip(were_held) {
                    held.event = if was_held { Event::Settled } else { Event::LeaseLost };
                }
            }
            Err(error) => {
                for held in done {
                    held.event = self.failed(held, &Action::Acknowledge, &error);
                }
            }
        }
    }

    fn act(&self, held: &mut InFlight, action: &Action) -> Result<Event, Error> {
        let (queue, counters) = (&self.queue, &self.counters);
        let receipt = held.message.receipt.clone();
        match action {
            Action::Look => self.look(held),
            Action::HandOn => {
                self.handle.block_on(queue.send(&held.bodies))?;
                Counters::count(&counters.handed_on);
                Ok(Event::HandedOn)
            }
            Action::Close => self.close(held),
            Action::Verify => self.verify(held),
            Action::Reject(reason) => self.reject(held, reason),
            Action::Bury(reason) => {
                held.warn(&format!("{} goes to the dead letters: {reason}", held.name()));
                let buried = settled(self.handle.block_on(queue.bury(&held.message, reason)))?;
                Counters::count(&counters.buried);
                Ok(buried)
            }
            Action::Leave(wait) => {
                Counters::count(&counters.left);
                settled(self.handle.block_on(queue.extend(&receipt, *wait)))
            }
            Action::Release => {
                Counters::count(&counters.released);
                settled(self.handle.block_on(queue.release(&receipt)))
            }
            Action::Score | Action::Acknowledge | Action::Forget => Ok(held.event.clone()),
        }
    }

    fn ignored(&self) -> Event {
        Counters::count(&self.counters.ignored);
        Event::Done
    }

    fn look(&self, held: &mut InFlight) -> Result<Event, Error> {
        let tasks = match parse(&held.message.body) {
            Ok(tasks) => tasks,
            Err(error) => return Ok(Event::Refused(sentence(&error))),
        };
        let [task] = tasks.as_slice() else {
            held.bodies = tasks.iter().map(Task::body).collect();
            return Ok(if tasks.is_empty() { self.ignored() } else { Event::Several });
        };
        if task.object.starts_with(&self.setup.out.uri("runs/")) {
            // The bucket tells of what workers write, too.
            return Ok(self.ignored());
        }
        let name = match self.run.clone().map_or_else(|| task.run(), Ok) {
            Ok(name) => name,
            Err(error) => return Ok(Event::Refused(sentence(&error))),
        };
        let (folder, key) = task.folder_and_key();
        let open = self.handle.block_on(self.book.open(&self.setup, &name, task))?;
        held.open = Some(open.clone());
        open.check_folder(folder)?;
        if task.is_success() {
            return self.look_at_end(held, &open, task);
        }
        let looked = match self.handle.block_on(Looked::at(&open.inputs, key)) {
            Ok(looked) => looked,
            Err(error) if error.is_not_found() => return Err(gone(task)),
            Err(error) => return Err(error.into()),
        };
        let version = looked.object.etag.clone();
        let input = match Input::new(open.inputs.clone(), looked) {
            Ok(input) => input,
            Err(error) => return self.bad_before_it_was_opened(&open, key, &version, &error),
        };
        self.look_at_input(held, &open, task, input)
    }

    fn look_at_input(&self, held: &mut InFlight, open: &OpenRun, task: &Task, input: Input) -> Result<Event, Error> {
        let output = input.output_key();
        let whole = Piece { output: open.run.output_key(&output, None), input, place: Replaces::Free };
        let of_range = |row_groups| Piece {
            input: whole.input.only(row_groups),
            output: open.run.output_key(&output, Some(row_groups)),
            place: Replaces::Free,
        };
        let etag = &whole.input.object.etag;
        held.piece = Some(whole.clone());
        let scorer = self.scorer(open);
        let piece = match &task.range {
            Some(range) if range.etag != *etag => {
                Counters::count(&self.counters.overwritten);
                // What is there now is cut anew, if that falls to this message.
                held.bodies = vec![Task { range: None, ..task.clone() }.body()];
                return Ok(Event::Overwritten(range.row_groups.0));
            }
            Some(range) => of_range(range.row_groups),
            None => {
                let groups = match row_groups(&whole.input, &self.handle) {
                    Ok(groups) => groups.unwrap_or_default(),
                    Err(error) if error.is_of_file() => {
                        return Ok(Event::Bad(sentence(&error)));
                    }
                    Err(error) => return Err(error.into()),
                };
                let Some(ranges) = ranges(&groups) else { return self.look_at_output(held, open, &scorer, whole) };
                let mut bodies = Vec::new();
                for row_groups in ranges {
                    if !scorer.is_done(&of_range(row_groups))? {
                        let range = Some(Range { row_groups, etag: etag.clone() });
                        bodies.push(Task { range, ..task.clone() }.body());
                    }
                }
                if bodies.is_empty() {
                    return Ok(Event::Done);
                }
                // All of them or, after a failure, the message as it came: never some.
                held.bodies = bodies;
                return Ok(Event::Several);
            }
        };
        self.look_at_output(held, open, &scorer, piece)
    }

    fn look_at_output(
        &self,
        held: &mut InFlight,
        open: &OpenRun,
        scorer: &Scorer<'_>,
        mut piece: Piece,
    ) -> Result<Event, Error> {
        let event = match scorer.look(&piece)? {
            Written::Wanted => {
                Counters::count(&self.counters.found_done);
                Event::Done
            }
            found => {
                if self.handle.block_on(open.is_closed_since(held.received))? {
                    let (name, run) = (piece.input.name(), &open.run.record().run);
                    return Ok(Event::Refused(format!(
                        "`{name}` came after run `{run}` was closed; send it with another run's name"
                    )));
                }
                // The output of an older version of the input gives way.
                piece.place = if let Written::Other(etag) = found { Replaces::Of(etag) } else { Replaces::Free };
                Event::Missing
            }
        };
        held.piece = Some(piece);
        Ok(event)
    }

    /// An input whose very name or size says that it can't be scored.
    fn bad_before_it_was_opened(
        &self,
        open: &OpenRun,
        key: &str,
        etag: &str,
        error: &DatasetError,
    ) -> Result<Event, Error> {
        let reason = sentence(error);
        self.note_rejected(open, key, etag, &reason)?;
        Ok(Event::Rejected(reason))
    }

    fn reject(&self, held: &InFlight, reason: &str) -> Result<Event, Error> {
        if let (Some(open), Some(piece)) = (&held.open, &held.piece) {
            let object = &piece.input.object;
            self.note_rejected(open, &object.key, &object.etag, reason)?;
        }
        Ok(Event::Rejected(reason.to_owned()))
    }

    fn note_rejected(&self, open: &OpenRun, key: &str, etag: &str, reason: &str) -> Result<(), Error> {
        let rejected = Rejected { key: key.to_owned(), etag: etag.to_owned(), reason: reason.to_owned() };
        self.handle.block_on(open.run.reject(&rejected))?;
        open.rejected.lock().insert(key.to_owned());
        Ok(())
    }

    fn verify(&self, held: &InFlight) -> Result<Event, Error> {
        let (Some(open), Some(piece)) = (&held.open, &held.piece) else { return Ok(Event::Vanished) };
        if !self.scorer(open).is_done(piece)? {
            return Ok(Event::Vanished);
        }
        let key = &piece.input.object.key;
        let was_rejected = open.rejected.lock().contains(key);
        if was_rejected {
            self.handle.block_on(open.run.clear_rejection(key))?;
            open.rejected.lock().remove(key);
        }
        Counters::count(&self.counters.written);
        Ok(Event::Done)
    }

    /// A folder's end: its run may be closed when every input is scored, or known to be bad.
    fn look_at_end(&self, held: &mut InFlight, open: &OpenRun, task: &Task) -> Result<Event, Error> {
        held.end = Some(task.clone());
        if self.handle.block_on(open.run.is_closed())? {
            return Ok(Event::Done);
        }
        let found = self.handle.block_on(async {
            let (outputs, rejected) = (open.run.outputs().await?, open.run.rejected().await?);
            Ok::<_, Error>((discover_in(&open.inputs).await, outputs, rejected))
        })?;
        let (inputs, outputs, rejected) = found;
        let inputs = match inputs {
            Ok(inputs) => inputs,
            // An empty file is met by its own message.
            Err(error) if error.kind() == clickcast_dataset::Kind::Content => return Ok(held.unready()),
            Err(error) => return Err(error.into()),
        };
        let outputs: Vec<&str> = outputs.iter().map(|object| object.key.as_str()).collect();
        let is_settled = |input: &Input| {
            let object = &input.object;
            let is_bad = rejected.iter().any(|bad| bad.key == object.key && bad.etag == object.etag);
            is_bad || has_output(&input.output_key(), &outputs)
        };
        let missing = inputs.iter().filter(|input| !is_settled(input)).map(|input| input.object.key.as_str());
        let missing: Vec<&str> = missing.collect();
        if missing.is_empty() { Ok(Event::Ready) } else { self.wait_for(held, open, task, &missing) }
    }

    /// A run's end waits for inputs, and asks for them again when nobody else does.
    fn wait_for(&self, held: &mut InFlight, open: &OpenRun, task: &Task, missing: &[&str]) -> Result<Event, Error> {
        let run = &open.run.record().run;
        let first = missing.first().map(|key| open.inputs.uri(key)).unwrap_or_default();
        held.warn(&format!("run `{run}` waits for `{first}`"));
        let depth = self.handle.block_on(self.queue.depth())?;
        let held_by_others = depth.in_flight + depth.delayed;
        let asked: &[&str] = match protocol::wait(
            held.message.receive_count,
            task.rounds,
            depth.visible,
            held_by_others,
        ) {
            Wait::Longer => return Ok(held.unready()),
            Wait::Round => &[],
            Wait::Ask => missing,
            Wait::GiveUp => {
                let reason = format!(
                    "run `{run}` can't be closed: `{first}` was asked for {} times and is neither scored nor known to be bad; \
                     look for it among the dead letters, then send `{}` again",
                    task.rounds, task.object
                );
                return Ok(Event::Refused(reason));
            }
        };
        let (folder, _) = task.folder_and_key();
        let again = |key: &&str| Task {
            object: format!("{folder}/{key}"),
            folder: Some(folder.to_owned()),
            rounds: 0,
            ..task.clone()
        };
        held.bodies = asked.iter().take(ASKED_AGAIN_MAX).map(again).map(|task| task.body()).collect();
        held.bodies.push(Task { rounds: task.rounds + 1, ..task.clone() }.body());
        Ok(Event::Several)
    }

    fn close(&self, held: &mut InFlight) -> Result<Event, Error> {
        let (Some(open), Some(task)) = (held.open.clone(), held.end.clone()) else { return Ok(Event::Vanished) };
        let contents = contents(&open.run, Timestamp::now(), || !self.drain.is_overdue());
        let Some(manifest) = self.handle.block_on(contents)? else {
            return Ok(Event::Drained(held.message.receive_count));
        };
        let missing = unfinished(&manifest);
        if !missing.is_empty() {
            // Their outputs are there by name, but not all ranges, or of an older version of the input.
            return self.wait_for(held, &open, &task, &missing);
        }
        match self.handle.block_on(open.run.close(&manifest)) {
            Ok(()) => Counters::count(&self.counters.closed),
            // Another worker with the same end was faster.
            Err(error) if error.kind() == RegistryKind::Refused => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Event::Done)
    }

    pub(super) fn scorer<'a>(&'a self, open: &'a OpenRun) -> Scorer<'a> {
        Scorer {
            model: &open.model,
            carried: open.carried.clone(),
            precision: open.precision,
            run: Some(open.run.record().run.to_string()),
            out: open.run.store(),
            threads: self.threads,
            handle: &self.handle,
        }
    }
}

/// The queue's answer to the end of a message.
fn settled(answer: Result<(), StorageError>) -> Result<Event, Error> {
    match answer {
        Ok(()) => Ok(Event::Settled),
        Err(error) if error.kind() == StorageKind::Conflict => Ok(Event::LeaseLost),
        Err(error) => Err(error.into()),
    }
}
