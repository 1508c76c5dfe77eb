//! The rules of the house, checked on the tree itself: floors, module pages, licences, traces of a machine.

mod floors;
mod licences;
mod tree;
