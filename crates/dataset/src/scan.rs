//! Reads files in parallel, maps every batch, and passes the results on in input order.
//!
//! Workers share two kinds of work: decoding the next batch of a part (a row group, or a text file), and mapping a decoded
//! batch. They take the earliest work first, so one huge row group keeps two threads as busy as two small ones do: while one
//! thread decodes, the other maps.

use std::collections::BTreeMap;
use std::sync::Arc;

use clickcast_record::{Batch, InferredTimeUnit, Need, Schema};
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::runtime::Handle;

use crate::Error;
use crate::discover::Input;
use crate::input::{Opened, PartReader, Wants};

/// What is read, and how.
#[derive(Debug, Clone, Copy)]
pub struct Scan<'a> {
    /// The files, in order.
    pub inputs: &'a [Input],
    /// The features to read.
    pub schema: &'a Schema,
    /// The other columns to read.
    pub need: &'a Need,
    /// Threads that decode and map.
    pub threads: usize,
    /// The most batches that are decoded or mapped but not passed on, and the most inputs open at once: the bound of memory.
    /// Threads stay busy with at least twice their number.
    pub batches_max: usize,
    /// For requests to object stores.
    pub handle: &'a Handle,
}

impl Scan<'_> {
    /// Batches in flight for each thread, as most want it: one worked on, and some to even out parts of unequal cost. A batch
    /// of 32,768 rows and 40 columns takes up to 10 MiB.
    pub const BATCHES_PER_THREAD: usize = 6;
}

/// An event of a scan; events come in input order.
#[derive(Debug, PartialEq, Eq)]
pub enum ScanEvent<R> {
    /// The input with this index begins.
    Begin(usize),
    /// The result of one of its batches. An input without rows gives one empty batch, which shows its columns.
    Rows(R),
    /// All its batches were passed on.
    End(usize),
}

/// The place of a batch: its part, counted over all inputs, and its number there.
type BatchIndex = (usize, usize);

struct State<R> {
    /// Inputs that have been opened and not yet handed over whole, and how many parts came before each.
    opened: BTreeMap<usize, (usize, Arc<Opened>)>,
    /// The next input to open.
    input_next: usize,
    /// Whether it is being opened.
    opening: bool,
    /// The input that could not be opened.
    unopened: Option<(usize, Error)>,
    /// Parts not begun, of opened inputs.
    part_next: usize,
    parts_known: usize,
    /// Begun parts whose reader no worker holds, by part; with the next batch's number.
    idle: BTreeMap<usize, (Box<PartReader>, usize)>,
    /// Decoded, not mapped.
    decoded: BTreeMap<BatchIndex, Batch>,
    mapped: BTreeMap<BatchIndex, R>,
    /// How many batches each part had that was decoded and not yet handed over whole.
    ended: BTreeMap<usize, usize>,
    /// Batches that are being decoded or mapped, or wait to be mapped or handed over.
    in_flight: usize,
    /// The batch that is handed over now, or waited for.
    now: BatchIndex,
    failed: BTreeMap<BatchIndex, Error>,
    stop: bool,
}

struct Shared<'a, R> {
    scan: Scan<'a>,
    wants: Wants<'a>,
    state: Mutex<State<R>>,
    changed: Condvar,
}

enum Work {
    Open(usize),
    Begin(usize),
    Decode(usize, Box<PartReader>, usize),
    Map(BatchIndex, Batch),
}

/// Reads all inputs, calls `map` for each batch on any thread, and calls `sink` with the results on the calling thread, in
/// input order.
///
/// # Errors
/// The first error in input order, of reading or of `sink`; earlier results were passed on.
pub fn scan<R, E>(
    scan: Scan<'_>,
    map: impl Fn(Batch) -> R + Sync,
    mut sink: impl FnMut(ScanEvent<R>) -> Result<(), E>,
) -> Result<(), E>
where
    R: Send,
    E: From<Error>,
{
    let state = State {
        opened: BTreeMap::new(),
        input_next: 0,
        opening: false,
        unopened: None,
        part_next: 0,
        parts_known: 0,
        idle: BTreeMap::new(),
        decoded: BTreeMap::new(),
        mapped: BTreeMap::new(),
        ended: BTreeMap::new(),
        in_flight: 0,
        now: (0, 0),
        failed: BTreeMap::new(),
        stop: false,
    };
    let wants = Wants { schema: scan.schema, need: scan.need, time_unit: InferredTimeUnit::default() };
    let shared = Shared { scan, wants, state: Mutex::new(state), changed: Condvar::new() };
    std::thread::scope(|scope| {
        for _ in 0..scan.threads.max(1) {
            scope.spawn(|| shared.work(&map));
        }
        // If `sink` panics, the workers must end, or the scope never does.
        let _stop = StopOnPanic(&shared);
        let outcome = shared.hand_over(&map, &mut sink);
        shared.lock().stop = true;
        shared.changed.notify_all();
        outcome
    })
}

impl<R: Send> Shared<'_, R> {
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock()
    }

    /// A worker's life.
    fn work(&self, map: &(impl Fn(Batch) -> R + Sync)) {
        // If `map` panics, waiting threads must wake up.
        let _stop = StopOnPanic(self);
        let mut state = self.lock();
        loop {
            if state.stop {
                return;
            }
            let Some(work) = state.take(&self.scan) else {
                self.changed.wait(&mut state);
                continue;
            };
            drop(state);
            state = self.perform(work, map);
            self.changed.notify_all();
        }
    }

    fn perform(&self, work: Work, map: &(impl Fn(Batch) -> R + Sync)) -> MutexGuard<'_, State<R>> {
        let Scan { inputs, schema, need, handle, .. } = self.scan;
        match work {
            Work::Open(input) => {
                let opened = Opened::new(&inputs[input], handle, &self.wants);
                let mut state = self.lock();
                state.opening = false;
                match opened {
                    Ok(opened) => {
                        let before = state.parts_known;
                        state.parts_known += opened.parts();
                        state.opened.insert(input, (before, Arc::new(opened)));
                        state.input_next = input + 1;
                    }
                    Err(error) => {
                        state.unopened = Some((input, error));
                        // Whatever comes after it is never handed over.
                        state.input_next = inputs.len();
                    }
                }
                state
            }
            Work::Begin(part) => {
                let owner = self.lock().owner(part);
                let reader = owner.map(|(before, opened)| opened.read(part - before, handle, schema, need));
                let mut state = self.lock();
                // Without an owner the part was handed over, or the scan has ended.
                let Some(reader) = reader else { return state };
                match reader {
                    Ok(reader) => drop(state.idle.insert(part, (Box::new(reader), 0))),
                    Err(error) => drop(state.failed.insert((part, 0), error)),
                }
                state
            }
            Work::Decode(part, mut reader, number) => {
                let next = reader.next();
                let mut state = self.lock();
                match next {
                    Some(Ok(batch)) => {
                        state.decoded.insert((part, number), batch);
                        state.idle.insert(part, (reader, number + 1));
                    }
                    Some(Err(error)) => drop(state.failed.insert((part, number), error)),
                    None => {
                        state.ended.insert(part, number);
                        state.in_flight -= 1;
                    }
                }
                state
            }
            Work::Map(place, batch) => {
                let result = map(batch);
                let mut state = self.lock();
                state.mapped.insert(place, result);
                state
            }
        }
    }

    /// The calling thread's work: passes everything on in order.
    fn hand_over<E: From<Error>>(
        &self,
        map: &impl Fn(Batch) -> R,
        sink: &mut impl FnMut(ScanEvent<R>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut part = 0;
        for input in 0..self.scan.inputs.len() {
            let opened = self.opened(input)?;
            let parts_end = part + opened.parts();
            let mut empty = true;
            sink(ScanEvent::Begin(input))?;
            while part < parts_end {
                let mut number = 0;
                while let Some(rows) = self.next((part, number))? {
                    sink(ScanEvent::Rows(rows))?;
                    number += 1;
                    empty = false;
                }
                self.lock().ended.remove(&part);
                part += 1;
            }
            if empty {
                sink(ScanEvent::Rows(map(opened.without_rows()?)))?;
            }
            self.lock().opened.remove(&input);
            // There is room for another one to be opened.
            self.changed.notify_all();
            sink(ScanEvent::End(input))?;
        }
        Ok(())
    }

    /// Waits until an input is open.
    fn opened(&self, input: usize) -> Result<Arc<Opened>, Error> {
        let mut state = self.lock();
        loop {
            if let Some((_, opened)) = state.opened.get(&input) {
                return Ok(opened.clone());
            }
            if let Some((_, error)) = state.unopened.take_if(|(unopened, _)| *unopened == input) {
                return Err(error);
            }
            assert!(!state.stop, "a thread that maps batches panicked");
            self.changed.wait(&mut state);
        }
    }

    /// Waits for a batch's result; returns `None` if its part has ended.
    fn next(&self, place: BatchIndex) -> Result<Option<R>, Error> {
        let mut state = self.lock();
        state.now = place;
        self.changed.notify_all();
        loop {
            if let Some(result) = state.mapped.remove(&place) {
                state.in_flight -= 1;
                self.changed.notify_all();
                return Ok(Some(result));
            }
            if let Some(error) = state.failed.remove(&place) {
                return Err(error);
            }
            if state.ended.get(&place.0) == Some(&place.1) {
                return Ok(None);
            }
            assert!(!state.stop, "a thread that maps batches panicked");
            self.changed.wait(&mut state);
        }
    }
}

impl<R> State<R> {
    /// Takes the earliest work that may begin, or returns `None` if there is none now.
    fn take(&mut self, scan: &Scan<'_>) -> Option<Work> {
        if let Some((place, batch)) = self.decoded.pop_first() {
            return Some(Work::Map(place, batch));
        }
        let room = self.in_flight < scan.batches_max;
        // Without room only the batch that is waited for may be decoded: it is what makes room.
        let next = self.idle.first_key_value().map(|(&part, (_, number))| (part, *number));
        if let Some((part, _)) = next.filter(|&place| room || place == self.now)
            && let Some((reader, number)) = self.idle.remove(&part)
        {
            self.in_flight += 1;
            return Some(Work::Decode(part, reader, number));
        }
        if self.part_next < self.parts_known && (room || self.part_next == self.now.0) {
            self.part_next += 1;
            return Some(Work::Begin(self.part_next - 1));
        }
        // Inputs without parts take no room among the batches: they have a bound of their own.
        let ahead = self.part_next < self.parts_known || self.opened.len() >= scan.batches_max;
        if room && !ahead && !self.opening && self.input_next < scan.inputs.len() {
            self.opening = true;
            return Some(Work::Open(self.input_next));
        }
        None
    }

    fn owner(&self, part: usize) -> Option<(usize, Arc<Opened>)> {
        self.opened.values().rev().find(|(before, _)| *before <= part).cloned()
    }
}

struct StopOnPanic<'a, 'b, R: Send>(&'a Shared<'b, R>);

impl<R: Send> Drop for StopOnPanic<'_, '_, R> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().stop = true;
            self.0.changed.notify_all();
        }
    }
}
