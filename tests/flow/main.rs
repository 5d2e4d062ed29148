//! The flow as tables: what was there, what was asked; how it ended, what was said, what reached the cloud.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

mod ari;
mod bad_input;
mod hooks;
mod house;
mod issuing;
mod keeping_step;
mod terminal;
