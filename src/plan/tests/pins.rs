//! Tests of pins.
