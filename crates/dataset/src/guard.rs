//! Keeps a decoder's panic from being ours.
//!
//! Some damaged Parquet files make the decoder panic instead of giving an error. That is the file's
//! fault, and is reported as such.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs what may panic; where it does, what it said is the error, and nothing it had in hand may be
/// used again.
pub(crate) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // Whoever reports a panic that is expected here only alarms people.
            if !GUARDED.get() {
                report(panic);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(run));
    GUARDED.set(outer);
    outcome.map_err(|panic| what(panic.as_ref()))
}

fn what(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "the decoder gave up".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_text() {
        assert_eq!(guarded(|| 1), Ok(1));
        assert_eq!(guarded(|| panic!("broken")), Err::<(), _>("broken".to_owned()));
        assert_eq!(guarded(|| panic!("broken {}", 2)), Err::<(), _>("broken 2".to_owned()));
    }
}
