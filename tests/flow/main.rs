//! The flow as tables: what was there, what was asked; how it ended, what was said, what reached the cloud.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

mod account;
mod ari;
mod bad_input;
mod ca_calls;
mod calls;
mod checks;
mod clients;
mod codes;
mod credentials;
mod discovery;
mod disk;
mod dns_calls;
mod doctor;
mod edge;
mod fallback;
mod hooks;
mod house;
mod glue;
mod hostile_files;
mod hostile_words;
mod hunt;
mod interplay;
mod issuing;
mod keeping_step;
mod kinds;
mod names;
mod older;
mod persist;
mod policy;
mod rollback;
mod rows;
mod secrets;
mod terminal;
mod two_apis;
mod two_runs;
