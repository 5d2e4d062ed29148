//! A whole world on loopback for the tests of certferry, hostile by default; a file for each of its parts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a broken sandbox must stop the test that uses it"
)]

pub mod cloud;
pub mod dns;
mod stage;
