//! Certificates and keys in PEM.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| certferry::hostile::run("pem", bytes));
