//! How a command ends: an exit code and one sentence.

use std::fmt;
use std::process::ExitCode;

/// A command's failure, as the person who typed it sees it.
#[derive(Debug)]
pub(crate) struct Failure {
    sentence: String,
    transient: bool,
}

impl Failure {
    /// The request or its input is wrong; retrying won't help.
    pub(crate) fn input(sentence: impl fmt::Display) -> Self {
        Self { sentence: sentence.to_string(), transient: false }
    }

    /// It failed for a reason that may pass.
    pub(crate) fn transient(sentence: impl fmt::Display) -> Self {
        Self { sentence: sentence.to_string(), transient: true }
    }

    /// From a library's error: its whole chain in one sentence.
    pub(crate) fn new(error: &(dyn std::error::Error + 'static), transient: bool) -> Self {
        let mut sentence = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Some libraries repeat their source; a reader wants each thing once.
            if !sentence.contains(&text) {
                sentence.push_str(": ");
                sentence.push_str(&text);
            }
            source = cause.source();
        }
        Self { sentence, transient }
    }

    /// The same failure, said of some data where the sentence doesn't name it yet.
    pub(crate) fn about(mut self, data: &str) -> Self {
        if !self.sentence.starts_with('`') {
            self.sentence = format!("`{data}`: {}", self.sentence);
        }
        self
    }

    /// The process's exit code: 1 may be retried, 2 is wrong.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(if self.transient { 1 } else { 2 })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sentence)
    }
}
