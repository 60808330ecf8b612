//! Turns a decoder's panic into an error.
//!
//! Some damaged Parquet files make the decoder panic instead of giving an error. That is the file's fault, and is reported
//! as such. The process's panic hook runs as always: a program that wants such panics quiet asks [`is_guarded`] in its own.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread becomes an [`Error`](crate::Error) now, so that a panic hook need not report it.
#[must_use]
pub fn is_guarded() -> bool {
    GUARDED.get()
}

/// Runs work that may panic, and returns the panic's text as the error. Nothing that the work had in hand may be used again.
pub(crate) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    let outer = GUARDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(run));
    GUARDED.set(outer);
    outcome.map_err(|panic| text_of(panic.as_ref()))
}

fn text_of(panic: &(dyn Any + Send)) -> String {
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
        assert_eq!((guarded(is_guarded), is_guarded()), (Ok(true), false));
    }
}
