//! The enricher: from ids on event topics to full records on entity topics.
//!
//! ```text
//! event topics ─► consume ─► coalesce ─► fetch (Connector API) ─► publish ─► entity topics
//!                    ▲          │                                    │
//!                    │          └─► park, dead letters               │
//!                    └───────────── offsets ◄────────────────────────┘
//! ```
//!
//! Guarantees: an event's offset is committed only when its entity is published, parked, or in the
//! dead letters; ids that belong together are fetched together, and no two fetches of one id overlap;
//! what one integration is held up by never holds up another.

pub mod config;
pub mod entity;

pub use config::Config;
pub use entity::Entity;
