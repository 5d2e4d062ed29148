//! DNS messages, also by HTTPS.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| certferry::hostile::run("dns", bytes));
