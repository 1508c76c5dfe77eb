//! What is wrong with a configuration, all of it at once.

use std::{error::Error, fmt};

use crate::causes::with_causes;

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key or section.
    pub key: String,
    /// What is wrong, and where the value came from if that is known.
    pub what: String,
}

/// Everything that is wrong, in the order of the sections.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// One problem alone.
    #[must_use]
    pub fn one(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self(vec![Problem { key: key.into(), what: what.into() }])
    }

    /// Notes an error with all its causes; `Ok` is no problem.
    pub fn note<T, E: Error>(&mut self, key: &str, result: Result<T, E>) {
        if let Err(error) = result {
            self.push(Problem { key: key.to_owned(), what: with_causes(&error) });
        }
    }

    /// Takes over what another check found.
    pub fn absorb(&mut self, result: Result<(), Self>) {
        if let Err(problems) = result {
            problems.0.into_iter().for_each(|problem| self.push(problem));
        }
    }

    /// Adds a problem, unless another check has found it.
    pub fn push(&mut self, problem: Problem) {
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    /// # Errors
    /// Itself, unless it is empty.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, Problem { key, what }) in self.0.iter().enumerate() {
            let separator = if n == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{key}: {what}")?;
        }
        Ok(())
    }
}

impl Error for Problems {}
