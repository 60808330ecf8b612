//! How a command fails: an exit code and one sentence.

use std::fmt;
use std::process::ExitCode;

use clickcast_job::sentence;

/// A command's failure, as its user sees it.
#[derive(Debug)]
pub(crate) struct Failure {
    sentence: String,
    exit: Exit,
}

/// The process's exit code.
#[derive(Debug, Clone, Copy)]
enum Exit {
    /// The command may be retried.
    Transient = 1,
    /// The request or its input is wrong.
    Input = 2,
    /// A gate or an audit said fail or hold.
    Gate = 3,
}

impl Failure {
    /// The request or its input is wrong; retrying won't help.
    pub(crate) fn input(sentence: impl fmt::Display) -> Self {
        Self { sentence: sentence.to_string(), exit: Exit::Input }
    }

    /// The command failed for a reason that may pass; retrying may help.
    pub(crate) fn transient(sentence: impl fmt::Display) -> Self {
        Self { sentence: sentence.to_string(), exit: Exit::Transient }
    }

    /// A gate or an audit said fail or hold.
    pub(crate) fn gate(sentence: impl fmt::Display) -> Self {
        Self { sentence: sentence.to_string(), exit: Exit::Gate }
    }

    /// Converts a library's error: its chain of sources becomes one sentence.
    pub(crate) fn new(error: &(dyn std::error::Error + 'static), transient: bool) -> Self {
        Self { sentence: sentence(error), exit: if transient { Exit::Transient } else { Exit::Input } }
    }

    /// Returns the process's exit code: 1 may be retried, 2 the request is wrong, 3 a gate or an audit said fail or hold.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }
}

impl From<clickcast_operations::Error> for Failure {
    fn from(error: clickcast_operations::Error) -> Self {
        match error.kind() {
            clickcast_operations::Kind::Refused => Self::gate(error),
            _ => Self::new(&error, error.is_transient()),
        }
    }
}

impl From<clickcast_dataset::Error> for Failure {
    fn from(error: clickcast_dataset::Error) -> Self {
        Self::new(&error, error.is_transient())
    }
}

impl From<clickcast_registry::Error> for Failure {
    fn from(error: clickcast_registry::Error) -> Self {
        match error.kind() {
            clickcast_registry::Kind::NotPassed => Self::gate(error),
            _ => Self::new(&error, error.is_transient()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sentence)
    }
}
