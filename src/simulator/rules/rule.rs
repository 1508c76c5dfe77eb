//! What a rule consists of: an operation, its filters, their forms.

use crate::simulator::kind::Kind;

/// One operation.
#[derive(Debug)]
pub struct Rules {
    /// After [`PREFIX`], exactly and case-sensitive (contract 3.2).
    pub path: &'static str,
    /// What it returns. None for the one that returns a single thing.
    pub kind: Option<Kind>,
    /// Where the records are in the answer.
    pub array: &'static str,
    /// Members of the answer that are null nowadays.
    pub nulls: &'static [&'static str],
    pub scope: Scoping,
    /// Members of the `Extent` object, which is required where there are any; without the first one true
    /// there are no records in the answer.
    pub extent: &'static [&'static str],
    /// When the deleted are returned.
    pub deleted: Deleted,
    pub filters: &'static [Filter],
    /// Filters without which there is no answer.
    pub required: &'static [&'static str],
    /// Filters of which at least one is needed, if there are any.
    pub one_of: &'static [&'static str],
    /// Filters that exclude each other.
    pub either: &'static [[&'static str; 2]],
}

/// How an operation is narrowed to some of the hotels of a token (contract 3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scoping {
    /// `EnterpriseIds`
    Enterprises,
    /// `ChainIds`, required with a portfolio token and ignored otherwise.
    Chains,
    /// `EnterpriseId`
    Enterprise,
}

/// When deleted entities are in the answer (contract 1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    Always,
    /// With `Extent.Inactive`.
    ByExtent,
    /// With `Deleted` in `ActivityStates`, which is `["Active"]` by default.
    ByActivityStates,
}

/// One filter.
#[derive(Debug)]
pub struct Filter {
    pub name: &'static str,
    pub form: Form,
    pub looks_at: LooksAt,
}

/// What a filter's value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// At most so many ids.
    Ids(usize),
    /// At most so many texts.
    Texts(usize),
    /// Words of a closed list.
    Words(&'static [&'static str]),
    /// `{StartUtc, EndUtc}`, half-open, not longer than this (contract 3.5).
    Interval(Length),
    /// One text.
    Text,
    /// True or false.
    Flag,
}

/// How long an interval may be (contract 3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Three months and a day: the server says `3M1D`.
    ThreeMonths,
    OneMonth,
}

/// What a filter compares with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LooksAt {
    Id,
    /// The service of a product or order, the thread of a message.
    Parent,
    Created,
    Updated,
    /// When it was deleted; not every record shows it.
    Deletion,
    /// A member of the record, or a JSON pointer into it.
    Member(&'static str),
    /// The span between two members of the record.
    Span(&'static str, &'static str),
    /// Nothing: the check or the selection sees to it.
    Nothing,
}

/// Most ids in one list (contract 1.3).
pub const IDS_MAX: usize = 1000;
/// Most ids in the lists that may hold fewer (contract 4.1, 4.6).
pub const FEW_IDS_MAX: usize = 100;

/// A list of ids.
pub const fn ids(name: &'static str, looks_at: LooksAt) -> Filter {
    Filter { name, form: Form::Ids(IDS_MAX), looks_at }
}

/// A shorter list of ids.
pub const fn few_ids(name: &'static str, member: &'static str) -> Filter {
    Filter { name, form: Form::Ids(FEW_IDS_MAX), looks_at: LooksAt::Member(member) }
}

/// A list of texts, equal to a member of the record.
pub const fn texts(name: &'static str, most: usize, member: &'static str) -> Filter {
    Filter { name, form: Form::Texts(most), looks_at: LooksAt::Member(member) }
}

/// An interval of three months.
pub const fn within(name: &'static str, looks_at: LooksAt) -> Filter {
    Filter { name, form: Form::Interval(Length::ThreeMonths), looks_at }
}

/// Words of a closed list.
pub const fn words(name: &'static str, words: &'static [&'static str], looks_at: LooksAt) -> Filter {
    Filter { name, form: Form::Words(words), looks_at }
}

/// An operation without anything peculiar.
pub const PLAIN: Rules = Rules {
    path: "",
    kind: None,
    array: "",
    nulls: &[],
    scope: Scoping::Enterprises,
    extent: &[],
    deleted: Deleted::Always,
    filters: &[],
    required: &[],
    one_of: &[],
    either: &[],
};

impl Rules {
    /// The operation's short name, as knobs and reports have it: `reservations`.
    pub fn name(&self) -> &'static str {
        self.path.split('/').next().unwrap_or(self.path)
    }

    /// Whether a `Limitation` is required, and the answer has a `Cursor`.
    pub const fn is_paged(&self) -> bool {
        self.kind.is_some()
    }
}
