//! The cloud's answers, and those of whoever gives an AccessKey.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| certferry::hostile::run("cloud", bytes));
