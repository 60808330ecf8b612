//! Signals: SIGTERM and the first SIGINT ask for the end, the second SIGINT is one.

use std::sync::Arc;

use clickcast_job::worker::Drain;
use tokio::signal::unix::{SignalKind, signal};

use super::super::Context;
use crate::failure::Failure;

/// How the shell says that SIGINT ended a process.
const INTERRUPTED: i32 = 130;

/// Listens from now on.
pub(super) fn listen(context: &Context, drain: &Arc<Drain>) -> Result<(), Failure> {
    let _inside = context.runtime.enter();
    let kinds = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    let [Ok(mut terminate), Ok(mut interrupt)] = kinds else {
        return Err(Failure::transient("this process can't listen to signals; start it again"));
    };
    let drain = drain.clone();
    context.runtime.spawn(async move {
        let mut interrupts = 0;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => interrupts += 1,
            }
            if interrupts > 1 {
                std::process::exit(INTERRUPTED);
            }
            drain.ask();
        }
    });
    Ok(())
}
