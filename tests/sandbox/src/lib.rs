//! A whole world on loopback for the tests of certferry, hostile by default; a file for each of its parts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a broken sandbox must stop the test that uses it"
)]

pub mod ca;
pub mod cloud;
pub mod dns;
pub mod edge;
pub mod fault;
pub mod manage;
pub mod metadata;
pub mod names;
pub mod world;
mod dice;
mod door;
mod stage;
mod wire;
