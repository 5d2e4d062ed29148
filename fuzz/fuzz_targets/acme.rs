//! A CA's answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| certferry::hostile::run("acme", bytes));
