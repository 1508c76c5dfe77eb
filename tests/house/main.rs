//! The rules of the house, checked on the tree itself: floors, module pages, licences, traces of a machine,
//! and that what is promised has its tests.

mod floors;
mod licences;
mod promises;
mod tree;
