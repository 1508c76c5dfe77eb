//! Seam only: the journal replaces this file.

/// Number of a journal record; they are consecutive and never reused.
pub type Sequence = u64;
