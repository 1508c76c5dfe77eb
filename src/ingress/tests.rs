//! The ingress from outside: real sockets, one server per test, a journal behind it.

mod answers;
mod connections;
mod harness;
mod http2;
mod senders;
mod shutdown;
