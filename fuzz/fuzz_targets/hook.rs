//! What an ACME client tells its hook: environment and arguments.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| certferry::hostile::run("hook", bytes));
