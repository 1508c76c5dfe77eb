//! The simulator over real HTTP on loopback.
